"""Checkpoints are read in every format, and files that are mistaken for one are refused with a reason."""

import io
import json
import math
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from heygem_daemon.core.errors import SetupError
from heygem_daemon.lipsync.wav2lip import load_network
from heygem_daemon.lipsync.wav2lip.checkpoints.formats import Kind, detect_kind
from heygem_daemon.lipsync.wav2lip.checkpoints.reader import read
from heygem_daemon.lipsync.wav2lip.checkpoints.safetensors_header import is_tensor_file
from heygem_daemon.lipsync.wav2lip.network import fold_batch_norms, published_layout
from tests.lipsync.wav2lip.conftest import SAVERS, Weights, save_old_torch, save_torch, save_zip


def refusal(path: Path) -> SetupError:
    with pytest.raises(SetupError) as caught:
        read(path)
    assert caught.value.code.startswith("checkpoint_")
    assert caught.value.hint.startswith("Administrator: ")
    return caught.value


def assert_same(found: Weights, expected: Weights) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.fixture(scope="session")
def compact_folded(compact: Weights) -> Weights:
    return fold_batch_norms(compact)


# -- formats -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.family(2)
@pytest.mark.parametrize(
    ("form", "kind"),
    [("zip", Kind.TORCH), ("old", Kind.TORCH_OLD), ("scripted", Kind.TORCHSCRIPT), ("traced", Kind.TORCHSCRIPT)],
)
def test_a_bare_state_dict_or_module_is_read_in_every_format(
    form: str, kind: Kind, compact: Weights, compact_folded: Weights, tmp_path: Path
) -> None:
    SAVERS[form](tmp_path / "w", compact)
    contents = read(tmp_path / "w")
    assert contents.kind is kind
    assert_same(contents.weights, compact_folded)


def test_the_published_format_is_read_whatever_the_file_name(compact_file: Path, compact_folded: Weights, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").symlink_to(compact_file)
    contents = read(tmp_path / "holiday.jpg")
    assert contents.kind is Kind.TORCH_OLD
    assert_same(contents.weights, compact_folded)


@pytest.mark.slow
def test_a_generator_within_a_larger_module_in_half_precision_without_counters_is_read(compact: Weights, tmp_path: Path) -> None:
    state = {f"model.generator.{name}": value.half() for name, value in compact.items() if not name.endswith("tracked")}
    save_torch(tmp_path / "w.pth", {"model": state, "ema": {"step": torch.zeros(())}, "loss": 0.3})
    halves = {name: value.half().float() for name, value in compact.items()}
    assert_same(read(tmp_path / "w.pth").weights, fold_batch_norms(halves))


@pytest.mark.slow  # test_store.py reads and uses them too
def test_safetensors_of_full_size_are_read_and_work(untrained_file: Path, untrained: Weights) -> None:
    contents = read(untrained_file)
    assert contents.kind is Kind.SAFETENSORS
    assert_same(contents.weights, fold_batch_norms(untrained))
    network = load_network(untrained_file)
    assert not network.training
    with torch.inference_mode():
        image = network(torch.zeros(1, 1, 80, 16), torch.full((1, 6, 96, 96), 0.5))
    assert image.shape == (1, 3, 96, 96)
    assert image.std() > 0.01


def test_a_tensor_file_is_known_even_if_its_length_begins_like_a_pickle() -> None:
    assert is_tensor_file((0x180).to_bytes(8, "little") + b'{"a":')
    assert not is_tensor_file(pickle.dumps({"a": 1}))


# -- other files ---------------------------------------------------------------------------------------------------------------------------


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title>", "checkpoint_web_page", "a web page"),
        (b"\xef\xbb\xbf\r\n  <HTML>" + "<p>é".encode() * 2000, "checkpoint_web_page", "a web page"),
        (b'{"error":"Not Found"}', "checkpoint_web_page", "an answer of a server"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "checkpoint_web_page", "a git-lfs pointer"),
        (b"Access denied. Please sign in first to download this file.\n" * 2, "checkpoint_web_page", "a text"),
        (b"", "checkpoint_truncated", "it is empty"),
        (b"PK", "checkpoint_truncated", "it has 2 bytes"),
        (b"\x1f\x8b\x08" + bytes(200), "checkpoint_unreadable", "gzip"),
        (b"\x08\x08\x12\x07pytorch\x1a\x051.9" + bytes(200), "checkpoint_unreadable", "ONNX"),
        (b"\x00\x01\x02\x03" * 100, "checkpoint_unreadable", "of no known kind"),
        (zipped(wav2lip__pth=b"x"), "checkpoint_unreadable", "with wav2lip.pth in it: unpack it first"),
        (zipped(a__txt=b"x"), "checkpoint_unreadable", "an archive without weights"),
        (pickle.dumps({"state_dict": {}}, 2) + bytes(100), "checkpoint_unreadable", "a pickle of Python"),
        (pickle.dumps({"state_dict": {}}, 5) + bytes(100), "checkpoint_unreadable", "a pickle of Python"),
    ],
)
def test_other_files_are_refused_with_a_reason(content: bytes, code: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "wav2lip_gan.pth").write_bytes(content)
    problem = refusal(tmp_path / "wav2lip_gan.pth")
    assert (problem.code, words in problem.message) == (code, True), problem.message
    assert problem.message.count("wav2lip_gan.pth") == 1


