"""Everything that ties the daemon to its host: logs, metrics, hooks, signals, systemd."""
