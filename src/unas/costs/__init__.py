"""What a network costs: as a figure, and as a sum over the choices that made it."""
