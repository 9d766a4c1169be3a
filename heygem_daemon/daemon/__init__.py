"""The daemon: one process, one thread, one tick that takes drops in, dispatches jobs, publishes results and writes the status."""
