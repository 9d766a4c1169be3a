"""Recordings that wait at the same time are decoded by one ffmpeg, to the same samples; what is odd about one of them costs only time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.intake.file_check import FileChecks
from heygem_daemon.media import decode_together as module
from heygem_daemon.media.decode_together import DecodeTogether
from heygem_daemon.media.kept_speech import measure_and_keep
from heygem_daemon.media.probe import check_recording
from heygem_daemon.media.run import capture, patience
from heygem_daemon.media.speech import measure_speech
from heygem_daemon.media.tool_ends import Completed
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaInfo
from tests.media import sick_tools
from tests.media.conftest import Decode, MakeFile

MONO = ("-f", "s16le", "-ac", 1, "-ar", 16000)


def together(directory: Path, infos: list[MediaInfo], monkeypatch: pytest.MonkeyPatch) -> tuple[list[bytes | None], list[int]]:
    """Decode all of them while the first one is held up; return their samples, and the number of inputs of each ffmpeg."""
    has_begun, everybody_waits, inputs = threading.Event(), threading.Event(), []
    decoding = DecodeTogether(directory)

    def held_up(command: tuple[str, ...], *, seconds: float, tries: int) -> Completed:
        has_begun.set()
        assert everybody_waits.wait(60)
        inputs.append(command.count("-i"))
        return capture(command, seconds=seconds, tries=tries)

    def decoded(info: MediaInfo) -> bytes | None:
        with decoding.decoded(info) as file:
            return None if file is None else file.read()

    monkeypatch.setattr(module, "capture", held_up)
    with ThreadPoolExecutor(len(infos)) as pool:
        waiting = [pool.submit(decoded, infos[0])]
        assert has_begun.wait(60)
        waiting += [pool.submit(decoded, info) for info in infos[1:]]
        while len(decoding._waiting) < len(infos) - 1:
            time.sleep(0.01)
        everybody_waits.set()
        return [each.result(60) for each in waiting], inputs


def test_those_that_wait_are_decoded_by_one_process(
    tone: MakeFile, decoded: Decode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tone(name, "-ac", 1, seconds=seconds) for name, seconds in (("t1.wav", 1), ("t2.m4a", 2), ("t3.mp3", 1.5), ("t4.flac", 0.3))]
    samples, inputs = together(tmp_path, [check_recording(path) for path in paths], monkeypatch)
    assert samples == [decoded(path, *MONO).tobytes() for path in paths]
    assert inputs == [1, 3]
    assert list(tmp_path.iterdir()) == [], "nothing stays on the disk"


def test_a_file_that_is_damaged_or_longer_than_it_says_leaves_all_of_its_turn_to_be_decoded_alone(
    tone: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [check_recording(tone(name, "-ac", 1)) for name in ("g1.wav", "g2.wav")]
    damaged = tmp_path / "damaged.mp3"
    content = bytearray(tone("t5.mp3", "-ac", 1, seconds=3).read_bytes())
    content[4000:9000] = bytes(range(250)) * 20
    damaged.write_bytes(content)
    samples, inputs = together(tmp_path / "a", [*good, check_recording(damaged)], monkeypatch)
    assert inputs == [1, 2]
    assert samples.count(None) == 2
    monkeypatch.undo()
    monkeypatch.setattr(module, "LONGEST_SECONDS", 2.5)
    long = check_recording(tone("long.wav", "-ac", 1, seconds=2.4))
    (tmp_path / "long.wav").write_bytes(tone("longer.wav", "-ac", 1, seconds=4).read_bytes())
    lying = MediaInfo(**{**vars(long), "path": tmp_path / "long.wav"})
    samples, _ = together(tmp_path / "b", [good[0], lying, good[1]], monkeypatch)
    assert samples[1] is None


@pytest.mark.parametrize("options", [{"source": "sine=d=61:r=8000"}, {"source": "aevalsrc=sin(880*t)|cos(880*t):d=1"}])
def test_long_ones_and_those_of_several_channels_are_left_alone(tone: MakeFile, tmp_path: Path, options: dict[str, str]) -> None:
    path = tone(f"alone {len(options['source'])}.wav", **options)
    with DecodeTogether(tmp_path).decoded(check_recording(path)) as file:
        assert file is None


def test_the_measure_is_the_same(tone: MakeFile, tmp_path: Path) -> None:
    info = check_recording(tone("t1.wav", "-ac", 1, seconds=1))
    with DecodeTogether(tmp_path).decoded(info) as file:
        assert file is not None
        assert measure_and_keep(info, tmp_path, DEFAULT_LIMITS, file) == measure_speech(info)


def test_without_a_disk_to_write_on_each_is_decoded_alone(tone: MakeFile, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tone("t1.wav", "-ac", 1, seconds=1)
    with DecodeTogether(tmp_path / "file").decoded(check_recording(path)) as file:
        assert file is None
    assert FileChecks(tmp_path / "file").seconds(path, DEFAULT_LIMITS, is_video=False) == 1.0


@pytest.mark.parametrize(
    ("action", "calls"),
    [(sick_tools.SLOW.format(seconds=60), 1), (sick_tools.KILLED.format(signal="SEGV"), 2)],  # the second one is the control
    ids=["slow storage", "a crash"],
)
def test_nobody_waits_long_for_a_turn_that_fails(
    tone: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, calls: int
) -> None:
    info = check_recording(tone("t1.wav", "-ac", 1, seconds=1))
    monkeypatch.setattr(module, "_LIMIT_SECONDS", 0.3)
    monkeypatch.setenv("PATH", str(tmp_path / "sick"), prepend=":")
    tool = sick_tools.sicken(tmp_path / "sick", "ffmpeg", action)
    began = time.monotonic()
    with patience(400.0), DecodeTogether(tmp_path / "a").decoded(info) as file:
        assert file is None
    assert tool.calls == calls
    assert time.monotonic() - began < 30.0, "a limit of wall clock: 0.3 s, however patient the inspection is"


def test_many_files_of_an_inbox_are_checked_at_once(tone: MakeFile, tmp_path: Path) -> None:
    good, silent = tone("t1.wav", "-ac", 1, seconds=1), tone("silence.wav", source="anullsrc=r=8000:cl=mono:d=1")
    text = tmp_path / "text.wav"
    text.write_text("not audio")
    checks = FileChecks(tmp_path)

    def result(path: Path) -> float | str:
        try:
            return checks.seconds(path, DEFAULT_LIMITS, is_video=False)
        except HeygemError as problem:
            return problem.code

    with ThreadPoolExecutor(9) as pool:
        assert list(pool.map(result, [good, silent, text] * 4)) == [1.0, "audio_silent", "audio_unreadable"] * 4
