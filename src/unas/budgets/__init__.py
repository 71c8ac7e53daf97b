"""What a network may cost at most: quantities, budgets, the terms that steer to them, verdicts."""
