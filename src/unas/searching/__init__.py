"""The search itself: configuration, one update, the loop, choosing, and signs of collapse."""
