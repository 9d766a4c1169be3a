"""All log events: a stable name, a summary, the template of the message, and what to do about it. An unknown name raises."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from heygem_daemon.service.message_template import sentence

_NAMESPACE: Final = uuid.UUID("7baecafc-fc64-4a61-b676-5b5e485f9929")
"""Never changes, or every MESSAGE_ID would."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One class of log lines.

    `summary` is the same for every line; `message` is the template of its sentence (service.message_template); `explanation` is what
    `journalctl -x` shows: what happened, and what to do. Words in braces are fields of the line.
    """

    name: str
    summary: str
    message: str
    explanation: str

    @property
    def message_id(self) -> str:
        """Return the journal's name for this class of lines, 32 hexadecimal digits; it depends on nothing but the name."""
        return uuid.uuid5(_NAMESPACE, self.name).hex

    def sentence(self, fields: Mapping[str, Any]) -> str:
        return sentence(self.message, fields)


_DAEMON: Final = (
    Event(
        name="daemon_started",
        summary="The daemon started",
        message="heygem[ {version}] started[; inboxes: {inboxes}][; outputs: {outputs}][; devices: {devices}]",
        explanation="It now scans the inboxes for the first time; daemon_ready follows. The workers load their models meanwhile.",
    ),
    Event(
        name="daemon_ready",
        summary="The inboxes were scanned; the daemon is working",
        message="ready[ after {seconds:.1f} s][, {inboxes:#inbox|inboxes}]",
        explanation="From now on drops are taken. An inbox that could not be reached has a line of its own (inbox_offline).",
    ),
    Event(
        name="daemon_not_started",
        summary="The daemon could not start",
        message="the daemon cannot start[: {reason}]",
        explanation="{reason} No drop and no result was touched; `heygem check` shows more. systemd tries again after a pause.",
    ),
    Event(
        name="internal_error",
        summary="Something unforeseen happened in a part of the daemon, which goes on",
        message="internal error[ in {part}]",
        explanation="A mistake in the program or in a library. No drop and no result is lost. Please report the output of "
        "`journalctl HEYGEM_EVENT=internal_error -o cat --output-fields=HEYGEM_TRACEBACK`.",
    ),
    Event(
        name="library_output",
        summary="A line that a library, or a process that opens files, wrote by itself",
        message="{source}[: {line}]",
        explanation="Not a log line of heygem itself. Most are harmless; worth reading where a file is refused that plays well.",
    ),
    Event(
        name="daemon_crashed",
        summary="The daemon ended because of an internal error; systemd starts it again",
        message="the daemon ended because of an internal error",
        explanation="Nothing is lost: the queue is in the ledger, and results that were in progress are made again. If it happens again "
        "and again, systemd gives up after a few starts: report the output of "
        "`journalctl HEYGEM_EVENT=daemon_crashed -o cat --output-fields=HEYGEM_TRACEBACK`, then run `systemctl reset-failed heygem` and "
        "`systemctl start heygem`.",
    ),
    Event(
        name="daemon_unwell",
        summary="A part of the daemon has not worked for a while; systemd restarts it unless it recovers",
        message="unhealthy[: {reason}]",
        explanation="The watchdog of systemd is not fed while this lasts: {reason}. Check the lines before this one, the disk of the "
        "state folder, and the shares.",
    ),
    Event(
        name="daemon_stopping",
        summary="The daemon was asked to stop and lets running results finish",
        message="stopping[; {running:#result} may still finish]",
        explanation="Nothing new starts. What does not finish within stop.grace_seconds goes back to the queue and costs no attempt.",
    ),
    Event(
        name="daemon_stopped",
        summary="The daemon ended",
        message="stopped",
        explanation="An orderly end: all open jobs are in the ledger and continue at the next start.",
    ),
    Event(
        name="tick_failed",
        summary="One round of the daemon failed; the next one tries again",
        message="one round of the daemon failed[ in {part}]",
        explanation="An error in the program, or an unforeseen environment. No drop and no result is lost. If it repeats, report the "
        "output of `journalctl HEYGEM_EVENT=tick_failed -o cat --output-fields=HEYGEM_TRACEBACK`.",
    ),
    Event(
        name="tick_slow",
        summary="One step of the daemon's round took longer than a second",
        message="{part} took {seconds} s",
        explanation="All that the daemon does waits for it meanwhile; nothing is lost. Often a disk or a share that answers slowly. If it "
        "repeats with fast disks, report it with the name of the part.",
    ),
    Event(
        name="entry_ignored",
        summary="Something lies in an inbox and is used for nothing",
        message="{name} in {inbox} is not used: {reason}",
        explanation="A file or folder that is no drop, no part of one and no control file, or that has the name of an unfinished copy. It "
        "has not changed for `incomplete_seconds`. It stays where it is; the page and status.json list it (`ignored` of its inbox).",
    ),
    Event(
        name="config_reloaded",
        summary="The configuration was read again",
        message="configuration read again[: {changes:; }]",
        explanation="Requested by `systemctl reload heygem`. HEYGEM_CHANGES lists what is different from now on.",
    ),
    Event(
        name="config_refused",
        summary="The configuration was read again and has errors; the previous one stays in force",
        message="new configuration refused, the previous one stays in force[: {reason}]",
        explanation="Fix the file and reload again. A restart with this file would fail.",
    ),
    Event(
        name="config_needs_restart",
        summary="A setting was changed that takes effect only at the next start",
        message="takes effect only at the next start[: {changes:; }]",
        explanation="`systemctl restart heygem`, at a convenient time: results in progress go back to the queue after stop.grace_seconds.",
    ),
    Event(
        name="ledger_damaged",
        summary="The ledger was damaged and moved aside, and a new one was started; claimed jobs are taken up again from their folders",
        message="the ledger was damaged and a new one was started[; the old one is {path}]",
        explanation="Claimed jobs go on under their ids, and what is published is not made again; for the history, stop the service and "
        "run `heygem ledger rebuild`. A ledger is damaged by a failing disk, by a state folder on a share, or by a copy restored while the "
        "daemon ran.",
    ),
    Event(
        name="ledger_unwritable",
        summary="The ledger could not be written; nothing new starts until it can",
        message="the ledger cannot be written[: {reason}]",
        explanation="Most often the disk of the state folder is full, or it was mounted read-only. Free some space; the daemon continues "
        "by itself.",
    ),
    Event(
        name="status_unwritable",
        summary="A status file could not be written; tried again later",
        message="[{job}: ]a status file could not be written[: {reason}]",
        explanation="outputs shows an old state until the file can be written, which is tried again all the time; a line status_writable "
        "follows when the daemon's own status can be written again. Check the share of outputs: its space, its permissions. `heygem check` "
        "finds most causes.",
    ),
    Event(
        name="status_writable",
        summary="The status files can be written again",
        message="the status files can be written again[ after {seconds:.0f} s]",
        explanation="What was left out meanwhile is written now; nothing needs to be done.",
    ),
    Event(
        name="metrics_unwritable",
        summary="The file for monitoring could not be written; tried again later",
        message="the file for monitoring could not be written[: {reason}]",
        explanation="Jobs are not affected. The folder of metrics.textfile must exist and belong to the service's user or group.",
    ),
    Event(
        name="swept",
        summary="Old inputs, staging folders or history were deleted",
        message="deleted what was over its keep time[: {deleted}]",
        explanation="The times are keep.done_days, keep.failed_days, keep.staging_days and keep.history_days in the configuration; 0 "
        "keeps for ever.",
    ),
    Event(
        name="sweep_incomplete",
        summary="Something that is over its keep time could not be deleted",
        message="{count:#folder} over their keep time could not be deleted, among them {path}[: {reason}]",
        explanation="It is tried again every hour. The usual reasons are files of another user in it, protected ones (`lsattr`), and "
        "mounted folders. Delete it by hand, as root.",
    ),
    Event(
        name="clock_jumped",
        summary="The clock of the computer is far ahead of what it showed before: nothing is deleted for its age until it is confirmed",
        message="the clock is {days} days ahead of what it showed before: nothing is deleted for its age until it has gone steadily for "
        "{hours} hours",
        explanation="A computer that was off for so long looks the same, and then nothing needs to be done. Otherwise correct the clock "
        "(`timedatectl`): a line clock_believed follows at once. Jobs go on meanwhile.",
    ),
    Event(
        name="clock_believed",
        summary="The clock of the computer can be believed again",
        message="the clock can be believed again: what is over its keep time is deleted",
        explanation="It was corrected, or has gone steadily for a day.",
    ),
    Event(
        name="request_taken",
        summary="A request from the command line was accepted",
        message="requested[: {verb}][ {target}]",
        explanation="`heygem retry`, `cancel`, `hold` and `resume` leave their request in the ledger; here the daemon takes it.",
    ),
    Event(
        name="request_unknown",
        summary="A request named a job that does not exist or cannot do that",
        message="no job for a request[: {verb}][ {target}]",
        explanation="No open job has this name, or its inputs are gone. `heygem status` lists the jobs. Where the request was a control "
        "file in an inbox ({target}.{verb}), it was deleted.",
    ),
    Event(
        name="control_refused",
        summary="A control file could not be applied and was deleted",
        message="[{job}: ]{control} was deleted[: {reason}]",
        explanation="A user put {control} into an inbox. A .priority file holds a whole number from -100 to 100 and nothing else. Who may "
        "ask for what is up to [users] in the configuration; whose a file is, `stat` shows.",
    ),
    Event(
        name="pause_refused",
        summary="A file PAUSE in an inbox was left aside, for only an administrator may pause",
        message="PAUSE in {inbox} was left aside[: {reason}]",
        explanation="users.pause in the configuration is admin, and the file is neither root's nor of a user in users.admins. `heygem "
        "pause` by root pauses; the file may be deleted.",
    ),
    Event(
        name="users_unknown",
        summary="Administrators of the configuration are unknown on this machine",
        message="users.admins names users that this machine does not know[: {users:; }]",
        explanation="They have no more rights than others. Correct the names, or give numbers; a directory service (LDAP) that was away "
        "is asked again at a reload.",
    ),
    Event(
        name="hook_finished",
        summary="A hook ran at the end of a job",
        message="[{job}: ]hook {hook} done[ after {seconds:.1f} s]",
        explanation="Configured by hooks.command or hooks.webhook.",
    ),
    Event(
        name="hook_failed",
        summary="A hook failed at the end of a job; the job is not affected",
        message="[{job}: ]hook {hook} failed[: {reason}]",
        explanation="The job and its results are the same as without a hook. The hook is not repeated. Try the command by hand with the "
        "job's status.json on its standard input, as the user of the service.",
    ),
    Event(
        name="queue_blocked",
        summary="Nothing starts at the moment, whatever waits",
        message="nothing new starts[: {reason}]",
        explanation="Something that every job needs is missing ({error_code}): room on the disk of outputs, outputs itself, a worker. "
        "Results in progress go on, and the queue continues by itself. docs/errors.md has a hint for every code.",
    ),
    Event(
        name="queue_continues",
        summary="What kept the queue from starting anything is over",
        message="the queue continues",
        explanation="The reason was in the line queue_blocked before this one.",
    ),
    Event(
        name="breaker_opened",
        summary="The device failed repeatedly: the queue is paused",
        message="the device failed repeatedly: the queue is paused",
        explanation="No job is lost; after retry.breaker_seconds one result at a time is tried until one succeeds. Check the device "
        "(`nvidia-smi`, `dmesg`), and the item_retrying lines before this one.",
    ),
    Event(
        name="breaker_closed",
        summary="The queue continues after device failures",
        message="the queue continues after device failures",
        explanation="The device made a result again.",
    ),
)

