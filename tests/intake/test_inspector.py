import itertools
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from heygem_daemon.core.errors import error
from heygem_daemon.core.scan import Inspection
from heygem_daemon.intake.file_check import FileChecks
from heygem_daemon.intake.inspector import CONTROL_SECONDS, PAUSES, UNJUDGED_SECONDS, MediaInspector
from heygem_daemon.media.types import MediaLimits

CACHE = Path(tempfile.gettempdir()) / "heygem-test-inspector"


@pytest.fixture
def inspector() -> Iterator[MediaInspector]:
    """Checks in threads of this process; the product's, in a process of its own, is tested in test_inspection_process."""
    inspector = MediaInspector(check=FileChecks(CACHE).seconds)
    yield inspector
    inspector.close()


@pytest.fixture(scope="module")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 2 s, a silent one, a video of 1 s, and a text file with the name of a video."""
    folder = tmp_path_factory.mktemp("drop")
    (folder / "videos").mkdir()
    for source, path in (
        ("sine=frequency=300:duration=2", "speech.wav"),
        ("anullsrc=r=16000:cl=mono:d=2", "silent.wav"),
        ("testsrc2=size=128x96:rate=25:duration=1", "videos/a.mp4"),
    ):
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, str(folder / path)], check=True, timeout=60)
    (folder / "videos/text.mp4").write_text("I am not a video")
    return folder


def wait_for(inspector: MediaInspector, signature: str, drop: Path, recordings: list[str], videos: list[str]) -> Inspection:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        inspection = inspector.inspect("job", signature, inbox="inbox", root=drop, recordings=recordings, videos=videos)
        if inspection is not None:
            return inspection
        time.sleep(0.01)
    raise AssertionError("the inspection took too long")


def test_good_files_are_measured_and_bad_ones_named(inspector: MediaInspector, drop: Path) -> None:
    inspection = wait_for(inspector, "1", drop, ["speech.wav"], ["videos/a.mp4", "videos/text.mp4"])
    assert inspection.seconds == pytest.approx({"speech.wav": 2.0, "videos/a.mp4": 1.0}, abs=0.05)
    assert {path: problem.code for path, problem in inspection.problems.items()} == {"videos/text.mp4": "not_a_video"}


def test_a_silent_recording_is_reported(inspector: MediaInspector, drop: Path) -> None:
    inspection = wait_for(inspector, "1", drop, ["silent.wav"], [])
    assert inspection.problems["silent.wav"].code == "audio_silent"


@pytest.mark.parametrize(
    ("name", "sources"),
    [("silent first.mp4", ("anullsrc=d=2", "sine=d=2")), ("opposite.wav", ("aevalsrc=.1*sin(999*t)|-.1*sin(999*t):d=2",))],
)
def test_a_recording_that_is_audible_somewhere_is_no_silence(
    inspector: MediaInspector, drop: Path, name: str, sources: tuple[str, ...]
) -> None:
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    maps = [word for number in range(len(sources)) for word in ("-map", str(number))]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, *maps, str(drop / name)], check=True, timeout=60)
    assert wait_for(inspector, "1", drop, [name], []).seconds == pytest.approx({name: 2.0}, abs=0.05)


def test_an_inspection_does_not_wait(drop: Path) -> None:
    goes_on = threading.Event()

    def wait(path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        assert goes_on.wait(60)
        return 2.0

    with closing(MediaInspector(check=wait)) as inspector:
        assert inspector.inspect("job", "1", inbox="inbox", root=drop, recordings=["speech.wav"], videos=["videos/a.mp4"]) is None
        goes_on.set()
        assert wait_for(inspector, "1", drop, ["speech.wav"], ["videos/a.mp4"]).seconds["speech.wav"] == 2.0


def test_several_files_of_an_inbox_are_open_at_once_and_not_more(drop: Path) -> None:
    at_once = threading.Barrier(3, timeout=60)
    running: list[int] = []

    def check(path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        running.append(1)
        assert len(running) <= 3
        at_once.wait()
        running.pop()
        at_once.wait()
        return 1.0

    with closing(MediaInspector(threads=3, check=check)) as inspector:
        names = [f"{number}.mp4" for number in range(9)]
        assert wait_for(inspector, "1", drop, [], names).seconds == dict.fromkeys(names, 1.0)


def test_the_files_of_one_owner_are_opened_in_turn_with_the_thousands_of_another(drop: Path) -> None:
    """The drop of another waited until every file that was put down before it had been opened."""
    opened: list[str] = []
    goes_on = threading.Event()

    def check(path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        assert goes_on.wait(60)
        opened.append(path.name)
        return 1.0

    with closing(MediaInspector(threads=1, check=check)) as inspector:
        for number in range(20):
            videos = [f"{number}-{video}.mp4" for video in range(100)]
            inspector.inspect(f"many {number}", "1", inbox="inbox", root=drop, recordings=["r.wav"], videos=videos, owner="uid 1")
        videos = ["few-0.mp4", "few-1.mp4"]
        few = partial(inspector.inspect, "one", "1", inbox="inbox", root=drop, recordings=[], videos=videos, owner="uid 2")
        assert few() is None
        goes_on.set()
        while few() is None:
            time.sleep(0.001)
    videos = [name for name in opened if name.endswith(".mp4")]
    assert videos.index("few-0.mp4") < 3
    assert videos.index("few-1.mp4") < 5


def test_it_opens_as_many_files_at_once_as_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = {}
    for cores in (1, 2, 6, 64):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        threads[cores] = MediaInspector(check=FileChecks(CACHE).seconds).threads
    assert threads == {1: 2, 2: 2, 6: 6, 64: 8}


def test_a_finding_stays_until_it_is_forgotten(inspector: MediaInspector, drop: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("text")
    first = wait_for(inspector, "1", tmp_path, [], ["a.mp4"])
    (tmp_path / "a.mp4").write_bytes((drop / "videos/a.mp4").read_bytes())
    assert inspector.inspect("job", "1", inbox="inbox", root=tmp_path, recordings=[], videos=["a.mp4"]) == first
    inspector.forget("job")
    assert wait_for(inspector, "1", tmp_path, [], ["a.mp4"]).problems == {}


def test_another_signature_starts_anew(inspector: MediaInspector, drop: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("text")
    assert wait_for(inspector, "1", tmp_path, [], ["a.mp4"]).problems
    (tmp_path / "a.mp4").write_bytes((drop / "videos/a.mp4").read_bytes())
    assert wait_for(inspector, "2", tmp_path, [], ["a.mp4"]).problems == {}


def test_a_file_that_vanished_is_a_problem_of_that_file_alone(inspector: MediaInspector, drop: Path) -> None:
    inspection = wait_for(inspector, "1", drop, ["speech.wav"], ["videos/gone.mp4"])
    assert set(inspection.problems) == {"videos/gone.mp4"}
    assert inspection.problems["videos/gone.mp4"].retryable
    assert "speech.wav" in inspection.seconds


def test_a_name_that_breaks_everything_is_reported_and_not_lost(inspector: MediaInspector, drop: Path) -> None:
    inspection = wait_for(inspector, "1", drop, [], ["videos/nul\0.mp4"])
    assert set(inspection.problems) == {"videos/nul\0.mp4"}


def test_forgetting_an_unknown_drop_is_fine(inspector: MediaInspector) -> None:
    inspector.forget("nobody")


def test_a_drop_without_media_is_done_at_once(inspector: MediaInspector, drop: Path) -> None:
    assert inspector.inspect("job", "1", inbox="inbox", root=drop, recordings=[], videos=[]) == Inspection(problems={}, seconds={})


def test_a_file_that_hangs_blocks_neither_another_inbox_nor_the_end(drop: Path) -> None:
    hung = threading.Event()

    def check(path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        if "frozen" in path.name:
            hung.wait(60)
        return 1.0

    with closing(MediaInspector(check=check)) as inspector:
        frozen = [f"frozen {number}.mp4" for number in range(12)]
        assert inspector.inspect("far", "1", inbox="far inbox", root=drop, recordings=[], videos=frozen) is None
        assert wait_for(inspector, "1", drop, ["speech.wav"], ["videos/a.mp4"]).problems == {}
        assert inspector.inspect("far", "1", inbox="far inbox", root=drop, recordings=[], videos=frozen) is None
        assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("inspect"))
        hung.set()


def test_after_the_end_no_thread_is_left(drop: Path) -> None:
    inspector = MediaInspector(check=FileChecks(CACHE).seconds)
    wait_for(inspector, "1", drop, ["speech.wav"], ["videos/a.mp4"])
    mine = [thread for thread in threading.enumerate() if thread.name == "inspect inbox"]
    assert mine
    inspector.close()
    for thread in mine:
        thread.join(60)
        assert not thread.is_alive()


class ManualClock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def inspected_after(inspector: MediaInspector, clock: ManualClock, seconds: float, drop: Path, names: list[str]) -> Inspection | None:
    """Let time pass, and return what is found once every try that was due has ended."""
    clock.now += seconds
    inspector.inspect("job", "1", inbox="inbox", root=drop, recordings=[], videos=names)
    pending = inspector._pending["job"]
    futures.wait([*(check.length for check in pending.checks.values()), *filter(None, (pending.control,))], 60)
    return inspector.inspect("job", "1", inbox="inbox", root=drop, recordings=[], videos=names)


def test_a_file_that_the_machine_kept_from_being_judged_is_opened_again_alone_with_growing_pauses(drop: Path) -> None:
    clock, opened, failures = ManualClock(), list[str](), 5

    def check(path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        opened.append(path.name)
        if path.name == "bad.mp4" and opened.count("bad.mp4") <= failures:
            raise error("io_error", problem="the share answers with an error")
        return 1.0

    with closing(MediaInspector(check=check, clock=clock)) as inspector:
        names = ["good.mp4", "bad.mp4"]
        found = inspected_after(inspector, clock, 0, drop, names)
        tries = {0: opened.count("bad.mp4")}
        for _ in range(2500):
            assert found is not None
            assert found.seconds == {"good.mp4": 1.0}
            assert found.problems["bad.mp4"].code == "io_error"
            clock.now += 0.1
            found = inspected_after(inspector, clock, 0, drop, names)
            tries.setdefault(round(clock.now * 10), opened.count("bad.mp4"))
            if found is not None and not found.problems:
                break
        assert found == Inspection(problems={}, seconds={"good.mp4": 1.0, "bad.mp4": 1.0})
    began = [min(moment for moment, count in tries.items() if count == number) / 10 for number in range(1, failures + 2)]
    pauses = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert pauses == pytest.approx([*PAUSES, PAUSES[-1]], abs=0.15)
    assert opened.count("good.mp4") == 1


def test_a_program_that_is_killed_now_and_then_is_started_again_before_anybody_hears_of_it(drop: Path) -> None:
    clock, opened = ManualClock(), list[str]()

    def check(path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        opened.append(path.name)
        if len(opened) <= 2:
            raise error("tool_killed", program="ffprobe", name=path.name, how="SIGKILL")
        return 1.0

    with closing(MediaInspector(check=check, clock=clock)) as inspector:
        assert inspected_after(inspector, clock, 0, drop, ["a.mp4"]) is None
        assert inspected_after(inspector, clock, PAUSES[0], drop, ["a.mp4"]) is None
        found = inspected_after(inspector, clock, PAUSES[1], drop, ["a.mp4"])
    assert found == Inspection(problems={}, seconds={"a.mp4": 1.0})


def test_slow_storage_gets_more_time_at_each_try(drop: Path) -> None:
    clock, patience = ManualClock(), list[float]()

    def check(path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        patience.append(limits.patience)
        raise error("storage_slow", program="ffprobe", name=path.name, seconds=200)

    with closing(MediaInspector(check=check, clock=clock)) as inspector:
        for _ in range(5):
            found = inspected_after(inspector, clock, 601, drop, ["a.mp4"])
            assert found is not None
            assert found.problems["a.mp4"].code == "storage_slow"
    assert patience == [1.0, 2.0, 4.0, 4.0, 4.0]


@pytest.mark.parametrize("code", ["tool_killed", "storage_slow", "server_short", "io_error"])
def test_a_file_that_ends_every_look_into_it_is_refused_while_others_are_judged(drop: Path, code: str) -> None:
    clock, is_ill, opened = ManualClock(), [False], list[str]()

    def check(path: Path, limits: MediaLimits, *, is_video: bool) -> float:
        opened.append(path.name)
        if is_ill[0] or path.name == "greedy.mp4":
            raise error(code, program="ffprobe", name=path.name, how="SIGKILL", seconds=200, problem="Input/output error")
        return 1.0

    def problems(inspected: MediaInspector, seconds: float) -> dict[str, str]:
        until, found = clock.now + seconds, None
        while clock.now < until:
            found = inspected_after(inspected, clock, 10, drop, ["good.mp4", "greedy.mp4"])
        return {path: problem.code for path, problem in found.problems.items()} if found is not None else {}

    with closing(MediaInspector(check=check, clock=clock)) as inspector:
        assert problems(inspector, UNJUDGED_SECONDS - 60) == {"greedy.mp4": code}
        is_ill[0] = True
        assert problems(inspector, 3 * UNJUDGED_SECONDS) == {"greedy.mp4": code}, "nothing showed that it is the file"
        assert opened.count("good.mp4") <= 2 + 3 * UNJUDGED_SECONDS / CONTROL_SECONDS
        is_ill[0] = False
        assert problems(inspector, 2 * CONTROL_SECONDS) == {"greedy.mp4": "file_unjudged"}
        tries = opened.count("greedy.mp4")
        assert problems(inspector, UNJUDGED_SECONDS) == {"greedy.mp4": "file_unjudged"}
        assert opened.count("greedy.mp4") == tries


def test_where_no_thread_can_be_started_the_files_are_opened_later(drop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    clock = ManualClock()
    with closing(MediaInspector(check=lambda *_, **__: 1.0, clock=clock)) as inspector:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            assert inspected_after(inspector, clock, 0, drop, ["a.mp4"]) is None
        assert inspected_after(inspector, clock, PAUSES[0], drop, ["a.mp4"]) == Inspection(problems={}, seconds={"a.mp4": 1.0})
