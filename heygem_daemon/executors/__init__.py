"""Adapters of the Executor port: who runs the work orders, and where."""
