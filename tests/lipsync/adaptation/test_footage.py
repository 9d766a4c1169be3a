"""A video becomes segments of numbers: the same that others measured on it, and never across a cut or a lost face."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.lipsync.adaptation.clips import read_clip
from heygem_daemon.lipsync.adaptation.footage import Footage, analyse_video
from heygem_daemon.lipsync.cache import Cache, VideoCache, content_key
from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.weights import shipped_weights

GRID = ("grid_sbwe5n_360x288_25.mpg", "grid_lbbc2a_360x288_25.mpg")


def analysed(path: Path, weights: Path, scratch: Path) -> Footage:
    with Cache(scratch / "cache", 2**30) as cache:
        return analyse_video(
            path, driver=PhoneticDriver(load(shipped_weights())), video_cache=VideoCache(cache=cache, key=content_key(path)), models=weights
        )


def test_the_numbers_are_those_that_were_measured_independently(shared_media: Path, avdata: Path, weights: Path, tmp_path: Path) -> None:
    footage = analysed(shared_media / GRID[0], weights, tmp_path)
    (span,), (segment,) = footage.spans, footage.segments()
    own, theirs = segment.clip(name="", person="", lag=0.0), read_clip(avdata / "grid_sbwe5n.npz")
    assert len(segment.times) > 60
    assert np.corrcoef(own.opening, theirs.opening[span])[0, 1] > 0.99
    assert np.abs(own.opening - theirs.opening[span]).max() < 0.01
    assert np.corrcoef(own.width, theirs.width[span])[0, 1] > 0.98
    assert np.sqrt(np.mean((own.lips - theirs.lips[span]) ** 2)) < 0.005
    assert np.allclose(footage.times[span], theirs.times[span], atol=1e-3)
    first = round((footage.times[span.start] - own.times[0]) * 16000)
    assert np.corrcoef(own.audio[:8000], theirs.audio[first : first + 8000])[0, 1] > 0.999


@pytest.mark.slow
def test_a_cut_a_lost_face_and_a_pause_end_a_segment(shared_media: Path, weights: Path, tmp_path: Path) -> None:
    inputs = [word for name in (GRID[0], GRID[1], GRID[0]) for word in ("-i", str(shared_media / name))]
    dark = "color=black:s=360x288:r=25:d=1[v9];anullsrc=r=44100:cl=mono:d=1[a9]"
    joined = f"{dark};[0:v][0:a][v9][a9][1:v][1:a][2:v][2:a]concat=n=4:v=1:a=1[v][a]"
    path = tmp_path / "joined.mp4"
    command = ("ffmpeg", "-v", "error", *inputs, "-filter_complex", joined, "-map", "[v]", "-map", "[a]")
    subprocess.run((*command, "-preset", "ultrafast", str(path)), check=True, timeout=120)
    footage = analysed(path, weights, tmp_path)
    cuts = [3.0, 4.0, 7.0]
    assert len(footage.spans) == 3
    for span in footage.spans:
        begin, end = footage.times[span.start], footage.times[span.stop - 1]
        assert not [cut for cut in cuts if begin + 0.05 < cut < end - 0.05]
        assert np.isfinite(footage.opening[span]).all()


@pytest.mark.parametrize("audio", [(), ("-f", "lavfi", "-i", "anullsrc=r=16000", "-shortest")])
def test_a_video_in_which_nobody_speaks_is_refused(portrait_clip: Path, weights: Path, tmp_path: Path, audio: tuple[str, ...]) -> None:
    path = tmp_path / "silent.mp4"
    command = ("ffmpeg", "-v", "error", "-i", str(portrait_clip), *audio, "-c:v", "copy", str(path))
    subprocess.run(command, check=True, timeout=60)
    with pytest.raises(HeygemError) as caught:
        analysed(path, weights, tmp_path)
    assert caught.value.code == "no_speech_in_footage"
