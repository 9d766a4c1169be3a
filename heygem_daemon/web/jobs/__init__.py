"""What the folders say of jobs and the daemon, and what people ask of them by control files."""
