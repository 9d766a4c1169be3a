"""Every log event there is: a stable name, and what it means. A line with another name is a bug, and raises in tests."""

from collections.abc import Mapping
from typing import Final

EVENTS: Final[Mapping[str, str]] = {
    # -- the daemon
    "daemon_started": "The daemon began its work",
    "daemon_ready": "The inboxes were looked at; the daemon is at work",
    "daemon_crashed": "The daemon ended by a mistake of its own; systemd starts it again",
    "daemon_unwell": "A part of the daemon has not worked for a while; systemd restarts it unless it recovers",
    "config_reloaded": "The configuration was read again",
    "config_refused": "The configuration was read again and has mistakes; the one before stays in force",
    "config_needs_restart": "A setting was changed that takes effect at the next start only",
    "hook_finished": "What should happen at the end of a job was done",
    "hook_failed": "What should happen at the end of a job failed; the job is not touched by that",
    "metrics_unwritable": "The file for monitoring could not be written; tried again later",
    "daemon_stopping": "The daemon was asked to stop and lets running results finish",
    "daemon_stopped": "The daemon ended",
    "tick_failed": "One round of the daemon failed; the next one tries again",
    "ledger_damaged": "The ledger was damaged, was moved aside and begun anew; claimed drops go back to their inbox",
    "ledger_unwritable": "The ledger could not be written; nothing new starts until it can",
    "inbox_online": "An inbox became reachable",
    "inbox_offline": "An inbox is not reachable; nothing is concluded from it",
    "inbox_paused": "PAUSE lies in an inbox: nothing new starts",
    "inbox_resumed": "PAUSE went away",
    "status_unwritable": "A status file could not be written; tried again later",
    "swept": "Old inputs, staging folders or history were deleted",
    "request_taken": "A wish from the command line was taken",
    "request_unknown": "A wish named a job that does not exist or cannot do that",
    "breaker_opened": "The device failed repeatedly: the queue is paused",
    "breaker_closed": "The queue goes on after device failures",
    # -- a drop
    "drop_seen": "A new folder appeared in an inbox",
    "drop_incomplete": "A drop lacks something, or a file of it cannot be read yet",
    "drop_withdrawn": "A drop went away before it was claimed",
    "drop_claimed": "A drop is complete and now belongs to the daemon",
    "drop_restored": "A drop went back to its inbox",
    "drop_lost_race": "Another process claimed a drop first",
    # -- a job
    "job_queued": "A job stands in the queue",
    "job_waiting": "A job waits",
    "job_held": "A job is held back",
    "job_released": "A job is no longer held back",
    "job_retried": "A finished job was queued again by hand",
    "job_finished": "A job reached its end",
    "job_bundle_failed": "The ZIP of a job could not be written",
    # -- an item
    "item_started": "An attempt at one result began",
    "item_rendered": "A worker finished one result; it is being verified",
    "item_published": "One result stands in outputs",
    "item_retrying": "An attempt failed and will be repeated",
    "item_failed": "One result failed for good",
    "item_interrupted": "An attempt was interrupted; the item is back in the queue",
    "item_late": "A report of an attempt that is no longer current was thrown away",
    # -- workers
    "worker_ready": "A worker is up",
    "worker_died": "A worker ended unexpectedly",
    "worker_started": "A worker process was started",
    "worker_output": "A line that a worker or a library in it wrote to its error output",
}
