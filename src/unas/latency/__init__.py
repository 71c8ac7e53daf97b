"""How long a network takes on a device."""

from unas.latency.measurement import Latency, measure

__all__ = ["Latency", "measure"]