def test_no_file_and_an_absurdly_large_one_are_not_opened(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.pth").message
    assert "not an ordinary file" in refusal(tmp_path).message
    os.mkfifo(tmp_path / "pipe.pth")
    assert "not an ordinary file" in refusal(tmp_path / "pipe.pth").message
    with (tmp_path / "large.pth").open("wb") as file:
        file.truncate(5 * 2**30)
    assert "5.0 GiB" in refusal(tmp_path / "large.pth").message


def ones(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {name.replace("__", "."): torch.ones(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (ones(conv1_1__weight=(64, 3, 3, 3), conv3_3_norm__weight=(256,)), "the face detector S3FD"),
        ({"state_dict": ones(face_encoder__0__conv_block__0__weight=(32, 15, 7, 7))}, "the lip-sync expert"),
        ({"state_dict": ones(module__binary_pred__0__weight=(1, 512, 1, 1))}, "the discriminator"),
        ({"params_ema": ones(stylegan_decoder__x=(1,), final__y=(2,))}, "GFPGAN"),
        (ones(layer1__weight=(3, 3)), "another network (layer1.weight ...)"),
        ({"optimizer": {"lr": 1e-4}}, "a file without weights"),
        ([1, 2, 3], "a file without weights"),
    ],
)
@pytest.mark.parametrize("save", [save_torch, save_old_torch])
def test_another_network_is_named(content: Any, words: str, save: Callable[[Path, Any], None], tmp_path: Path) -> None:
    save(tmp_path / "w.pth", content)
    problem = refusal(tmp_path / "w.pth")
    assert (problem.code, words in problem.message) == ("checkpoint_other_network", True), problem.message


FIRST = "face_encoder_blocks.0.0.conv_block.0.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({f"face_encoder_blocks.{level}.0.conv_block.0.weight": torch.ones(1) for level in (7, 8)}, "has 9 levels instead of 7"),
        ({FIRST: torch.ones(8, 6, 7, 7)}, "is 8 x 6 x 7 x 7 instead of 16 x 6 x 7 x 7"),
        ({"sam.sa.conv1.weight": torch.ones(1)}, "more layers (sam.sa.conv1.weight ...)"),
        ({"output_block.1.bias": None}, "has no output_block.1.bias"),
    ],
)
def test_a_variant_of_the_generator_is_described(
    change: dict[str, torch.Tensor | None], words: str, compact: Weights, tmp_path: Path
) -> None:
    state = {f"module.{name}": value for name, value in ({**compact} | change).items() if value is not None}
    save_torch(tmp_path / "w.pth", {"state_dict": state})
    problem = refusal(tmp_path / "w.pth")
    assert (problem.code, words in problem.message) == ("checkpoint_other_network", True), problem.message


