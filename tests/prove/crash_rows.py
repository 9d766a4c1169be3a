"""The rows of the crash matrix: which process is killed at which moments, one start after the other."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from heygem_daemon.core.job import FINAL
from tests.prove import crash_scenarios as scenarios
from tests.prove.crash_engine import SESSION
from tests.prove.crash_scenarios import BROKEN, CONTROLLED, DEADLY, EXPIRED, FLAT, FULL, OTHER_FORMATS, REAL, RETRIED, SINGLE, UPLOADED
from tests.prove.crash_site import Scenario, ToolKill
from tests.prove.kill_points import AFTER, BEFORE, Kill, Passage
from tests.prove.killed_process import DAEMON, INSPECTION, WORKER
from tests.prove.upload_process import UPLOAD


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One row. group: the step of the life of a drop that it is about. kills: of each start one after the other. starts: how many attempts
    must have been counted in the end, None where that depends on the moment."""

    group: str
    scenario: Scenario
    kills: tuple[Mapping[str, Kill], ...] = ()
    tools: tuple[ToolKill, ...] = ()
    attempts: int = 3
    session: str | None = SESSION
    starts: int | None = None


SHORT_FORM: Final = "short form"
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "start": scenarios.START,
    "claim": scenarios.CLAIM,
    "making the claim durable": scenarios.PERSIST,
    "ledger": scenarios.LEDGER,
    "start of an attempt": scenarios.ATTEMPT,
    "check and publication": scenarios.PUBLISH,
    "ZIP": scenarios.ZIP,
    "status files and logs": scenarios.STATUS,
    "archive and reason.txt": scenarios.FINISH,
    "control files": scenarios.CONTROL,
    "retry": scenarios.RETRY,
    "retention": scenarios.RETENTION,
    "recovery": scenarios.RECOVER,
}

ALWAYS: Final = tuple(
    Kill(step=step, write=write)
    for step, write in (
        ("heygem_daemon.wiring.instance_lock:only_instance", BEFORE),
        ("heygem_daemon.ledger.sqlite:SqliteLedger.__init__", AFTER),
        ("heygem_daemon.daemon.recovery:recover_jobs", BEFORE),
        ("heygem_daemon.daemon.recovery:recover_jobs", AFTER),
        ("heygem_daemon.executors.local:LocalExecutor.start", AFTER),
        ("heygem_daemon.intake.scanner:FolderScanner.scan", BEFORE),
        ("heygem_daemon.intake.scanner:FolderScanner.scan", AFTER),
        ("heygem_daemon.daemon.recovery:recover_claims", BEFORE),
        ("heygem_daemon.daemon.recovery:recover_claims", AFTER),
        ("heygem_daemon.daemon.inboxes:Inboxes.scan", AFTER),
        ("heygem_daemon.daemon.dispatcher:Dispatcher.start", AFTER),
        ("heygem_daemon.publishing.status_files:StatusFiles.write_daemon", BEFORE),
        ("heygem_daemon.publishing.status_files:StatusFiles.write_daemon", AFTER),
        ("heygem_daemon.daemon.main_loop:Daemon.tick", AFTER),
    )
)
"""Moments that every start comes through, whatever the last one left."""


_BY_TIME: Final = tuple(f"heygem_daemon.publishing.status_files:StatusFiles.{name}" for name in ("write_daemon", "append_log", "write_job"))
"""Steps of which there are more calls where the machine is slow: only the first of each kind is sure to come."""


def moments(passages: Sequence[Passage]) -> list[Kill]:
    """Return every moment of the first and of the last call of each step, told apart by what they are about."""
    last = {(each.step, each.label): each.call for each in passages if each.step not in _BY_TIME or each.label in FINAL}
    return [kill for each in passages if each.call in {1, last.get((each.step, each.label))} for kill in each.kills()]


def group_of(kill: Kill) -> str:
    return next(name for name, steps in GROUPS.items() if kill.step in steps)


def daemon_rows(record: Callable[[Scenario, Sequence[Mapping[str, Kill]]], Sequence[Passage]]) -> Iterator[Planned]:
    """Yield a row for every moment of every scenario; every other one kills the next start too, every sixth the one after it as well."""
    number = 0
    for scenario in (FULL, FLAT, BROKEN, CONTROLLED, RETRIED, EXPIRED):
        for kill in moments(record(scenario, ())):
            again = [ALWAYS[(number + further * 5) % len(ALWAYS)] for further in range((number % 2) + (number % 6 == 1))]
            yield Planned(group=group_of(kill), scenario=scenario, kills=tuple({DAEMON: each} for each in (kill, *again)))
            number += 1


