"""Storage that fails under a working daemon: nothing is lost, doubled or condemned, the right place is named, and it goes on by itself."""

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import pytest

from tests.daemon.doubles import make_film, make_speech
from tests.prove import broken_storage
from tests.prove.broken_storage import Trouble
from tests.prove.heartbeat import HeartbeatWatch
from tests.prove.instant_engine import InstantSite
from tests.prove.proof import Proof
from tests.shares.people import needs_root
from tests.web.frozen_share import frozen_share

PROOF = Proof(suite="storage")
TROUBLE_EVENTS = ("status_unwritable", "ledger_unwritable", "inbox_offline", "item_retrying", "job_waiting", "drop_incomplete")

pytestmark = needs_root


@dataclass(frozen=True, kw_only=True)
class Extent:
    """drops: put down in each trouble; hold: how long it lasts at least, in s; gap: the longest time without a heartbeat, in s."""

    drops: int
    hold: float
    gap: float
    patience: float = 240.0


SHORT = Extent(drops=1, hold=1.0, gap=10.0)
LONG = Extent(drops=10, hold=45.0, gap=2.0)
"""Longer than a status counts as fresh."""


@dataclass(kw_only=True)
class StorageSite(InstantSite):
    """Its folders may be mounted already; `prefix` are the words before the command of the daemon."""

    prefix: Sequence[str] = ()

    def __enter__(self) -> Self:
        for folder in (self.inbox, self.outputs, self.folder / "state"):
            folder.mkdir(parents=True, exist_ok=True)
        (self.inbox / ".heygem-inbox").touch()
        self.write_config()
        return self

    def write_config(self) -> None:
        (self.folder / "heygem.toml").write_text(
            f'inboxes = ["{self.inbox}"]\noutputs = "{self.outputs}"\nstate = "{self.folder / "state"}"\ncache = "{self.cache}"\n'
            f'weights = "{self.weights}"\n[intake]\nsettle_seconds = 0.3\nscan_seconds = 0.5\nanswer_seconds = 2\n'
            '[retry]\nbackoff_seconds = [0.5]\n[engine]\ndevice = "cpu"\nitems_at_once = 1\nthreads = 1\n[disk]\nreserve_bytes = 0\n'
            "[stop]\ngrace_seconds = 0\n[log]\nformat = \"json\"\n",
            encoding="utf-8",
        )  # fmt: skip

    def command(self, *arguments: str) -> tuple[str, ...]:
        return (*self.prefix, *super().command(*arguments))