_INBOXES: Final = (
    Event(
        name="inbox_online",
        summary="An inbox became reachable",
        message="inbox {inbox} is reachable",
        explanation="Its drops are scanned now.",
    ),
    Event(
        name="inbox_offline",
        summary="An inbox is not reachable; its drops are neither taken nor given up",
        message="inbox {inbox} is not reachable[: {reason}]",
        explanation="The share is not mounted, does not answer, or lacks the file .heygem-inbox. None of its drops counts as gone "
        "meanwhile, and the daemon continues by itself. `heygem check` shows what is missing; a new inbox is made with "
        "`heygem init-inbox {inbox}`.",
    ),
    Event(
        name="inbox_paused",
        summary="A file PAUSE lies in an inbox: nothing new starts",
        message="inbox {inbox} is paused",
        explanation="A user put a file named PAUSE into {inbox}, or called `heygem pause`. Running results finish. `heygem resume`, or "
        "deleting the file, continues.",
    ),
    Event(
        name="inbox_resumed",
        summary="The file PAUSE was removed",
        message="inbox {inbox} continues",
        explanation="The file PAUSE is gone from {inbox}; waiting jobs start.",
    ),
    Event(
        name="drop_seen",
        summary="A new folder appeared in an inbox",
        message="{job}: a new folder[ in {inbox}]",
        explanation="It is claimed when nothing in it has changed for the settle time and every file in it opens.",
    ),
    Event(
        name="drop_incomplete",
        summary="A drop lacks something, or one of its files cannot be read yet",
        message="{job}: not complete[: {reason}]",
        explanation="It waits. A drop that is still incomplete after intake.incomplete_seconds without a change is refused with the same "
        "reason.",
    ),
    Event(
        name="drop_withdrawn",
        summary="A drop was removed before it was claimed",
        message="{job}: removed before it was claimed",
        explanation="A user moved, renamed or deleted the folder, or part of it. Nothing was made from it.",
    ),
    Event(
        name="drop_claimed",
        summary="A drop is complete and now belongs to the daemon",
        message="{job}: claimed[, {items:#result} to make][, {state}]",
        explanation="The folder was moved into .heygem/claimed of its inbox; it ends in _done or _failed.",
    ),
    Event(
        name="drop_warning",
        summary="Something in a drop is not used",
        message="{job}: {reason}",
        explanation="The job goes on without it ({error_code}). `heygem status {job}` and the job's status.json have a hint: most often a "
        "file lies beside videos/ instead of in it, or in a folder inside it.",
    ),
    Event(
        name="file_not_judged",
        summary="A file could not be judged because of an internal error",
        message="{job}: {file} could not be judged[: {reason}]",
        explanation="A mistake in the program, not in the file: please report the output of "
        "`journalctl HEYGEM_EVENT=file_not_judged -o cat --output-fields=HEYGEM_TRACEBACK`. The other files of the drop are worked on.",
    ),
    Event(
        name="drop_restored",
        summary="A drop was moved back to its inbox",
        message="{job}: moved back to its inbox[: {reason}]",
        explanation="It was claimed and did not become a job, for example because it was still being written, or the server lost power at "
        "that moment. It is treated like a new one.",
    ),
    Event(
        name="drop_lost_race",
        summary="Another process claimed a drop first",
        message="{job}: another process claimed it first",
        explanation="The folder was renamed or deleted at the moment of the claim.",
    ),
)

