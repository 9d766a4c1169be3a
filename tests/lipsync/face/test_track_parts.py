"""The parts of a video, tracked side by side, are joined to what one pass finds."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.errors import TransientError
from heygem_daemon.lipsync.cache import Cache, VideoCache, content_key
from heygem_daemon.lipsync.face import track_parts
from heygem_daemon.lipsync.face.part_records import PartFrame, TrackNumbers
from heygem_daemon.lipsync.face.track_parts import Part, PartsDifferError, _Overlap, plan_parts, split
from heygem_daemon.lipsync.face.track_video import cached_tracks, track_video, track_video_in_parts
from heygem_daemon.lipsync.face.tracker import TrackedFace
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.progress import Progress
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import MediaInfo, VideoStream
from tests.disk_cache import cached

FRAMES, CUT, HIDDEN = 90, 50, range(62, 67)
LEAD = 10


@pytest.fixture(scope="module")
def info(portrait_clip: Path) -> MediaInfo:
    """The moving portrait, 50 frames, and mirrored, 40 more, in five of which nobody can see her face."""
    hidden = f"drawbox=w=iw:h=ih:t=fill:c=gray:enable='between(n,{HIDDEN[0] - CUT},{HIDDEN[-1] - CUT})'"
    graph = f"[0:v]split[a][b];[b]trim=end_frame={FRAMES - CUT},hflip,scale=500:500,crop=384:384:90:20,{hidden}[c];[a][c]concat"

    def encode(folder: Path) -> None:
        command = ("ffmpeg", "-v", "error", "-i", str(portrait_clip), "-filter_complex", graph, "-crf", "16", "-preset", "veryfast")
        subprocess.run((*command, "-g", "12", str(folder / "two.mp4")), check=True, timeout=60)

    return check_video(cached("two-shots", encode) / "two.mp4")


@pytest.fixture(scope="module")
def one_pass(info: MediaInfo, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> FaceTracks:
    folder = tmp_path_factory.mktemp("one")
    return track_video(VideoReader(info).frames(), size=(384, 384), frame_rate=Fraction(25), models=weights, directory=folder)


def assert_same(ours: FaceTracks, wanted: FaceTracks) -> None:
    assert (ours.frames, ours.size, ours.frame_rate) == (wanted.frames, wanted.size, wanted.frame_rate)
    assert ours.shot.tolist() == wanted.shot.tolist()
    assert ours.valid.tolist() == wanted.valid.tolist()
    a, b = (tracks.landmarks(0, tracks.frames)[wanted.valid] for tracks in (ours, wanted))
    eyes = np.linalg.norm(b[:, 33] - b[:, 263], axis=1)
    assert (np.abs(a - b).max(axis=(1, 2)) / eyes).max() < 0.02, "distances of the eyes; the noise of the tracker is .01"


@pytest.mark.family(2)
@pytest.mark.parametrize("count", [2, 3], ids=["within-a-shot", "at-a-cut"])
def test_shots_faces_and_frames_are_those_of_one_pass(
    info: MediaInfo, weights: Path, tmp_path: Path, one_pass: FaceTracks, count: int
) -> None:
    assert info.video is not None
    starts = [0, 45] if count == 2 else [0, CUT, 64]
    parts = [Part(first=max(0, a - LEAD), start=a, stop=b) for a, b in zip(starts, [*starts[1:], None], strict=True)]
    assert one_pass.shot.tolist() == [0] * CUT + [1] * (HIDDEN[0] - CUT) + [2] * len(HIDDEN) + [3] * (FRAMES - HIDDEN[-1] - 1)
    assert np.flatnonzero(~one_pass.valid).tolist() == list(HIDDEN)
    steps: list[Progress] = []
    options = {"models": weights, "selection": "largest", "directory": tmp_path, "on_progress": steps.append}
    assert_same(track_video_in_parts(info, info.video, tuple(parts), **options), one_pass)  # type: ignore[arg-type]
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert (steps[-1].done, steps[-1].total) == (FRAMES, FRAMES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames.npy", "landmarks.f32", "tracks.json"]


@pytest.mark.family(2)
@pytest.mark.parametrize("command", [("sh", "-c", "kill -9 $$"), ("echo", "50")], ids=["killed", "no file"])
def test_where_a_process_fails_one_pass_does_it_all(
    info: MediaInfo, weights: Path, tmp_path: Path, one_pass: FaceTracks, monkeypatch: pytest.MonkeyPatch, command: Sequence[str]
) -> None:
    monkeypatch.setattr(track_parts, "COMMAND", command)
    monkeypatch.setattr(track_parts, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(track_parts, "LEAD_SECONDS", 0.4)
    steps: list[Progress] = []
    with Cache(tmp_path, 10**9) as cache:
        video_cache = VideoCache(cache=cache, key=content_key(info.path))
        tracks = cached_tracks(video_cache, info, face="largest", models=weights, cores=4, on_progress=steps.append)
        assert_same(tracks, one_pass)
    done = [step.done for step in steps]
    assert len(done) > FRAMES, "the first part was tracked twice"
    assert done == sorted(done)
    assert done[-1] == FRAMES


def test_an_error_in_the_first_part_is_that_of_one_pass_and_ends_the_processes(info: MediaInfo, weights: Path, tmp_path: Path) -> None:
    gone = replace(info, path=tmp_path / "gone.mp4")
    with pytest.raises(TransientError) as caught:
        list(track_parts.track_parts(gone, split(FRAMES, 2, LEAD), models=weights, directory=tmp_path, on_frame=lambda _: None))
    assert caught.value.code == "io_error"
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_hangs_shows_no_progress(info: MediaInfo, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track_parts, "COMMAND", ("sh", "-c", "echo 20; exec sleep 1"))
    seen: list[int] = []
    parts = split(FRAMES, 2, LEAD)
    with pytest.raises(OSError, match="part-1"):
        list(track_parts.track_parts(info, parts, models=weights, directory=tmp_path, on_frame=seen.append))
    assert seen == sorted(set(seen)), "the same number is not reported twice"
    assert len(seen) >= (parts[0].stop or 0)


def test_what_is_left_early_ends_its_processes(info: MediaInfo, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[track_parts._Process] = []
    start = track_parts._Process.__init__

    def noted(process: track_parts._Process, *arguments: object) -> None:
        start(process, *arguments)  # type: ignore[arg-type]
        process._process.send_signal(signal.SIGSTOP)  # else a quick one may be done before it is ended
        started.append(process)

    monkeypatch.setattr(track_parts._Process, "__init__", noted)
    parts = split(FRAMES, 3, LEAD)
    with closing(track_parts.track_parts(info, parts, models=weights, directory=tmp_path, on_frame=lambda _: None)) as frames:
        assert len(next(frames).faces) == 1
        assert [process._process.poll() for process in started] == [None, None]
    assert [process._process.returncode for process in started] == [-signal.SIGKILL] * 2
    assert list(tmp_path.iterdir()) == []


def test_no_process_outlives_one_that_is_killed(info: MediaInfo, weights: Path, tmp_path: Path) -> None:
    """Its parent never reads, so that it waits for nothing but the parent's end: in a video that never ends, at that."""
    endless = tmp_path / "long.mp4"
    command = ("ffmpeg", "-v", "error", "-stream_loop", "60", "-i", str(info.path), "-c", "copy", str(endless))
    subprocess.run(command, check=True, timeout=60)
    script = (
        "import sys, time; from pathlib import Path; from heygem_daemon.media.probe import check_video\n"
        "from heygem_daemon.lipsync.face.track_parts import Part, _Process\n"
        "path, models, records = map(Path, sys.argv[1:])\n"
        "process = _Process(check_video(path), Part(first=0, start=0, stop=None), models, records)\n"
        "while process.poll() < 10: time.sleep(.02)\n"
        "print(process._process.pid, flush=True); time.sleep(60)\n"
    )
    arguments = (sys.executable, "-c", script, str(endless), str(weights), str(tmp_path / "part.tmp"))
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.kill()
    deadline = time.monotonic() + 20
    while _runs(child):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.02)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