@dataclass(kw_only=True)
class Stand:
    """A daemon on storage that can be broken, the drops it was given, and what is measured of it."""

    extent: Extent
    site: StorageSite
    watch: HeartbeatWatch
    speech: Path
    drops: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.watch.restart()
        environment = {**self.site.environment(self.watch.environment()), "PYTHONPATH": str(Path.cwd())}
        self.process = self.site.start(environment=environment)
        self.wait_for(lambda: self.watch.ready_at is not None, "READY")

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + self.extent.patience
        while not condition():
            assert self.process.poll() is None, f"the daemon ended: {self.tail()}"
            assert time.monotonic() < deadline, f"{what}\n{self.tail()}"
            time.sleep(0.1)

    def tail(self) -> str:
        return self.site.log_file.read_text(encoding="utf-8", errors="replace")[-6000:]

    def drop(self, count: int, into: Path | None = None) -> None:
        """Put down drops as a person does who moves folders that are ready."""
        for _ in range(count):
            name = f"lesson-{len(self.drops)}"
            made = self.site.folder / name
            (made / "videos").mkdir(parents=True)
            shutil.copyfile(self.speech, made / "speech.wav")
            shutil.copyfile(self.site.film, made / "videos/a.mp4")
            shutil.move(made, (into or self.site.inbox) / name)
            self.drops.append(name)

    def ended(self) -> Counter[str]:
        return Counter(event["job"] for event in self.site.events("job_finished") if event["state"] == "succeeded")

    def wait_until_all_is_made(self) -> None:
        self.wait_for(lambda: set(self.drops) <= set(self.ended()), f"not all of {self.drops} ended")

    def sentences(self, since: int) -> list[str]:
        """Return what the log tells of troubles since a number of lines."""
        return [event["message"] for event in self.site.events()[since:] if event["event"] in TROUBLE_EVENTS]

    # -- what is proved -----------------------------------------------------------------------------------------------

    def live_through(self, trouble: Trouble, into: Path | None = None) -> None:
        """Break the storage, put down drops, repair it; prove what is promised."""
        since, began = len(self.site.events()), time.monotonic()
        trouble.begin()
        try:
            self.drop(self.extent.drops, into)
            self.wait_for(lambda: self.is_named(trouble, since), f"nobody reads that {trouble.name}: {self.sentences(since)}")
            named = time.monotonic() - began
            time.sleep(max(self.extent.hold - named, 0.5))
            shown = self.site.call("status")
        finally:
            trouble.end()
        repaired = time.monotonic()
        self.wait_until_all_is_made()
        gap, back = self.watch.longest_gap(since=began), time.monotonic() - repaired
        bound = f"< {self.extent.gap:.0f} s"
        PROOF.row(f"Longest time without a heartbeat while {trouble.name}", f"{gap:.1f} s", bound, gap < self.extent.gap)
        text = squeezed(shown.stdout)
        is_shown = shown.returncode in {0, 5} and squeezed(str(trouble.place)) in text and squeezed(trouble.shown or trouble.words) in text
        what = f"`heygem status` shows a running daemon, the place and what is wrong with it while {trouble.name}"
        PROOF.row(what, f"exit code {shown.returncode}{'' if is_shown else f': {shown.stdout}'}", "exit code 0 or 5, and both", is_shown)
        PROOF.row(f"Until all drops are made after the repair, once {trouble.name}", f"{back:.1f} s", "< 120 s", back < 120)

    def is_named(self, trouble: Trouble, since: int) -> bool:
        return any(trouble.words in sentence and str(trouble.place) in sentence for sentence in self.sentences(since))

    def check(self, what: str) -> None:
        """Prove that every drop was made once, well, and that the daemon never ended."""
        ended, expected = self.ended(), Counter(self.drops)
        PROOF.row(f"Drops lost or made twice: {what}", f"{(expected - ended).total() + (ended - expected).total()}", "0", ended == expected)
        refused = [event for event in self.site.events("job_finished") if event["state"] != "succeeded"]
        bad = [event["message"] for event in (*self.site.events("item_failed"), *refused)]
        PROOF.row(f"Good files that failed: {what}", f"{len(bad)} {bad[:1] or ''}".strip(), "0", not bad)
        damaged = [wrong for name in self.drops if (wrong := fault_of(self.site.outputs / name / "a.mp4"))]
        PROOF.row(f"Published results that are missing or damaged: {what}", f"{len(damaged)} {damaged[:1] or ''}".strip(), "0", not damaged)
        left = [name for name in self.drops if not (self.site.inbox / "_done" / name / "speech.wav").is_file()]
        PROOF.row(f"Inputs that are not in _done: {what}", f"{len(left)}", "0", not left)
        PROOF.row(f"Ends of the daemon: {what}", "0" if self.process.poll() is None else "1", "0", self.process.poll() is None)
        slow = [f"{event['part']} {event['seconds']} s" for event in self.site.events("tick_slow")]
        PROOF.row(f"Steps of the daemon over 1 s: {what}", f"{len(slow)} {slow[:2] or ''}".strip(), "0", not slow or self.extent is SHORT)


def squeezed(text: str) -> str:
    """Return a text without white space: a terminal breaks lines anywhere."""
    return "".join(text.split())


