"""Experiments on the parts of a search: known problems, and measurements on them."""
