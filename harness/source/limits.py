"""How much is read of a file."""

MAX_BYTES = 8 * 1024 * 1024
"""Largest file that is read, in bytes; scenario and policy files are far smaller."""
