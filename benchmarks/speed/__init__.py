"""The sections of benchmarks/all.py."""