# -- joining -------------------------------------------------------------------------------------------------------------


def face_at(x: float, track: int) -> TrackedFace:
    grid = np.stack([np.linspace(x, x + 100, 468), np.linspace(50, 150, 468), np.zeros(468)], axis=1)
    grid[33, :2], grid[263, :2] = (x + 20, 80), (x + 80, 80)
    return TrackedFace(track=track, landmarks=grid.astype(np.float32), score=0.9)


def frames_of(*faces: tuple[float, int], prints: Sequence[int] = (1, 2, 3)) -> list[PartFrame]:
    return [PartFrame(fingerprint=number, is_cut=False, faces=tuple(face_at(x, track) for x, track in faces)) for number in prints]


def watched(*faces: tuple[float, int]) -> tuple[_Overlap, TrackNumbers]:
    overlap, numbers = _Overlap(3), TrackNumbers()
    list(overlap.watch(frames_of(*faces), numbers, Part(first=0, start=0, stop=3)))
    return overlap, numbers


def test_a_face_keeps_its_number_in_the_next_part() -> None:
    overlap, numbers = watched((0, 0), (300, 1))
    same = overlap.join(frames_of((301, 0), (2, 1)))
    assert same == {0: 1, 1: 0}
    numbers.start_part(same)
    newcomers = [face.track for face in numbers((face_at(2, 1), face_at(301, 0), face_at(600, 2)))]
    assert newcomers == [0, 1, 2], "who comes later has a number that nobody had"


