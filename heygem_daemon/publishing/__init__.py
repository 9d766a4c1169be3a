"""Everything that writes to outputs: staging, the final rename, the status files, and the deletion of what is old.

staging          a folder per attempt, on the file system of outputs
published_index  which results are published, and from which inputs they were made
publish          verify, fsync, rename
status_files     status.json of the jobs and of the daemon
retention        delete old inputs and abandoned staging folders
outputs_errors   turn an OSError in outputs into one of our errors
"""