_JOBS: Final = (
    Event(
        name="job_queued",
        summary="A job is in the queue",
        message="{job}: queued[, {items:#result} to make][, priority {priority}]",
        explanation="Highest priority first, then the inbox served longest ago, then first in first out.",
    ),
    Event(
        name="job_waiting",
        summary="A job waits",
        message="{job}: waits[: {reason}]",
        explanation="Something that the job needs is missing ({error_code}). It is tried again with growing pauses, costs no attempt, and "
        "continues by itself. docs/errors.md has a hint for every code; `heygem check` looks for the cause.",
    ),
    Event(
        name="job_held",
        summary="A job is on hold",
        message="{job}: on hold",
        explanation="By `heygem hold`, or by a file named like the drop with the suffix .hold. `heygem resume {job_id}`, or deleting the "
        "file, releases it.",
    ),
    Event(
        name="job_released",
        summary="A job is no longer on hold",
        message="{job}: no longer on hold",
        explanation="It takes its place in the queue again.",
    ),
    Event(
        name="job_prioritized",
        summary="The priority of a job was changed by a control file",
        message="{job}: priority {priority}",
        explanation="A file named like the drop, or by the id of the job, with the suffix .priority holds the new number: from -100 to "
        "100, higher ones start first.",
    ),
    Event(
        name="job_retried",
        summary="A finished job was queued again by hand",
        message="{job}: queued again by hand",
        explanation="Results that are in outputs stay; the others are made again, with all their attempts.",
    ),
    Event(
        name="job_finished",
        summary="A job ended",
        message="{job}: {state}[, {succeeded} of {items:#result}][: {reason}]",
        explanation="The states are succeeded, partial, failed, rejected and cancelled. Unless it succeeded, its inputs are in _failed "
        "with a reason.txt, and each result that failed has a line of its own: "
        "`journalctl HEYGEM_JOB_ID={job_id} HEYGEM_EVENT=item_failed`. When the cause is fixed: `heygem retry {job_id}`.",
    ),
    Event(
        name="job_bundle_failed",
        summary="The ZIP of a job could not be written",
        message="{job}: its ZIP could not be written[: {reason}]",
        explanation="The results themselves are in outputs. Most often there is no room for a second copy of them.",
    ),
)

