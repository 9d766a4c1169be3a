"""`heygem models` with a checkpoint of Wav2Lip."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from heygem_daemon.lipsync.model_files import MODELS
from tests.lipsync.wav2lip.recipe import light_weights


def heygem(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "heygem_daemon", "models", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "COLUMNS": "300"})


@pytest.fixture(scope="module")
def directory(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The model files, and beside them a checkpoint as downloaded in files/."""
    directory = tmp_path_factory.mktemp("weights")
    for model in MODELS:
        shutil.copy(weights / model.file_name, directory)
    (directory / "files").mkdir()
    torch.save({"state_dict": light_weights()}, directory / "files" / "wav2lip_gan.pth")
    yield directory
    shutil.rmtree(directory)


def test_a_checkpoint_is_added_listed_and_verified(directory: Path) -> None:
    where = ("--weights", str(directory))
    assert "Checkpoints" not in heygem("list", *where).stdout

    added = heygem("add", str(directory / "files" / "wav2lip_gan.pth"), "--name", "Studio", *where)
    assert added.returncode == 0, added.stderr
    for words in ("a Wav2Lip generator of 96 x 96 pixels (PyTorch file, 0 MB, sha256 ", "Its name here is studio: ", "research"):
        assert words in added.stdout
    assert added.stdout.index("licence_confirmed = true under [wav2lip]") < added.stdout.index('engine = "wav2lip+atlas"')

    listed = heygem("list", *where).stdout
    row = next(line for line in listed.splitlines() if "studio" in line)
    for words in ("wav2lip, wav2lip+atlas", "wav2lip_gan.pth", "research only, not confirmed", "not measured", "ok"):
        assert words in row
    (directory / "wav2lip" / "studio.json").write_text('{"offset_ms": -40}', encoding="utf-8")
    (directory / "heygem.toml").write_text("[wav2lip]\nlicence_confirmed = true\n", encoding="utf-8")
    listed = heygem("list", "--config", str(directory / "heygem.toml"), *where).stdout
    assert "research only, confirmed" in listed
    assert "-40 ms" in listed

    again = heygem("add", str(directory / "files" / "wav2lip_gan.pth"), "--config", str(directory / "heygem.toml"), *where)
    assert "is installed already, as studio" in again.stdout
    assert "licence_confirmed" not in again.stdout

    assert heygem("verify", *where).returncode == 0
    with (directory / "wav2lip" / "studio.safetensors").open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"damaged!")
    damaged = heygem("verify", *where)
    assert (damaged.returncode, "heygem models add FILE --name studio" in damaged.stderr) == (1, True)
    assert "heygem models fetch" not in damaged.stderr


def test_what_cannot_be_added_is_told_in_a_sentence(directory: Path) -> None:
    (directory / "files" / "page.pth").write_text("<html>Too many users have viewed this file</html>", encoding="utf-8")
    told = heygem("add", str(directory / "files" / "page.pth"), "--weights", str(directory))
    assert (told.returncode, "page.pth is no checkpoint but a web page." in told.stderr) == (1, True)
    assert "Traceback" not in told.stderr
