"""Building blocks of supernets and networks."""