def test_quantised_weights_are_refused(compact: Weights, tmp_path: Path) -> None:
    save_torch(tmp_path / "w.pth", {**compact, FIRST: torch.ones(16, 6, 7, 7, dtype=torch.int8)})
    assert "quantised" in refusal(tmp_path / "w.pth").message


@pytest.mark.parametrize(("name", "number"), [(FIRST, math.nan), (FIRST, math.inf), (FIRST.replace("0.weight", "1.running_var"), -1.0)])
def test_impossible_values_are_damage(name: str, number: float, compact: Weights, tmp_path: Path) -> None:
    save_old_torch(tmp_path / "w.pth", {**compact, name: torch.full(published_layout()[name], number)})
    problem = refusal(tmp_path / "w.pth")
    assert (problem.code, name in problem.message) == ("checkpoint_damaged", True)


@pytest.mark.parametrize("form", ["zip", pytest.param("scripted", marks=pytest.mark.slow)])
def test_a_flipped_bit_in_an_archive_is_noticed_though_the_value_stays_possible(form: str, compact: Weights, tmp_path: Path) -> None:
    number = torch.tensor([0.123456789])
    SAVERS[form](tmp_path / "w.pth", {**compact, FIRST: number.expand(16, 6, 7, 7)})
    content = (tmp_path / "w.pth").read_bytes()
    mark = number.numpy().tobytes()
    assert content.count(mark) == 1
    (tmp_path / "w.pth").write_bytes(content.replace(mark, bytes([mark[0] ^ 1, *mark[1:]])))
    assert refusal(tmp_path / "w.pth").code in {"checkpoint_damaged", "checkpoint_unreadable"}


# -- malicious files -----------------------------------------------------------------------------------------------------------------------


