"""Adapters of the port `Ledger`: the queue and the history of jobs."""
