"""How long a network takes on a device, measured and predicted."""

from unas.latency.fingerprint import Fingerprint
from unas.latency.latency import Latency
from unas.latency.measurement import measure, measure_file

__all__ = ["Fingerprint", "Latency", "measure", "measure_file"]
