"""The queue and the memory of the daemon."""
