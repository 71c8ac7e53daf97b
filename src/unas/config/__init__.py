"""The configuration of a run: its fields, as JSON, as names and values."""

from unas.config.run_config import Config

__all__ = ["Config"]
