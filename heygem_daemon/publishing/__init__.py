"""What touches outputs: staging, the final rename, the status files, and the sweeping of what is old.

staging       a folder per attempt, on the file system of outputs
record        what is published already, and of which inputs it was made
publish       verify, fsync, rename
status_files  status.json of the jobs and of the daemon
retention     old inputs and dead staging folders go
outlet        what a failing outputs folder is called in our errors
"""