_FORMER_JOBS: Final = (
    Event(
        name="job_adopted",
        summary="A claimed job that the ledger does not know was taken up again",
        message="{job}: taken up again from its folders[: {state}][, {items:#result}]",
        explanation="The ledger was lost or comes from a backup. What is published of the same inputs is kept, the rest is made.",
    ),
    Event(
        name="job_moved",
        summary="The inputs of a job lie in another inbox than before",
        message="{job}: its inputs are in {inbox} now, no longer in {before}",
        explanation="The inbox was renamed or mounted elsewhere, and is in the configuration under its new path. The job goes on there.",
    ),
    Event(
        name="drop_not_adopted",
        summary="A claimed folder that the ledger does not know cannot be read now",
        message="{job_id}: not taken up again yet[: {reason}]",
        explanation="It is tried again every few seconds, then put back into its inbox; what cannot be moved either is left where it is "
        "until the next start. Look at that folder of .heygem/claimed.",
    ),
    Event(
        name="job_lost",
        summary="A status file was about a job that is neither in the ledger nor claimed",
        message="{job}: lost with the ledger; its status names that now",
        explanation="Whoever dropped it reads in its status.json to drop it again. What was published stays.",
    ),
    Event(
        name="result_missing",
        summary="A published result is no longer in outputs",
        message="{job}: [{count:#result} ]deleted or moved away",
        explanation="Somebody took it. Its status names it as missing; `heygem retry {job_id}` makes it again, while the inputs are kept.",
    ),
)

