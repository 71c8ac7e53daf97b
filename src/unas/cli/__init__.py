"""The command line; every command's flags are made from the dataclasses of what it runs."""

from unas.cli.dispatch import main

__all__ = ["main"]
