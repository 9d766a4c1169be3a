"""Everything that touches the inboxes: scan, claim, inspect, archive, watch.

mounts           which file system a path lies on, and whether it is a network share
listing          list the files of a folder without following links, up to a limit
leases           whether another process has a file open for writing
scanner          scan an inbox for drops and control files
timeout_scanner  scan in a thread, so that a dead share does not block the daemon
permissions      what may not be moved or read, and the command that changes it
inbox_errors     turn an OSError in an inbox into one of our errors
claims           move a drop into its job's folder, and back
archive          move finished inputs to _done or _failed, and back for a retry
inspector        open the media files in threads
inbox_record     which inboxes the last run watched
watcher          file system events: scan now
"""
