"""What ties the daemon to its host: logs and signals."""