_ITEMS: Final = (
    Event(
        name="item_started",
        summary="An attempt at one result started",
        message="{job}/{item}: started[ with {engine}][, attempt {attempt}]",
        explanation="A worker has the order; item_rendered or an error follows.",
    ),
    Event(
        name="item_stage",
        summary="An attempt reached its next stage",
        message="{job}/{item}: {stage}",
        explanation='HEYGEM_STAGE: analyse, harvest, calibrate, render, verify, publish. Logged only with log.level = "debug".',
    ),
    Event(
        name="item_rendered",
        summary="A worker finished one result; it is being verified",
        message="{job}/{item}: rendered[ at {speed:.2f} times real time]; now verified",
        explanation="HEYGEM_SPEED is seconds of video made per second. The result is published when its streams, its length and its "
        "frames are right.",
    ),
    Event(
        name="item_published",
        summary="One result is in outputs",
        message="{job}/{item}: published[ after {seconds:.1f} s]",
        explanation="HEYGEM_SECONDS is the time from the start of this attempt to the file in outputs.",
    ),
    Event(
        name="item_retrying",
        summary="An attempt failed and will be repeated",
        message="{job}/{item}: attempt[ {attempt}] failed and will be repeated[: {reason}]",
        explanation="Errors of the environment wait and cost no attempt; a broken worker is replaced, up to retry.attempts. "
        "docs/errors.md explains {error_code}.",
    ),
    Event(
        name="item_failed",
        summary="One result failed permanently",
        message="{job}/{item}: failed[: {reason}]",
        explanation="The other results of the job continue. docs/errors.md explains {error_code} and has a hint, which is also in the "
        "job's status.json and in reason.txt. When the cause is fixed: `heygem retry {job_id}`.",
    ),
    Event(
        name="item_interrupted",
        summary="An attempt was interrupted; the item is back in the queue",
        message="{job}/{item}: interrupted, back in the queue[ (attempt {attempt})]",
        explanation="The daemon was stopped or died while the result was being made. It is made again from the beginning.",
    ),
    Event(
        name="item_late",
        summary="A report of an attempt that is no longer current was discarded",
        message="a late report was discarded[ ({token})]",
        explanation="A worker finished an attempt that had been cancelled or given to another worker. Its file was not published.",
    ),
)