def fault_of(path: Path) -> str:
    """Return what is wrong with a published result, which has ten frames; "" where nothing is."""
    command = ("ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", "stream=nb_read_frames", "-of", "json")
    done = subprocess.run((*command, str(path)), capture_output=True, text=True, check=False, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout or "{}")
    frames = [each.get("nb_read_frames") for each in found.get("streams", [])]
    return "" if done.returncode == 0 and frames == ["10"] else f"{path.parent.name}: {frames} frames, {done.stderr.strip()}"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: the tests compare it with what a terminal shows."""
    with TemporaryDirectory(prefix="st") as name:
        yield Path(name)


@contextmanager
def stand(folder: Path, extent: Extent, **given: Any) -> Iterator[Stand]:
    film, speech = make_film(folder / "film.mp4"), make_speech(folder / "speech.wav")
    site = StorageSite(folder=folder / "s", weights=folder / "weights", cache=folder / "cache", film=film, **given)
    with site, HeartbeatWatch(folder=folder / "notify") as watch:
        made = Stand(extent=extent, site=site, watch=watch, speech=speech)
        made.start()
        made.drop(1)
        made.wait_until_all_is_made()
        yield made
        if made.process.poll() is None:
            made.site.stop(made.process)


EXTENTS = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.prove)]


@pytest.mark.parametrize("extent", EXTENTS)
def test_outputs_that_is_full_without_inodes_or_read_only(folder: Path, extent: Extent) -> None:
    outputs = folder / "s/outputs"
    with broken_storage.memory_disk(outputs, 200, 600), stand(folder, extent) as made:
        made.live_through(broken_storage.full(outputs, "outputs (in memory)", outputs))
        if extent is LONG:
            made.live_through(broken_storage.without_inodes(outputs, "outputs (in memory)", outputs))
            made.live_through(broken_storage.read_only(outputs, "outputs (in memory)"))
        made.check("outputs in memory was full, without inodes and read-only")


@pytest.mark.prove
def test_outputs_on_ext4(folder: Path) -> None:
    outputs = folder / "s/outputs"
    with broken_storage.ext4_disk(outputs, folder / "image", 200, 600), stand(folder, LONG) as made:
        made.live_through(broken_storage.full(outputs, "outputs (ext4)", outputs))
        made.live_through(broken_storage.without_inodes(outputs, "outputs (ext4)", outputs))
        made.live_through(broken_storage.read_only(outputs, "outputs (ext4)"))
        made.check("outputs on ext4 was full, without inodes and read-only")


@pytest.mark.prove
def test_the_disk_of_the_ledger(folder: Path) -> None:
    state = folder / "s/state"
    with broken_storage.memory_disk(state, 20, 200), stand(folder, LONG) as made:
        made.live_through(broken_storage.full(state, "the disk of the ledger", state))
        made.check("the disk of the ledger was full")


@pytest.mark.prove
def test_an_inbox_that_is_unplugged_in_the_middle_of_its_jobs(folder: Path) -> None:
    inbox, source = folder / "s/inbox", folder / "plugged"
    with broken_storage.bind_mount(inbox, source), stand(folder, LONG) as made:
        made.drop(20)
        made.wait_for(lambda: made.ended().total() > 2, "the first of twenty drops")
        made.live_through(broken_storage.unplugged(inbox, source, "the inbox"), into=source)
        made.check("the inbox was unplugged and came back")


@pytest.mark.prove
def test_folders_whose_rights_are_taken_away(folder: Path) -> None:
    with stand(folder, LONG, prefix=broken_storage.WITHOUT_PRIVILEGES) as made:
        outputs, inbox = made.site.outputs, made.site.inbox
        made.live_through(broken_storage.without_rights(outputs, "outputs", "Permission denied"))
        made.live_through(broken_storage.without_rights(inbox, "the inbox", "no right to"))
        made.check("the rights on outputs and on the inbox were taken away and given back")


@pytest.mark.parametrize(
    "extent", [pytest.param(SHORT, id="short", marks=pytest.mark.slow), pytest.param(LONG, id="long", marks=pytest.mark.prove)]
)
def test_outputs_on_a_share_that_freezes(folder: Path, extent: Extent) -> None:
    with frozen_share(folder) as share, ExitStack() as stack:
        outputs = folder / "s/outputs"
        stack.enter_context(broken_storage.bind_mount(outputs, share.mounted))
        made = stack.enter_context(stand(folder, extent))
        trouble = Trouble(name="outputs is frozen", place=outputs, words="does not answer", begin=share.freeze, end=share.thaw)
        made.live_through(trouble)
        made.check("outputs was frozen and answered again")


@pytest.mark.prove
def test_an_inbox_on_a_share_that_freezes(folder: Path) -> None:
    with frozen_share(folder) as share, ExitStack() as stack:
        inbox = folder / "s/inbox"
        stack.enter_context(broken_storage.bind_mount(inbox, share.mounted))
        made = stack.enter_context(stand(folder, LONG))
        made.drop(10)
        trouble = Trouble(name="the inbox is frozen", place=inbox, words="does not answer", begin=share.freeze, end=share.thaw)
        made.live_through(trouble, into=share.served)
        made.check("the inbox was frozen and answered again")


@pytest.mark.prove
def test_a_ledger_that_is_damaged_while_the_daemon_is_dead(folder: Path) -> None:
    with stand(folder, LONG) as made:
        made.drop(20)
        made.wait_for(lambda: made.ended().total() > 3, "the first of twenty drops")
        made.process.kill()
        made.process.wait()
        for name in ("ledger.sqlite3", "ledger.sqlite3-wal"):
            broken_storage.flip_bytes(made.site.folder / "state" / name)
        made.start()
        made.drop(5)
        made.wait_until_all_is_made()
        damaged = len(made.site.events("ledger_damaged"))
        PROOF.row("A damaged ledger is noticed, moved aside and logged", f"{damaged} times", "1 time", damaged == 1)
        made.check("the ledger was damaged under a dead daemon")
