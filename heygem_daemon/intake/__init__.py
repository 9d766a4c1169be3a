"""What touches the inboxes: looking, moving, opening, listening.

mounts     is this path on a network file system
listing    a folder -> its files, without following links and without end
scanner    an inbox -> its drops and control files, at one moment
leases     is anybody writing to this file
moves      rename that never overwrites, folders made durable
permissions: who may not move or read what, and the command that changes it
claims     a drop -> a job's own folder -> _done or _failed
inspector  do the files open, in threads
doorbell   file system events: look now
"""