_WORKERS: Final = (
    Event(
        name="worker_started",
        summary="A worker process was started",
        message="worker {worker} started[ on {device}][, process {pid}]",
        explanation="It loads its models; worker_ready follows.",
    ),
    Event(
        name="worker_ready",
        summary="A worker is ready",
        message="worker {worker} is ready[ on {device}]",
        explanation="From now on it makes results.",
    ),
    Event(
        name="workers_planned",
        summary="It was decided how many results are made at once",
        message="the workers make[ {items:#result} at once][, with {threads:#thread} each][ ({reason})]",
        explanation="Written at the start, and when a reload changes it. `engine.items_at_once` is a number, or auto: what the cores and "
        "the memory hold. Each result is made by a worker process of its own.",
    ),
    Event(
        name="memory_low",
        summary="Another result, or another worker, waits for memory",
        message="memory is short[: {reason}]",
        explanation="The results in progress go on, and there is always one; more start when there is room. If this is the rule, lower "
        "engine.items_at_once, or give the service more memory (MemoryMax of the unit, the limit of the container).",
    ),
    Event(
        name="worker_died",
        summary="A worker ended unexpectedly",
        message="worker {worker} ended[: {problem}]",
        explanation="A new one is started, and the interrupted result is tried again, up to retry.attempts. A signal 9 that nobody sent "
        "means that the system ran out of memory (`journalctl -k`, MemoryMax of the unit). This line has the end of its error output, "
        "and worker_output lines have more of it where log.level is debug.",
    ),
    Event(
        name="worker_output",
        summary="A line that a worker or a library in it wrote to its error output",
        message="worker {worker}[: {line}]",
        explanation="Not a log line of heygem itself, and a warning only where a worker wrote something that is not a report. Worth "
        "reading before a worker_died.",
    ),
)

_WEB: Final = (
    Event(
        name="web_started",
        summary="The page and the HTTP interface are ready",
        message="the page is at {address}",
        explanation="`heygem web` answers from now on. It opens no ledger: the daemon works with or without it.",
    ),
    Event(
        name="web_stopped",
        summary="The page ended",
        message="the page ended",
        explanation="Open uploads go on where they were once it is started again; jobs are not affected.",
    ),
    Event(
        name="web_login_refused",
        summary="Somebody gave a wrong name or password",
        message="a login[ as {user}][ from {address}] was refused",
        explanation="Attempts from one address are slowed down more and more. Many of these lines mean that somebody is guessing: block "
        "{address} in front of the page.",
    ),
    Event(
        name="web_answer_cut",
        summary="A download could not be finished and was cut",
        message="{path}: cut[: {problem}]",
        explanation="The connection was closed, so that the client does not take what it has for the whole file. Either the share does not "
        "answer, or the file changed or was deleted while it was sent, or the client took nothing for ten minutes.",
    ),
    Event(
        name="web_request_failed",
        summary="A request failed because of an internal error",
        message="{method} {path}: internal error",
        explanation="The client got an answer without details; the traceback is in this line. Please report it.",
    ),
    Event(
        name="web_server",
        summary="A message of the web server below the page",
        message="web server[: {line}]",
        explanation="Not a log line of heygem itself: clients that speak no HTTP, or connections that failed.",
    ),
)

EVENTS: Final[Mapping[str, Event]] = {
    event.name: event for event in (*_DAEMON, *_INBOXES, *_JOBS, *_FORMER_JOBS, *_ITEMS, *_WORKERS, *_WEB)
}
