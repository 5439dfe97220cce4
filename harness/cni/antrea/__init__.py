"""Antrea."""