class Touch:
    """Creates a file when it is unpickled without restrictions."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch '{self._path}'",))


@pytest.mark.parametrize("save", [save_torch, save_old_torch])
@pytest.mark.parametrize("wrap", [lambda bomb: bomb, lambda bomb: {"state_dict": {}, "optimizer": bomb}])
def test_code_in_a_torch_file_is_named_and_never_runs(
    save: Callable[[Path, Any], None], wrap: Callable[[object], object], tmp_path: Path
) -> None:
    save(tmp_path / "w.pth", wrap(Touch(tmp_path / "touched")))
    problem = refusal(tmp_path / "w.pth")
    assert (problem.code, "posix.system" in problem.message) == ("checkpoint_unsafe", True), problem.message
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_bare_pickle_never_runs(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Touch(tmp_path / "touched"), protocol) + bytes(100))
    refusal(tmp_path / "w.pth")
    assert not (tmp_path / "touched").exists()


def test_a_whole_pickled_model_names_its_class(tmp_path: Path) -> None:
    save_torch(tmp_path / "w.pth", nn.Conv2d(1, 1, 1))
    assert "torch.nn.modules.conv.Conv2d" in refusal(tmp_path / "w.pth").message


def script_of(path: Path, content: bytes, **members: bytes) -> Path:
    """Write a file like a TorchScript archive around a pickle."""
    parts = {"data.pkl": content, "constants.pkl": pickle.dumps((), 2), "code/__torch__.py": b"", **members}
    return save_zip(path, **parts)


@pytest.mark.parametrize(
    ("module", "name"), [("posix", "system"), ("builtins", "eval"), ("torch", "load"), ("torch._utils", "_rebuild_qtensor")]
)
def test_a_torchscript_archive_that_names_a_function_is_refused_before_anything_runs(module: str, name: str, tmp_path: Path) -> None:
    call = f"c{module}\n{name}\n(X".encode() + len(command := f"touch '{tmp_path / 'touched'}'".encode()).to_bytes(4, "little")
    script_of(tmp_path / "w.pt", b"\x80\x02" + call + command + b"tR.")
    problem = refusal(tmp_path / "w.pt")
    assert (problem.code, f"{module}.{name}" in problem.message) == ("checkpoint_unsafe", True), problem.message
    assert not (tmp_path / "touched").exists()


MODULE = b"c__torch__\nM\n)\x81"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    "content",
    [
        MODULE + b"q\x00}X\x01\x00\x00\x00aq\x01h\x00sb.",  # a module that holds itself
        b"c__torch__\nM\n}X\x01\x00\x00\x00aK\x01sb.",  # a change of the class
        TENSOR + b"}X\x03\x00\x00\x00_doK\x01sb.",  # a change of the function
        TENSOR + b"(K\x01K\x00K\x01K\x01tR.",  # a tensor of nothing
        MODULE + b"K\x05b.",
        b"K\x05.",
        b"(((((.",
        b"",
    ],
)
def test_a_malicious_or_garbled_torchscript_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    script_of(tmp_path / "w.pt", b"\x80\x02" + content if content else b"")
    refusal(tmp_path / "w.pt")


@pytest.mark.family(2)
@pytest.mark.parametrize("form", ["scripted", "traced"])
def test_a_torchscript_tensor_cannot_reach_beyond_its_bytes(form: str, compact: Weights, tmp_path: Path) -> None:
    SAVERS[form](tmp_path / "w.pt", compact)
    with zipfile.ZipFile(tmp_path / "w.pt") as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    save_zip(tmp_path / "short.pt", **members | {"data/3": b""})
    assert refusal(tmp_path / "short.pt").code == "checkpoint_unreadable"
    del members["data/3"]
    save_zip(tmp_path / "missing.pt", **members)
    assert refusal(tmp_path / "missing.pt").code == "checkpoint_unreadable"


# -- truncated and garbled files -----------------------------------------------------------------------------------------------------------


@pytest.mark.family(2)
@pytest.mark.parametrize("form", [*SAVERS, "safetensors"])
def test_a_file_truncated_anywhere_is_incomplete(form: str, compact: Weights, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    if form == "safetensors":
        safetensors.torch.save_file({"a": torch.ones(100), "b": torch.ones(100)}, path)
    else:
        SAVERS[form](path, {"state_dict": compact} if form in {"zip", "old"} else compact)
    size = path.stat().st_size
    for part in (1 - 1 / size, 0.999, 0.99, 0.9, 0.7, 0.5, 0.3, 0.1, 0.01, 0.001):
        os.truncate(path, int(size * part))
        assert refusal(path).code == "checkpoint_truncated", part
    for length in (100, 63, 30, 9, 8, 4, 3, 2, 1, 0):
        if length < path.stat().st_size:
            os.truncate(path, length)
            assert refusal(path).code == "checkpoint_truncated", length


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small file of each format with another network, so that every reading ends with an error."""
    folder = tmp_path_factory.mktemp("small")
    weights = OrderedDict({"0.0.weight": torch.ones(2, 1, 3, 3), "0.0.bias": torch.ones(2)})
    safetensors.torch.save_file(weights, folder / "safetensors")
    for form, save in SAVERS.items():
        save(folder / form, weights)
    return folder


@given(form=st.sampled_from([*SAVERS, "safetensors"]), place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_wrong_or_missing_byte_ends_with_an_error_of_ours(
    form: str, place: float, byte: int, cut: bool, small_files: Path, tmp_path: Path
) -> None:
    content = (small_files / form).read_bytes()
    at = int(place * len(content))
    (tmp_path / "w.pth").write_bytes(content[:at] if cut else content[:at] + bytes([byte]) + content[at + 1 :])
    refusal(tmp_path / "w.pth")


@pytest.mark.parametrize(
    "head",
    [
        b"{}x",
        b"[]",
        json.dumps({"a": {"dtype": "F32"}}).encode(),
        json.dumps({"a": []}).encode(),
        json.dumps({"__metadata__": 3}).encode(),
        b'{"a":' * 5000,
    ],
)
def test_a_garbled_header_of_safetensors_is_refused(head: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(100))
    assert refusal(tmp_path / "w.safetensors").code == "checkpoint_unreadable"


def test_the_format_is_detected_from_the_content(compact_file: Path) -> None:
    assert detect_kind(compact_file) is Kind.TORCH_OLD
