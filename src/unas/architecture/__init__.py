"""What is searched: a genotype, the published ones, and the distribution over them."""
