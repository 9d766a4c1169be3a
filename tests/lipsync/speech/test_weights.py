"""Weights that were changed on the disk are refused, and named."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from heygem_daemon.core.errors import SetupError
from heygem_daemon.lipsync.speech import weights
from heygem_daemon.lipsync.speech.model import PhoneticModel, load, save


def flipped(path: Path, place: int) -> None:
    """Change one bit of one byte."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_the_hash_of_the_shipped_file_is_known() -> None:
    content = weights.shipped_weights().read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (weights.SHIPPED_BYTES, weights.SHIPPED_SHA256)


@pytest.mark.family(2)
@pytest.mark.parametrize("place", [3, 2000, -1_000_000, -1])
def test_a_copy_of_the_shipped_file_with_one_bit_flipped_is_refused(tmp_path: Path, place: int) -> None:
    copy = tmp_path / weights.FILE_NAME
    copy.write_bytes(weights.shipped_weights().read_bytes())
    weights.load_weights(tmp_path)
    flipped(copy, place)
    with pytest.raises(SetupError) as caught:
        weights.load_weights(tmp_path)
    assert caught.value.code == "weights_damaged"
    assert str(copy) in caught.value.hint


def test_weights_of_ones_own_carry_a_hash_of_their_content(tmp_path: Path) -> None:
    own = tmp_path / weights.FILE_NAME
    save(load(weights.shipped_weights()), own)
    weights.load_weights(tmp_path)
    flipped(own, -5000)
    with pytest.raises(SetupError, match="has changed since it was written"):
        weights.load_weights(tmp_path)


def test_weights_that_cannot_be_read_for_the_moment_are_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path) -> PhoneticModel:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(weights, "load", fail)
    with pytest.raises(OSError, match="Input/output error"):
        weights.load_weights(tmp_path)
