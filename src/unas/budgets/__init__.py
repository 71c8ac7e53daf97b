"""What a network may cost at most: as typed, as a term of the search, as a contract, as a verdict."""
