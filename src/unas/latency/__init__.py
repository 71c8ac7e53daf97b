"""How long a network takes on a device."""

from unas.latency.measurement import Latency, measure, measure_file

__all__ = ["Latency", "measure", "measure_file"]