@pytest.mark.parametrize(
    "again",
    [
        frames_of((0, 0), prints=(1, 2, 4)),
        frames_of((0, 0), prints=(2, 3)),
        frames_of(),
        frames_of((0, 0), (300, 1)),
        frames_of((300, 0)),
    ],
    ids=["other pixels", "other frames", "no face", "one face more", "elsewhere"],
)
def test_parts_that_differ_where_both_have_frames_are_not_joined(again: list[PartFrame]) -> None:
    overlap, _ = watched((0, 0))
    with pytest.raises(PartsDifferError):
        overlap.join(again)


def test_where_nothing_moves_nobody_can_know_whether_the_frames_are_the_same() -> None:
    overlap, numbers = _Overlap(3), TrackNumbers()
    still = frames_of((0, 0), prints=(7, 7, 7))
    list(overlap.watch(still, numbers, Part(first=0, start=0, stop=3)))
    with pytest.raises(PartsDifferError):
        overlap.join(still)


def test_a_part_that_ends_early_is_not_joined() -> None:
    with pytest.raises(PartsDifferError):
        list(_Overlap(3).watch(frames_of((0, 0)), TrackNumbers(), Part(first=0, start=0, stop=4)))


# -- planning ------------------------------------------------------------------------------------------------------------


def video(seconds: float, **changes: object) -> VideoStream:
    plain = VideoStream(
        width=1280, height=720, frame_rate=Fraction(25), frames=round(25 * seconds), seconds=seconds, codec="h264", pixel_format="yuv420p"
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_every_process_reads_as_many_frames_and_all_frames_are_tracked_once() -> None:
    parts = split(3000, 3, 125)
    assert parts[0].first == parts[0].start == 0
    assert [part.stop for part in parts[:-1]] == [part.start for part in parts[1:]]
    assert parts[-1].stop is None
    read = [(part.stop or 3000) - part.first for part in parts]
    assert max(read) - min(read) <= 1
    assert [part.start - part.first for part in parts[1:]] == [125, 125]


@pytest.mark.parametrize(
    ("stream", "cores", "count"),
    [
        (video(59), 16, 1),
        (video(61), 16, 2),
        (video(3600), 16, 8),
        (video(3600), 5, 2),
        (video(3600), 2, 1),
        (video(3600), 1, 1),
        (video(3600, is_seekable=False), 16, 1),
        (video(3600, is_still=True), 16, 1),
    ],
)
def test_only_a_long_video_is_tracked_in_parts(monkeypatch: pytest.MonkeyPatch, stream: VideoStream, cores: int, count: int) -> None:
    monkeypatch.setattr(track_parts, "memory_available", lambda: 64 * 2**30)
    assert len(plan_parts(stream, cores)) == count


def test_memory_limits_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track_parts, "memory_available", lambda: 2 * 2**30)
    assert len(plan_parts(video(3600), 32)) == 3
    monkeypatch.setattr(track_parts, "memory_available", lambda: 2**29)
    assert len(plan_parts(video(3600), 16)) == 1
