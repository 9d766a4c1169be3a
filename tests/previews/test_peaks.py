"""The waveform of a recording, of any length."""

import subprocess
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.media.probe import check_recording
from heygem_daemon.previews import peaks
from heygem_daemon.previews.peaks import CELL, _Maxima, waveform


def record(path: Path, source: str) -> Path:
    subprocess.run(("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, str(path)), check=True, timeout=60)
    return path


def test_loud_and_silent_parts_are_where_they_are_heard(tmp_path: Path) -> None:
    path = record(tmp_path / "a.wav", "aevalsrc=.5*sin(2*PI*440*t)*between(t\\,1.02\\,1.98):s=48000:d=4")
    found = waveform(check_recording(path), 8)
    assert found["seconds"] == pytest.approx(4)
    loud = [peak > 0.3 for peak in found["peaks"]]
    assert loud == [False, False, True, True, False, False, False, False]
    assert max(found["peaks"]) == pytest.approx(0.5, abs=0.05)


def test_a_recording_shorter_than_its_peaks_has_fewer(tmp_path: Path) -> None:
    found = waveform(check_recording(record(tmp_path / "a.wav", "sine=440:d=0.1")), 400)
    assert 8 <= len(found["peaks"]) <= 11


def test_a_recording_without_a_sample_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.wav"
    subprocess.run(("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=440", "-t", "0", str(path)), check=True, timeout=60)
    with pytest.raises(InputError) as caught:
        waveform(check_recording(path), 10)
    assert caught.value.code == "audio_empty"


@pytest.mark.parametrize("block", [997, 80_000])
@pytest.mark.parametrize("length", [1, 79, 81, 5000, 1_234_567])
def test_the_maxima_are_those_of_the_whole_signal_in_order(block: int, length: int) -> None:
    values = np.linspace(1 / length, 1, length, dtype=np.float32)
    cells = _Maxima(400)
    for start in range(0, length, block):
        cells.add(values[start : start + block])
    found = cells.resampled(100)
    assert len(found) == min(100, max(1, -(-length // CELL)))
    assert found[-1] == 1
    assert np.all(np.diff(found) >= 0)
    expected = np.linspace(0, 1, len(found) + 1)[1:]
    assert np.abs(found - expected).max() <= 1 / len(found) + 0.01


def test_three_hours_take_no_more_memory_than_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = check_recording(record(tmp_path / "a.wav", "sine=440:d=0.2"))

    def blocks(count: int) -> Iterator[np.ndarray]:
        block = (np.sin(np.arange(80_000)) * 20_000).astype(np.int16)
        for _ in range(count):
            yield block.copy()

    def peak_of(minutes: int) -> int:
        monkeypatch.setattr(peaks, "mono_blocks", lambda *_: closing_blocks(minutes))
        tracemalloc.start()
        found = waveform(info, 400)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (found["seconds"], len(found["peaks"])) == (60 * minutes, 400)
        return most

    def closing_blocks(minutes: int) -> Iterator[np.ndarray]:
        with closing(blocks(6 * minutes)) as inner:  # type: ignore[type-var]
            yield from inner

    short = peak_of(1)
    assert peak_of(180) < 1.5 * short
