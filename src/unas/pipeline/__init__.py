"""What a caller asks for: a whole run, one of its phases, or one step."""

from unas.pipeline.api import Result, evaluate_run, export_run, run, search, search_step, train

__all__ = ["Result", "evaluate_run", "export_run", "run", "search", "search_step", "train"]
