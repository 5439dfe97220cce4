"""Clusters that netcheck makes: kind, docker and helm as programs, and what they make."""
