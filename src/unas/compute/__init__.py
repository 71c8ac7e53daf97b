"""Where and how numbers are computed: device, precision, processes, counted randomness, updates that stay finite."""
