"""The entries for other programs keep their signatures and work."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from heygem_daemon import lipsync
from heygem_daemon.lipsync import RenderOptions, RenderReport, RenderRequest, RenderSession, speech, wav2lip
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.wav2lip.network import Wav2Lip
from tests.lipsync.driver_contract import RATE, talk
from tests.lipsync.wav2lip.synthetic_weights import compact_weights

KEYWORD_ONLY, POSITIONAL = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD


def parameters(function: object) -> list[tuple[str, object]]:
    """Return (name, default) of the parameters that may be given by position."""
    assert callable(function)
    listed = inspect.signature(function).parameters.values()
    return [(each.name, each.default) for each in listed if each.kind == POSITIONAL]


def options(function: object) -> set[str]:
    """Return the names of the keyword-only parameters, which all have defaults."""
    assert callable(function)
    listed = [each for each in inspect.signature(function).parameters.values() if each.kind == KEYWORD_ONLY]
    assert all(each.default is not inspect.Parameter.empty for each in listed)
    return {each.name for each in listed}


def test_the_signatures_are_stable() -> None:
    required = inspect.Parameter.empty
    assert parameters(speech.mouth_motion) == [("wav", required), ("times", required), ("script", None)]
    assert parameters(wav2lip.load_network) == [("path", required), ("device", "cpu")]
    assert parameters(wav2lip.mel_spectrogram) == [("wav", required)]
    assert parameters(RenderSession) == [("models_dir", required), ("cache_dir", required)]
    assert options(speech.mouth_motion) >= {"language", "weights"}
    assert options(RenderSession) >= {"device", "threads", "cache_bytes", "limits", "wav2lip"}
    assert [name for name, _ in parameters(RenderSession.render)] == ["self", "request", "on_progress"]


def test_every_name_that_the_page_imports_exists(root: Path) -> None:
    imports = re.findall(r"^from (heygem_daemon\S*) import (.+)$", (root / "docs/library.md").read_text(encoding="utf-8"), re.MULTILINE)
    names = [(module, name) for module, names in imports for name in names.split(", ")]
    assert len(names) >= 6
    assert [pair for pair in names if not hasattr(importlib.import_module(pair[0]), pair[1])] == []


def test_the_request_and_the_report_keep_their_fields() -> None:
    assert set(inspect.signature(RenderRequest).parameters) >= {
        *("recording", "video", "output", "thumbnail", "explain", "script", "options"),
    }
    assert set(inspect.signature(RenderOptions).parameters) >= {"engine", "fit", "face", "quality", "label", "explain", "text", "language"}
    assert set(inspect.signature(RenderReport).parameters) >= {
        *("frames", "frame_rate", "width", "height", "seconds", "engine", "licence", "driver", "renderer", "device", "models"),
        *("stage_seconds", "elapsed_s", "speed", "sync_offset_ms", "mouth_correlation", "closure_rate", "habits"),
        *("faces_drawn", "faces_passed", "warnings", "explained", "cached"),
    }


def test_mouth_motion_follows_the_times_it_is_given() -> None:
    times = np.array([0.5, 0.1, 9.0])
    motion = speech.mouth_motion(talk(1.0), times)
    assert isinstance(motion, MouthMotion)
    assert np.array_equal(motion.times, times)
    assert (motion.opening.shape, motion.width.shape, motion.visemes.shape) == ((3,), (3,), (3, len(VISEMES)))


def test_a_network_is_loaded_from_a_path_or_its_text(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save({"state_dict": compact_weights()}, path)
    assert isinstance(wav2lip.load_network(path), Wav2Lip)
    assert next(wav2lip.load_network(str(path), "cpu").parameters()).device.type == "cpu"


def test_the_mel_spectrum_has_80_bands() -> None:
    spectrum = wav2lip.mel_spectrogram(talk(1.0))
    assert spectrum.dtype == np.float32
    assert spectrum.shape[0] == 80
    assert spectrum.shape[1] == pytest.approx(RATE / 200, abs=2)


def test_a_session_lists_the_models_of_an_engine(weights: Path, tmp_path: Path) -> None:
    session = RenderSession(weights, tmp_path / "cache", device="cpu")
    assert session.device == "cpu"
    assert set(session.model_hashes("rewrite")) == {"face_detector", "face_mesh", "phonetic"}


def test_importing_the_packages_loads_nothing_heavy() -> None:
    code = (
        "import sys, heygem_daemon.lipsync, heygem_daemon.lipsync.speech, heygem_daemon.lipsync.wav2lip\n"
        "print({'numpy', 'torch', 'librosa', 'cv2', 'scipy'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert printed.strip() == "set()"


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Renderer"):
        _ = lipsync.Renderer
