"""An installation whose processes are killed at chosen moments, and started again until all is done: one row of the crash matrix.

Daemon, worker and inspection are the real programs, started through `killed_process`. ffmpeg and ffprobe are found through a folder in
front of PATH: a script there that starts the real one and, once per order, kills it.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from heygem_daemon.core.job import State
from heygem_daemon.core.names import DONE, MARKER
from heygem_daemon.core.status import DaemonStatus, JobStatus
from heygem_daemon.web.uploads import draft_store
from tests.prove.crash_engine import FILM_VARIABLE, FRAME_RATE, FRAMES, SESSION, make_film
from tests.prove.invariants import ExpectedDrop, StatusWatch, check_at_rest, is_at_rest, wait_for_no_process
from tests.prove.kill_points import UNKNOWN_STEP_STATUS, Kill, Passage, Plan, passages
from tests.prove.killed_process import DAEMON, INSPECTION, PLAN_VARIABLE, SESSION_VARIABLE, WORKER
from tests.prove.prepared_daemons import Prepared, PreparedDaemons
from tests.prove.upload_process import UPLOAD, sweep

ROOT: Final = Path(__file__).resolve().parents[2]
SITE_VARIABLE: Final = "PROVE_SITE"
TOOLS_VARIABLE: Final = "PROVE_TOOLS"
PATIENCE: Final = 300.0
"""s that a daemon may take until it is killed, or until it has nothing left to do."""
ORPHAN_SECONDS: Final = 8.0
"""s after which nothing that a killed daemon started may be there. A worker that does not hear its signal ends itself after 5 s."""
CHECK_SECONDS: Final = 0.03
REST_SECONDS: Final = 0.4
"""How long a site must have been at rest before a planned kill counts as one that did not happen."""
_SETTINGS: Final = """
[intake]
settle_seconds = 0.1
scan_seconds = 0.2
incomplete_seconds = 0.6
[engine]
device = "cpu"
items_at_once = 1
threads = 1
{engine}
[retry]
attempts = {attempts}
backoff_seconds = [0.3]
[disk]
reserve_bytes = 0
[stop]
grace_seconds = 0
"""


@dataclass(frozen=True, kw_only=True)
class Material:
    """What drops and results are made of, made once."""

    folder: Path
    film: Path
    speech: Path
    video: Path
    voice: Path
    face: Path

    @classmethod
    def make(cls, folder: Path, voice: Path, face: Path) -> Self:
        """voice, face: a recording and a video that the real engine can work with."""
        film = make_film(folder)
        video = folder / "video.mp4"
        source = f"testsrc2=size=160x120:rate={FRAME_RATE}:duration=0.4"
        command = ("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", "-preset", "ultrafast", str(video))
        subprocess.run(command, check=True, timeout=60)
        speech = folder / "speech.wav"
        time_s = np.arange(int(16000 * FRAMES / FRAME_RATE)) / 16000
        samples = (8000 * np.sin(2 * np.pi * 220 * time_s)).astype("<i2")
        with wave.open(str(speech), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
        for source_file, name in ((speech, "speech.mp3"), (video, "video.mkv")):
            subprocess.run(("ffmpeg", "-v", "error", "-y", "-i", str(source_file), str(folder / name)), check=True, timeout=60)
        return cls(folder=folder, film=film, speech=speech, video=video, voice=voice, face=face)

    def unique_speech(self, number: int) -> bytes:
        """Return a recording that no other drop has: its last samples differ."""
        content = self.speech.read_bytes()
        return content[:-8] + number.to_bytes(2, "little") * 4

    def unique_video(self, number: int) -> bytes:
        """Return a video that no other drop has: it ends in a box that players skip."""
        return self.video.read_bytes() + (24).to_bytes(4, "big") + b"free" + f"{number:016d}".encode()

    def unique_mp3(self, number: int) -> bytes:
        """Return the same recording as an MP3, with an ID3v1 tag of its own."""
        return (self.folder / "speech.mp3").read_bytes() + b"TAG" + f"{number:0125d}".encode()

    def unique_mkv(self, number: int) -> bytes:
        """Return the same video in Matroska, with a void element of its own behind it."""
        return (self.folder / "video.mkv").read_bytes() + b"\xec\x90" + f"{number:016d}".encode()


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A situation and how it must end. prepare: puts the drops down and returns how they must end.

    steps: the named steps of the daemon that are killed in it. may_reopen: a finished job is tried again. check: returns what else is wrong
    in the end, and so long it is not over."""

    name: str
    prepare: Callable[["CrashSite"], Sequence[ExpectedDrop]]
    steps: tuple[str, ...]
    may_reopen: bool = False
    check: Callable[["CrashSite"], list[str]] = lambda _site: []

    def is_over(self, site: "CrashSite", drops: Sequence[ExpectedDrop]) -> bool:
        return is_at_rest(site.inbox, site.outputs, drops) and not self.check(site)


