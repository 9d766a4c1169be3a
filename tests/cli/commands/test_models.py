"""`heygem models` with a checkpoint of Wav2Lip."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from heygem_daemon.lipsync.model_files import MODELS
from tests.cli.runner import Result, heygem
from tests.lipsync.wav2lip.synthetic_weights import compact_weights


def models(*arguments: str) -> Result:
    return heygem("models", *arguments, environment={"COLUMNS": "300"})


@pytest.fixture(scope="module")
def directory(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The model files, and beside them a checkpoint as downloaded in files/."""
    directory = tmp_path_factory.mktemp("weights")
    for model in MODELS:
        shutil.copy(weights / model.file_name, directory)
    (directory / "files").mkdir()
    torch.save({"state_dict": compact_weights()}, directory / "files" / "wav2lip_gan.pth")
    yield directory
    shutil.rmtree(directory)


def test_a_checkpoint_is_added_listed_and_verified(directory: Path) -> None:
    where = ("--weights", str(directory))
    assert "Checkpoints" not in models("list", *where).stdout

    added = models("add", str(directory / "files" / "wav2lip_gan.pth"), "--name", "Studio", *where)
    assert added.code == 0, added.stderr
    for words in ("a Wav2Lip generator of 96 x 96 pixels (PyTorch file, 0 MB, sha256 ", "Its name here is studio: ", "research"):
        assert words in added.stdout
    assert added.stdout.index("licence_confirmed = true under [wav2lip]") < added.stdout.index('engine = "wav2lip+atlas"')

    listed = models("list", *where).stdout
    row = next(line for line in listed.splitlines() if "studio" in line)
    for words in ("wav2lip, wav2lip+atlas", "wav2lip_gan.pth", "research only, not confirmed", "not measured", "ok"):
        assert words in row
    (directory / "wav2lip" / "studio.json").write_text('{"offset_ms": -40}', encoding="utf-8")
    (directory / "heygem.toml").write_text("[wav2lip]\nlicence_confirmed = true\n", encoding="utf-8")
    listed = models("list", "--config", str(directory / "heygem.toml"), *where).stdout
    assert "research only, confirmed" in listed
    assert "-40 ms" in listed

    again = models("add", str(directory / "files" / "wav2lip_gan.pth"), "--config", str(directory / "heygem.toml"), *where)
    assert "is installed already, as studio" in again.stdout
    assert "licence_confirmed" not in again.stdout

    assert models("verify", *where).code == 0
    with (directory / "wav2lip" / "studio.safetensors").open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"damaged!")
    damaged = models("verify", *where)
    assert (damaged.code, "heygem models add FILE --name studio" in damaged.stderr) == (1, True)
    assert "heygem models fetch" not in damaged.stderr


def test_what_cannot_be_added_is_reported_in_a_sentence(directory: Path) -> None:
    (directory / "files" / "page.pth").write_text("<html>Too many users have viewed this file</html>", encoding="utf-8")
    result = models("add", str(directory / "files" / "page.pth"), "--weights", str(directory))
    assert (result.code, "page.pth is no checkpoint but a web page." in result.stderr) == (1, True)
    assert "Traceback" not in result.stderr
