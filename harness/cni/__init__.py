"""Network plugins: what each cluster runs, and what it can say of itself."""
