"""Draw many frames at once on a card: every stage is a few kernels over the whole batch, and the CPU waits only for the result."""
