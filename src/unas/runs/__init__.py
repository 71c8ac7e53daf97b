"""A run on disk and on screen; importing this package costs nothing."""