INTERRUPTIONS: Final[tuple[tuple[Scenario, Kill], ...]] = (
    (SINGLE, Kill(step=scenarios.CLAIM[0], write=AFTER)),
    (SINGLE, Kill(step=scenarios.LEDGER[0], label="queued 0/1", write=AFTER)),
    (SINGLE, Kill(step=scenarios.ATTEMPT[1], write=AFTER)),
    (SINGLE, Kill(step=scenarios.PUBLISH[2], write=AFTER)),
    (SINGLE, Kill(step=scenarios.LEDGER[0], label="succeeded 1/1", write=AFTER)),
    (SINGLE, Kill(step=scenarios.FINISH[0], write=AFTER)),
    (FLAT, Kill(step=scenarios.CLAIM[0], write=AFTER)),
)
"""What the recovery of each is different from that of the others."""


def recovery_rows(record: Callable[[Scenario, Sequence[Mapping[str, Kill]]], Sequence[Passage]]) -> Iterator[Planned]:
    """Yield rows that kill a start while it recovers, at every moment of that, and the start after it too."""
    for number, (scenario, first) in enumerate(INTERRUPTIONS):
        watched = Scenario(name=scenario.name, prepare=scenario.prepare, steps=(*scenarios.RECOVER, *scenarios.FINISH))
        for place, kill in enumerate(moments(record(watched, [{DAEMON: first}]))):
            third = ALWAYS[(number + place) % len(ALWAYS)]
            yield Planned(group="recovery", scenario=scenario, kills=({DAEMON: first}, {DAEMON: kill}, {DAEMON: third}))


_SERVE: Final = "heygem_daemon.worker.loop:serve"
_RUN: Final = "tests.prove.crash_engine:InstantSession.run"
_WORKER_MOMENTS: Final = (
    Kill(step=_SERVE, write=BEFORE),
    *(Kill(step="heygem_daemon.worker.loop:work_on", write=write) for write in (BEFORE, AFTER)),
    *(Kill(step=_RUN, write=write) for write in (BEFORE, 1, AFTER)),
    *(Kill(step="tests.prove.crash_engine:InstantSession.encode", write=write) for write in (BEFORE, AFTER)),
    *(Kill(step="tests.prove.crash_engine:InstantSession.encode", delay_ms=delay) for delay in (3, 10, 20, 30, 40, 60)),
    *(Kill(step="heygem_daemon.worker.protocol:encode", call=call, write=write) for call in (2, 3, 4) for write in (BEFORE, AFTER)),
)
_INSPECTION_MOMENTS: Final = (
    *(
        Kill(step="heygem_daemon.intake.file_check:FileChecks.seconds", call=call, write=write)
        for call in (1, 2)
        for write in (BEFORE, AFTER)
    ),
    *(Kill(step="heygem_daemon.intake.file_check:FileChecks.seconds", delay_ms=delay) for delay in (5, 20, 50)),
    *(Kill(step="heygem_daemon.media.kept_speech:measure_and_keep", write=write) for write in (BEFORE, 1, 2, AFTER)),
)


def worker_rows() -> Iterator[Planned]:
    """Yield rows in which the worker dies, once and twice: a third death may end its item."""
    for kill in _WORKER_MOMENTS:
        is_over = kill == Kill(step="heygem_daemon.worker.loop:work_on", write=AFTER)  # its success is reported: there is no second time
        for times in (1,) if is_over else (1, 2):
            starts = 1 if is_over or kill.step == _SERVE else 1 + times
            yield Planned(group="worker", scenario=SINGLE, kills=({WORKER: _times(kill, times)},), starts=starts)
    deadly = Kill(step=_RUN, write=BEFORE, times=3)
    yield Planned(group="bounded attempts", scenario=DEADLY, kills=({WORKER: deadly},), starts=3)
    submitted = {DAEMON: Kill(step=scenarios.ATTEMPT[1], write=AFTER)}
    yield Planned(group="bounded attempts", scenario=DEADLY, kills=(submitted,) * 3, starts=3)


def inspection_rows() -> Iterator[Planned]:
    """Yield rows in which the process that looks into files dies, once and three times."""
    for kill in _INSPECTION_MOMENTS:
        for times in (1, 3) if kill.call == 1 else (1,):  # the next process is asked about one file alone
            yield Planned(group="inspection", scenario=SINGLE, kills=({INSPECTION: _times(kill, times)},))


def tool_rows() -> Iterator[Planned]:
    """Yield rows in which ffprobe and ffmpeg die: while files are looked into, while a result is made, while it is checked."""
    for tool, pattern in (
        ("ffprobe", "format_name,probe_score"),
        ("ffprobe", "-show_format"),
        ("ffprobe", "-read_intervals"),
        ("ffmpeg", "s16le"),
    ):
        for milliseconds in (0, 15, 40):
            for times in (1, 3):
                yield _tool_row("inspection", OTHER_FORMATS, tool, pattern, milliseconds, times)
    for milliseconds in (0, 10, 25, 50):
        yield _tool_row("check and publication", SINGLE, "ffprobe", "-count_frames", milliseconds, 1)
        yield _tool_row("encode", SINGLE, "ffmpeg", "comment=", milliseconds, 1)


