"""Where worlds are built."""
