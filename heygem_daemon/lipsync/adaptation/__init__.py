"""Learning the mouth from real people: clips as numbers, the training of the mapper, and its figures."""
