"""Checkpoints are converted once, listed, found by name, and repaired; errors are raised where there is none."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from heygem_daemon.core.errors import SetupError
from heygem_daemon.durable import rename_exclusive
from heygem_daemon.lipsync.wav2lip.checkpoints import store
from heygem_daemon.lipsync.wav2lip.checkpoints.store import Checkpoint, add, checkpoints, find, load, measured_offset, verified
from heygem_daemon.lipsync.wav2lip.network import Wav2Lip, fold_batch_norms
from tests.lipsync.wav2lip.conftest import Weights, save_torch

NAME = "wav2lip-gan"
PAGE = b"<html>Quota exceeded</html>"


@pytest.fixture(scope="session")
def installed(compact_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkpoint]:
    """One converted checkpoint. Not to be changed."""
    models = tmp_path_factory.mktemp("installed")
    yield add(models, compact_file)
    shutil.rmtree(models)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Path]:
    """A directory of model files without a checkpoint; what is converted into it (145 MB each) goes when the test ends."""
    models = tmp_path / "models"
    models.mkdir()
    yield models
    shutil.rmtree(models)


@pytest.fixture
def models(empty: Path, installed: Checkpoint) -> Path:
    """A directory of model files with the converted checkpoint; a hard link, not to be changed."""
    (empty / "wav2lip").mkdir()
    os.link(installed.path, empty / "wav2lip" / installed.path.name)
    return empty


def other(path: Path, compact: Weights) -> Path:
    """Write a generator with other weights."""
    save_torch(path, {name: value * 0.5 for name, value in compact.items()})
    return path


def damage(models: Path) -> None:
    """Change a value in the converted checkpoint, in a copy of it."""
    path = models / "wav2lip" / f"{NAME}.safetensors"
    shutil.copy(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)
    with path.open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"\x00\x00\x00\x3f")


def refusal(models: Path, name: str = "") -> SetupError:
    with pytest.raises(SetupError) as caught:
        find(models, name)
    return caught.value


# -- adding --------------------------------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_converted_and_keeps_its_origin(installed: Checkpoint, compact_file: Path, compact: Weights) -> None:
    assert (installed.name, installed.source, installed.size) == (NAME, "Wav2Lip GAN.pth", compact_file.stat().st_size)
    assert installed.kind == "PyTorch file in the old format"
    assert len(installed.sha256) == 64
    assert installed.added.startswith("20")
    assert installed.path.stat().st_mode & 0o044 == 0o044 & ~current_umask()
    assert [path.name for path in installed.path.parent.iterdir()] == [installed.path.name]
    assert checkpoints(installed.path.parents[1]) == [installed]
    assert verified(installed).is_usable
    network = load(installed)
    assert isinstance(network, Wav2Lip)
    assert not network.training
    assert all(torch.equal(network.state_dict()[name], value) for name, value in fold_batch_norms(compact).items())


def current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_the_same_content_is_not_converted_again(models: Path, compact_file: Path) -> None:
    steps: list[str] = []
    before = find(models).path.stat().st_mtime_ns
    assert add(models, compact_file, "another", on_step=steps.append).name == NAME
    assert steps == ["Reading Wav2Lip GAN.pth", f"Wav2Lip GAN.pth is installed already, as {NAME}"]
    assert find(models).path.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_converted_checkpoint_can_be_carried_to_another_server(installed: Checkpoint, compact_file: Path, empty: Path) -> None:
    (empty / "wav2lip").mkdir()
    (left := empty / "wav2lip" / ".half.safetensors.0a1b2c3d").write_bytes(b"from a process that died")
    os.utime(left, (time.time() - 1e5,) * 2)
    copy = add(empty, installed.path, "../../Carried over!")
    assert (copy.name, copy.sha256, copy.source, copy.kind) == ("carried-over", installed.sha256, installed.source, installed.kind)
    assert copy.path.parent == empty / "wav2lip"
    assert not left.exists()
    assert add(empty, compact_file) == copy


@pytest.mark.slow
def test_another_file_does_not_take_a_name_in_use(models: Path, compact: Weights, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=f"already installed as {NAME}") as caught:
        add(models, other(tmp_path / "w.pth", compact), "WAV2LIP GAN")
    assert caught.value.code == "checkpoint_name_taken"


def test_two_processes_that_convert_at_once_both_succeed(
    empty: Path, installed: Checkpoint, compact_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(source: Path, target: Path) -> None:
        os.link(installed.path, target)
        rename_exclusive(source, target)

    monkeypatch.setattr(store, "rename_exclusive", late)
    assert add(empty, compact_file).sha256 == installed.sha256
    assert [path.name for path in (empty / "wav2lip").iterdir()] == [installed.path.name]


def test_a_file_that_grows_while_it_is_read_is_refused(
    empty: Path, compact_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(shutil.copy(compact_file, tmp_path))

    def growing(path: Path) -> None:
        with path.open("ab") as end:
            end.write(b"more")

    monkeypatch.setattr(store, "_read", growing)
    with pytest.raises(SetupError, match="it changed while it was read"):
        add(empty, file)


def test_a_folder_that_cannot_be_written_is_an_error(empty: Path, compact_file: Path) -> None:
    (empty / "wav2lip").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(SetupError) as caught:
        add(empty, compact_file)
    assert (caught.value.code, str(empty / "wav2lip") in caught.value.message) == ("checkpoint_not_saved", True)
    shutil.copy(compact_file, empty)
    assert refusal(empty).code == "checkpoint_not_saved"


# -- damage --------------------------------------------------------------------------------------------------------------------------------


def test_a_changed_checkpoint_is_refused_and_repaired_by_adding_it_again(models: Path, compact_file: Path) -> None:
    damage(models)
    listed = checkpoints(models)[0]
    listed.calibration_path.write_text('{"offset_ms": 20}', encoding="utf-8")
    assert not verified(listed).is_usable
    with pytest.raises(SetupError) as caught:
        load(listed)
    assert caught.value.code == "checkpoint_damaged"
    repaired = add(models, compact_file)
    assert verified(repaired).is_usable
    assert measured_offset(repaired) == "not measured"


def test_damaged_checkpoints_are_listed_and_never_chosen(models: Path, installed: Checkpoint) -> None:
    folder = models / "wav2lip"
    (folder / "cut.safetensors").write_bytes(installed.path.read_bytes()[: 10**6])
    (folder / "page.safetensors").write_bytes(PAGE)
    head = json.dumps({"__metadata__": {"format": "heygem wav2lip 2"}}).encode()
    (folder / "newer.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)
    listed = {each.name: each.problem for each in checkpoints(models)}
    assert list(listed) == ["cut", "newer", "page", NAME]
    assert listed[NAME] == ""
    assert "another version" in listed["newer"]
    assert all(listed[name] and not verified(each).is_usable for each in checkpoints(models) if (name := each.name) != NAME)
    assert find(models).name == NAME
    assert refusal(models, "cut").code == "checkpoint_damaged"
    with pytest.raises(SetupError):
        add(models, folder / "newer.safetensors", "x")


# -- finding -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", NAME, "Wav2Lip GAN", "Wav2Lip GAN.pth"])
def test_the_only_checkpoint_is_found_by_no_name_its_name_and_its_source(name: str, models: Path) -> None:
    assert find(models, name).name == NAME


def test_where_none_is_installed_the_error_names_the_command(empty: Path) -> None:
    for directory in (empty, empty / "absent"):
        problem = refusal(directory)
        assert problem.message == "No Wav2Lip checkpoint is installed on the server."
        assert "heygem models add FILE" in problem.hint
    assert refusal(empty, "gan").message == "No Wav2Lip checkpoint named gan is installed on the server."


def test_a_file_put_beside_the_models_is_converted_and_becomes_the_newest(models: Path, compact: Weights) -> None:
    other(models / "Mine.PT", compact)
    assert find(models, NAME).name == NAME
    assert len(checkpoints(models)) == 1
    assert find(models).name == "mine"
    assert find(models, "Mine.PT").name == "mine"
    assert [each.name for each in checkpoints(models)] == ["mine", NAME]


@pytest.mark.slow
def test_a_file_that_replaces_an_older_one_gets_a_name_of_its_own(models: Path, compact: Weights, compact_file: Path) -> None:
    shutil.copy(compact_file, models)
    assert find(models).name == NAME
    other(models / compact_file.name, compact)
    newer = find(models)
    assert newer.name == f"{NAME}-{newer.sha256[:6]}"
    assert find(models) == newer


def test_unusable_files_are_ignored_while_another_checkpoint_can_be_used(models: Path) -> None:
    (models / "page.pth").write_bytes(PAGE)
    (models / "folder.pth").mkdir()
    save_torch(models / "s3fd.pth", {"conv3_3_norm.weight": torch.ones(1)})
    assert find(models).name == NAME
    assert refusal(models, "page").code == "checkpoint_web_page"
    assert refusal(models, "s3fd.pth").code == "checkpoint_other_network"
    assert refusal(models, "nobody").code == "checkpoint_missing"


def test_an_unusable_file_is_an_error_where_there_is_no_other_checkpoint(empty: Path) -> None:
    (empty / "wav2lip_gan.pth").write_bytes(PAGE)
    assert refusal(empty).code == "checkpoint_web_page"


# -- calibration ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "offset"),
    [
        ('{"offset_ms": -40}', -40.0),
        ('{"offset_ms": null}', "none found"),
        ("{}", "not measured"),
        ("half", "not measured"),
        (None, "not measured"),
    ],
)
def test_the_measured_offset_is_read(content: str | None, offset: float | str, tmp_path: Path) -> None:
    checkpoint = Checkpoint(name="a.b", path=tmp_path / "a.b.safetensors")
    if content is not None:
        (tmp_path / "a.b.json").write_text(content, encoding="utf-8")
    assert measured_offset(checkpoint) == offset


def test_listing_and_finding_need_no_heavy_library(models: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from heygem_daemon.lipsync.wav2lip import load_network, mel_spectrogram\n"
        "from heygem_daemon.lipsync.wav2lip.checkpoints import store\n"
        "found = store.find(Path(sys.argv[1])); assert store.checkpoints(Path(sys.argv[1])) == [store.verified(found)]\n"
        "print(sorted({'torch', 'numpy', 'safetensors', 'librosa'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(models)], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
