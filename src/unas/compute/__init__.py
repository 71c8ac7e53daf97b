"""Where numbers are computed, by how many processes, and how they stay finite and repeatable."""
