"""Settings in, a wired daemon out: the one place that knows every adapter."""
