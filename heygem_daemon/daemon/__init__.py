"""One process, one thread, one tick: drops arrive, jobs are dispatched, results are published, the board is kept."""