def _tool_row(group: str, scenario: Scenario, tool: str, pattern: str, milliseconds: int, times: int) -> Planned:
    kill = ToolKill(tool=tool, pattern=f"*{pattern}*", milliseconds=milliseconds, times=times)
    return Planned(group=group, scenario=scenario, tools=(kill,))


def upload_rows() -> Iterator[Planned]:
    """Yield rows in which the page dies while it makes a finished upload a drop, at every write of that."""
    for write in (BEFORE, *range(1, 12), AFTER):
        kill = Kill(step="heygem_daemon.web.uploads.drop_folder:publish", write=write)
        yield Planned(group="finished upload", scenario=UPLOADED, kills=({UPLOAD: kill},))


_PIPELINE: Final[Mapping[str, Iterable[Kill]]] = {
    "learn": (
        Kill(step="heygem_daemon.lipsync.face.track_video:cached_tracks", delay_ms=300),
        *(Kill(step="heygem_daemon.lipsync.cache:Cache._build", write=write) for write in (1, 3, 6, AFTER)),
        *(Kill(step="heygem_daemon.lipsync.cache:_seal", call=call, write=write) for call in (1, 2) for write in (BEFORE, 2, AFTER)),
        Kill(step="heygem_daemon.lipsync.atlas.store:save", write=BEFORE),
    ),
    "decode": (
        Kill(step="heygem_daemon.media.kept_speech:kept_speech", write=BEFORE),
        Kill(step="heygem_daemon.media.reader:VideoReader.play", delay_ms=30),
    ),
    "render": tuple(Kill(step="heygem_daemon.lipsync.render_loop:render_frames", delay_ms=delay) for delay in (1, 100, 300)),
    "encode": (
        *(Kill(step="heygem_daemon.media.writer:VideoWriter.write", call=call, write=BEFORE) for call in (1, 10, 40)),
        Kill(step="heygem_daemon.media.writer:VideoWriter.__exit__", write=BEFORE),
        Kill(step="heygem_daemon.media.writer:VideoWriter.__exit__", write=AFTER),
    ),
    "thumbnail": (Kill(step="heygem_daemon.lipsync.thumbnail:write_jpeg", write=BEFORE),),
}


def engine_rows() -> Iterator[Planned]:
    """Yield rows with the real engine: its worker dies while it learns a presenter, decodes, renders, encodes; and its ffmpeg."""
    for group, kills in _PIPELINE.items():
        for kill in kills:
            yield Planned(group=group, scenario=REAL, kills=({WORKER: kill},), session=None)
    for pattern, milliseconds, group in (("rawvideo*libx264", 200, "encode"), ("libx264", 0, "encode"), ("-f rawvideo", 30, "decode")):
        tool = ToolKill(tool="ffmpeg", pattern=f"*{pattern}*", milliseconds=milliseconds)
        yield Planned(group=group, scenario=REAL, tools=(tool,), session=None)


def delicate_row() -> Planned:
    """Return the short form: one drop whose daemon is killed at each of the most delicate steps, one start after the other."""
    claims, publisher = "heygem_daemon.intake.claims:FolderClaims", "heygem_daemon.publishing.publish:FolderPublisher"
    kills = (
        Kill(step=f"{claims}.claim", write=AFTER),
        Kill(step=f"{claims}.unclaim", write=AFTER),
        Kill(step=f"{claims}.persist", write=AFTER),
        Kill(step=scenarios.LEDGER[0], label="queued 0/1", write=5),
        Kill(step=scenarios.LEDGER[0], label="queued 0/1", write=AFTER),
        Kill(step=f"{publisher}.stage", write=AFTER),
        Kill(step=scenarios.ATTEMPT[1], write=AFTER),
        Kill(step=f"{publisher}._move_into_outputs", write=AFTER),
        Kill(step="heygem_daemon.daemon.recovery:recover_jobs", write=AFTER),
        Kill(step="heygem_daemon.publishing.status_files:StatusFiles.write_job", label="succeeded", write=5),
        Kill(step=f"{claims}.finish", write=6),
        Kill(step=f"{claims}.finish", write=AFTER),
    )
    return Planned(group=SHORT_FORM, scenario=SINGLE, kills=tuple({DAEMON: kill} for kill in kills), attempts=20)


def _times(kill: Kill, times: int) -> Kill:
    return Kill(step=kill.step, label=kill.label, call=kill.call, write=kill.write, delay_ms=kill.delay_ms, times=times)
