"""The domain: jobs, drops, names, decisions. Pure: no files, no clock, no logging."""