@dataclass(frozen=True, kw_only=True)
class ToolKill:
    """ffmpeg or ffprobe dies so many ms after its start, so many times, where its words match a pattern of the shell."""

    tool: str
    pattern: str
    milliseconds: int
    times: int = 1

    def __str__(self) -> str:
        return f"{self.tool} {self.pattern} {self.milliseconds} ms in"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of one row: how many kills were planned and happened, what was wrong, and how often status files were read."""

    scenario: str
    kills: tuple[str, ...]
    happened: int
    polls: int
    compared: int
    seconds: float
    problems: tuple[str, ...]

    @property
    def was_hit(self) -> bool:
        """Whether every planned kill happened."""
        return self.happened >= len(self.kills)


@dataclass(kw_only=True)
class CrashSite:
    """A small installation in a folder; use as a context manager: no process outlives it."""

    folder: Path
    material: Material
    weights: Path
    daemons: PreparedDaemons
    engine: str = ""
    attempts: int = 3
    session: str | None = SESSION
    cache: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    numbers: int = 0
    _processes: list[Prepared] = field(default_factory=list)
    _generation: int = 0

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def ledger(self) -> Path:
        return self.folder / "state" / "ledger.sqlite3"

    @property
    def log_file(self) -> Path:
        return self.folder / "daemon.log"

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("inbox", "outputs", "state", "marks", "tools"):
            (self.folder / name).mkdir(parents=True)
        (self.inbox / MARKER).touch()
        settings = _SETTINGS.format(engine=self.engine, attempts=self.attempts)
        places = {
            "outputs": self.outputs,
            "state": self.folder / "state",
            "cache": self.cache or self.folder / "cache",
            "weights": self.weights,
        }
        lines = [f'inboxes = ["{self.inbox}"]', *(f'{name} = "{path}"' for name, path in places.items())]
        self.config.write_text("\n".join(lines) + settings, encoding="utf-8")
        _write_tools(self.folder / "tools")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait(30)

    @property
    def config(self) -> Path:
        return self.folder / "heygem.toml"

    # -- drops ----------------------------------------------------------------------------------------------------

    def drop(
        self, name: str, videos: Sequence[str] = ("a.mp4",), files: Mapping[str, bytes] | None = None, *, flat: bool = False
    ) -> ExpectedDrop:
        """Put a whole drop down by one rename, and return how a good one ends. files: further ones, or others in place of the usual."""
        contents = {"speech.wav": self.material.unique_speech(self._next()), **{f"videos/{video}": self._video() for video in videos}}
        drop = self.drop_of(name, {**contents, **(files or {})}, flat=flat)
        comments = {video: "-".join(drop.files[path][:16] for path in ("speech.wav", f"videos/{video}")) for video in videos}
        return replace(drop, results=comments)

    def drop_of(self, name: str, contents: Mapping[str, bytes], *, flat: bool = False) -> ExpectedDrop:
        """Put these files down by one rename."""
        upload = self.folder / "upload" / (name or "flat")
        for path, content in contents.items():
            (upload / path).parent.mkdir(parents=True, exist_ok=True)
            (upload / path).write_bytes(content)
        for part in os.listdir(upload) if flat else ():
            (upload / part).rename(self.inbox / part)
        if not flat:
            upload.rename(self.inbox / name)
        return self.expected(name, contents)

    def expected(self, name: str, contents: Mapping[str, bytes]) -> ExpectedDrop:
        """Return how a good drop of these files ends, but for its results."""
        hashes = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
        return ExpectedDrop(name=name, state=State.SUCCEEDED, place=DONE, files=hashes, attempts=self.attempts)

    def _video(self) -> bytes:
        return self.material.unique_video(self._next())

    def _next(self) -> int:
        self.numbers += 1
        return self.numbers

    # -- processes ------------------------------------------------------------------------------------------------

    def start(self, plan: Plan) -> Prepared:
        """Start a daemon that follows this plan."""
        self._generation += 1
        path = self.folder / f"plan-{self._generation}.json"
        plan.write(path)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HEYGEM_", "COV_"))},
            "PYTHONPATH": str(ROOT),
            "PATH": f"{self.folder / 'tools'}:{os.environ['PATH']}",
            PLAN_VARIABLE: str(path),
            SITE_VARIABLE: str(self.folder),
            TOOLS_VARIABLE: str(self.folder / "tools"),
            FILM_VARIABLE: str(self.material.film),
            **({SESSION_VARIABLE: self.session} if self.session else {}),
            **self.environment,
        }
        process = self.daemons.start((DAEMON, "run", "--config", str(self.config)), environment, self.log_file)
        self._processes.append(process)
        return process

    def is_up(self, process: Prepared) -> bool:
        """Return whether this daemon has written its own status: its signal handlers are there, and its first round is over."""
        with suppress(OSError, ValueError):
            return DaemonStatus.read((self.outputs / "status.json").read_bytes()).pid == process.pid
        return False

    def plan(self, kills: Mapping[str, Kill] | None = None, **record: Any) -> Plan:
        """Return a plan with marks of its own."""
        marks = self.folder / "marks" / str(self._generation + 1)
        marks.mkdir(parents=True, exist_ok=True)
        return Plan(marks=str(marks), kills=kills or {}, **record)

    def marks(self) -> int:
        """Return how many processes have died as planned, over all starts."""
        return sum(1 for path in (self.folder / "marks").rglob("*") if path.is_file()) + len(list((self.folder / "tools").glob("killed-*")))

    def finish_uploads(self, kill: Kill) -> list[str]:
        """Have every draft made a drop by a process that is killed, and by one more that is not; return what went wrong."""
        problems = []
        for draft_id in draft_store.ids(self.inbox):
            for kills in ({UPLOAD: kill}, {}):
                path = self.folder / f"plan-upload-{len(kills)}.json"
                self.plan(kills).write(path)
                command = (sys.executable, "-m", "tests.prove.killed_process", UPLOAD, str(self.inbox), draft_id)
                environment = {**os.environ, "PYTHONPATH": str(ROOT), PLAN_VARIABLE: str(path)}
                ended = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, timeout=60)
                if ended.returncode != (-signal.SIGKILL if kills else 0):
                    problems.append(f"exit: the upload ended with {ended.returncode}: {ended.stderr.decode()[-1000:]}")
        return problems

    def events(self, *names: str) -> list[str]:
        """Return the log lines that name one of these events."""
        text = self.log_file.read_text(encoding="utf-8", errors="replace")
        return [line for line in text.splitlines() if any(f'"event": "{name}"' in line or f'"event":"{name}"' in line for name in names)]

    def lines(self, text: str) -> list[str]:
        """Return the log lines that hold a text."""
        return [line for line in self.log_file.read_text(encoding="utf-8", errors="replace").splitlines() if text in line]

    def sweep_staging(self) -> None:
        """Let the product delete what attempts left that died, as it does a day later."""
        if any((self.outputs / ".heygem/staging").glob("*")):
            command = (sys.executable, "-m", DAEMON, "sweep", "--config", str(self.config))
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "HEYGEM_KEEP__STAGING_DAYS": "0.000001"}
            subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=60)

    def order(self, kills: Sequence[ToolKill]) -> None:
        """Have ffmpeg or ffprobe killed as planned, each the next time that its words match."""
        for number, kill in enumerate(each for wanted in kills for each in (wanted,) * wanted.times):
            text = f"{kill.milliseconds / 1000:.3f}\n{kill.pattern}\n"
            (self.folder / "tools" / f"order-{kill.tool}-{number}").write_text(text, encoding="ascii")


_TOOL: Final = """#!/bin/sh
for order in "$PROVE_TOOLS"/order-{tool}-*; do
    [ -e "$order" ] || break
    {{ read -r delay; read -r pattern; }} < "$order" || continue
    case "$*" in
        *$pattern*)
            taken="$PROVE_TOOLS/killed-${{order##*/}}-$$"
            mv "$order" "$taken" 2>/dev/null || continue
            exec 3<&0
            "{real}" "$@" <&3 3<&- &
            child=$!
            sleep "$delay"
            kill -9 $child 2>/dev/null
            kill -9 $$
            ;;
    esac
