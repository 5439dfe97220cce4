"""What helps a person to write scenarios and policies."""
