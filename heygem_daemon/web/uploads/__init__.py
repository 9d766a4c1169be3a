"""From files in a browser to a drop in an inbox: drafts, the tus protocol, names, limits, job.toml."""