done
exec "{real}" "$@"
"""


def _write_tools(folder: Path) -> None:
    for tool in ("ffmpeg", "ffprobe"):
        path = folder / tool
        path.write_text(_TOOL.format(tool=tool, real=shutil.which(tool)), encoding="ascii")
        path.chmod(0o755)


# -- one row ----------------------------------------------------------------------------------------------------------


def run_row(
    site: CrashSite,
    scenario: Scenario,
    kills: Sequence[Mapping[str, Kill]],
    tools: Sequence[ToolKill] = (),
    starts: int | None = None,
) -> Row:
    """Prepare the scenario, start a daemon for each of `kills` one after the other, then one that is left alone until all is over.

    tools: kills of ffmpeg and ffprobe, which happen under the last daemon. starts: how many attempts must have been counted."""
    began = time.monotonic()
    with site:
        drops = scenario.prepare(site)
        problems: list[str] = []
        watch = StatusWatch(outputs=site.outputs, ledger=site.ledger, attempts=site.attempts, may_reopen=scenario.may_reopen)
        with watch:
            for kill in kills:
                problems += _run_until_killed(site, scenario, drops, kill)
            site.order(tools)
            problems += _run_until_rest(site, scenario, drops)
        watch.poll()
        problems += [f"status: {sentence}" for sentence in watch.violations]
        problems += [f"orphan: {sentence}" for sentence in wait_for_no_process(SITE_VARIABLE, str(site.folder), ORPHAN_SECONDS)]
        site.sweep_staging()
        sweep(site.inbox)
        problems += check_at_rest(site.inbox, site.outputs, site.ledger, drops)
        problems += scenario.check(site)
        problems += _wrong_starts(site, drops, starts)
        problems += _wrong_events(site)
        if problems:
            problems.append(f"log: {site.log_file.read_text(encoding='utf-8', errors='replace')[-6000:]}")
        happened = site.marks()
    planned = [f"{_role(module)}: {kill}" for each in kills for module, kill in each.items() for _ in range(kill.times)]
    planned += [str(tool) for tool in tools for _ in range(tool.times)]
    return Row(
        scenario=scenario.name,
        kills=tuple(planned),
        happened=happened,
        polls=watch.polls,
        compared=watch.compared,
        seconds=time.monotonic() - began,
        problems=tuple(problems),
    )


def _role(module: str) -> str:
    return {DAEMON: "daemon", WORKER: "worker", INSPECTION: "inspection", UPLOAD: "page"}[module]


def run_unharmed(site: CrashSite, drops: Sequence[ExpectedDrop]) -> None:
    """Run a daemon until these drops are over, as a beginning for what follows. Raises AssertionError where that fails."""
    problems = _run_until_rest(site, Scenario(name="", prepare=lambda _site: (), steps=()), drops)
    assert not problems, problems


def record(site: CrashSite, scenario: Scenario, kills: Sequence[Mapping[str, Kill]] = ()) -> list[Passage]:
    """Return what a daemon comes through in this scenario where nothing is killed, or after these kills. Raises AssertionError where that
    alone fails."""
    with site:
        drops = scenario.prepare(site)
        path = site.folder / "record.jsonl"
        problems = [problem for kill in kills for problem in _run_until_killed(site, scenario, drops, kill)]
        problems += _run_until_rest(site, scenario, drops, site.plan(record=str(path), steps={DAEMON: scenario.steps}))
        assert not problems, f"{scenario.name}: {problems}\n{site.log_file.read_text(encoding='utf-8')[-3000:]}"
        return passages(path)


def _run_until_killed(site: CrashSite, scenario: Scenario, drops: Sequence[ExpectedDrop], kills: Mapping[str, Kill]) -> list[str]:
    """Start a daemon and wait until it is killed; where only others of its processes are, until all is over."""
    if UPLOAD in kills:
        return site.finish_uploads(kills[UPLOAD])
    process = site.start(site.plan(kills))
    if DAEMON not in kills:
        return _wait_for_rest(site, scenario, drops, process)
    deadline, at_rest_since = time.monotonic() + PATIENCE, None
    while process.poll() is None:
        if time.monotonic() > deadline:
            return _end(process, f"stuck: neither killed nor at rest within {PATIENCE:.0f} s")
        if not (site.is_up(process) and scenario.is_over(site, drops)):
            at_rest_since = None
        elif at_rest_since is None:
            at_rest_since = time.monotonic()
        elif time.monotonic() - at_rest_since > REST_SECONDS:
            return _stop_where_missed(site, process)
        time.sleep(CHECK_SECONDS)
    return [] if process.returncode == -signal.SIGKILL else [_ended(site, process)]


def _stop_where_missed(site: CrashSite, process: Prepared) -> list[str]:
    """Stop a daemon that has nothing left to do: its kill may be planned for that."""
    process.send_signal(signal.SIGTERM)
    try:
        status = process.wait(30)
    except subprocess.TimeoutExpired:
        return _end(process, "stuck: it did not stop within 30 s")
    return [] if status in {0, -signal.SIGKILL} else [_ended(site, process)]


def _run_until_rest(site: CrashSite, scenario: Scenario, drops: Sequence[ExpectedDrop], plan: Plan | None = None) -> list[str]:
    return _wait_for_rest(site, scenario, drops, site.start(plan or site.plan()))


def _wait_for_rest(site: CrashSite, scenario: Scenario, drops: Sequence[ExpectedDrop], process: Prepared) -> list[str]:
    """Wait until all is over, then stop the daemon in good order."""
    deadline = time.monotonic() + PATIENCE
    while not (site.is_up(process) and scenario.is_over(site, drops)):
        if process.poll() is not None:
            return [_ended(site, process)]
        if time.monotonic() > deadline:
            tree = subprocess.run(("find", site.inbox, site.outputs), capture_output=True, check=False, text=True).stdout
            return _end(process, f"stuck: not at rest within {PATIENCE:.0f} s:\n{tree}")
        time.sleep(CHECK_SECONDS)
    time.sleep(0.1)
    return _stop_where_missed(site, process)


def _end(process: Prepared, problem: str | None) -> list[str]:
    process.kill()
    process.wait(30)
    return [problem] if problem else []


def _ended(site: CrashSite, process: Prepared) -> str:
    assert process.returncode != UNKNOWN_STEP_STATUS, site.log_file.read_text(encoding="utf-8")[-500:]
    return f"exit: the daemon ended with {process.returncode}: {site.log_file.read_text(encoding='utf-8')[-2000:]}"


def _wrong_starts(site: CrashSite, drops: Sequence[ExpectedDrop], starts: int | None) -> list[str]:
    """Return where not so many attempts were counted."""
    counted = [item.attempt for drop in drops for item in JobStatus.read((site.outputs / drop.name / "status.json").read_bytes()).items]
    return [f"state: attempts {counted} were counted, and not {starts}"] if starts is not None and sum(counted) != starts else []


def _wrong_events(site: CrashSite) -> list[str]:
    """Return what the log tells of mistakes of the program itself."""
    lines = [*site.events("tick_failed", "daemon_crashed", "ledger_damaged", "daemon_unwell"), *site.lines('"error_code": "internal"')]
    return [f"fault: {line[:1500]}" for line in lines]
