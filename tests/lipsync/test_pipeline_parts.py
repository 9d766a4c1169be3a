"""The small parts of the pipeline: engines by name, devices, progress, the thumbnail."""

import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from heygem_daemon.core.errors import InputError, SetupError
from heygem_daemon.lipsync.device import choose_device, describe_device
from heygem_daemon.lipsync.engines import engine, engine_names
from heygem_daemon.lipsync.progress import Progress, StageClock, throttled
from heygem_daemon.lipsync.thumbnail import WIDTH, before_after, write_jpeg
from heygem_daemon.media.frame import Frame, YuvSpace


def test_the_names_of_the_engines_are_known_without_loading_anything_heavy() -> None:
    code = (
        "import sys; from heygem_daemon.lipsync.engines import engine_names\n"
        "print(engine_names(), {'torch', 'librosa', 'cv2'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'rewrite'" in printed
    assert "set()" in printed


def test_every_engine_is_found_by_its_name() -> None:
    assert all(engine(name).models for name in engine_names())


def test_an_unknown_engine_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        engine("wav3lip")
    assert caught.value.code == "unknown_engine"
    assert "rewrite" in caught.value.hint


def test_the_cpu_is_always_available() -> None:
    assert choose_device("cpu") == "cpu"
    assert describe_device("cpu") == "cpu"
    assert choose_device("auto") in {"cpu", "cuda"}


@pytest.mark.parametrize("name", ["cuda:99", "gpu"])
def test_a_device_that_is_not_available_is_an_error_of_the_installation(name: str) -> None:
    with pytest.raises(SetupError) as caught:
        choose_device(name)
    assert caught.value.code == "device_unavailable"


def test_progress_is_reported_at_most_five_times_a_second_but_ends_are_not_lost() -> None:
    reported: list[Progress] = []
    on_progress = throttled(reported.append)
    start = time.monotonic()
    for stage in ("analyse", "render"):
        for done in range(1, 2001):
            on_progress(Progress(stage=stage, done=done, total=2000))
    assert len(reported) <= 4 + (time.monotonic() - start) * 5 + 1
    assert [(p.stage, p.done) for p in reported if p.done in {1, 2000}] == [
        ("analyse", 1),
        ("analyse", 2000),
        ("render", 1),
        ("render", 2000),
    ]


def test_the_clock_adds_up_what_a_stage_took() -> None:
    clock = StageClock()
    for _ in range(2):
        with clock.stage("render"):
            time.sleep(0.02)
    assert 0.04 <= clock.seconds["render"] <= clock.elapsed() + 0.001


def grey(value: int, width: int, height: int) -> Frame:
    plane = np.full((height, width), value, np.uint8)
    chroma = np.full((height // 2, width // 2), 128, np.uint8)
    return Frame(index=0, y=plane, u=chroma, v=chroma, space=YuvSpace(matrix="bt709", full_range=True))


@pytest.mark.parametrize(("width", "height", "aspect"), [(3840, 2160, 1), (320, 240, 1), (720, 576, Fraction(16, 11)), (1080, 1920, 1)])
def test_the_thumbnail_shows_the_source_left_and_the_result_right(tmp_path: Path, width: int, height: int, aspect: int | Fraction) -> None:
    image = before_after(grey(40, width, height), grey(200, width, height), Fraction(aspect))
    write_jpeg(image, tmp_path / "vor-nach ü.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["vor-nach ü.jpg"]
    read = np.asarray(cv2.imdecode(np.fromfile(tmp_path / "vor-nach ü.jpg", np.uint8), cv2.IMREAD_COLOR), np.uint8)
    assert read.shape[1] <= WIDTH
    assert read[:, : read.shape[1] // 2 - 8].mean() == pytest.approx(40, abs=2)
    assert read[:, read.shape[1] // 2 + 8 :].mean() == pytest.approx(200, abs=2)
    half = (read.shape[1] - 4) / 2
    assert half / read.shape[0] == pytest.approx(width * float(aspect) / height, rel=0.02)
