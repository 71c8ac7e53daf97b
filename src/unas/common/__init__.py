"""Errors, text, files and the registry: what every room stands on. Nothing here knows torch."""
