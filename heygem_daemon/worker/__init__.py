"""One process that keeps the models resident and works on one order at a time: JSON lines in, JSON lines out."""
