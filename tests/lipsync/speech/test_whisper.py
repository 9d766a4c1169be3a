"""The lower blocks of Whisper compute what the encoders of its models do, window by window."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from heygem_daemon.lipsync.speech import whisper
from heygem_daemon.lipsync.speech.mel import BANDS
from heygem_daemon.lipsync.speech.whisper import BASE_STREAM, LONGEST, STREAM, Block, LowerBlocks, SpeechEncoder, rounded_as_used, sinusoids

WIDTH, HEADS = 16, 2
FLAGS = {
    "flags\t\t: fpu sse avx512f avx512_bf16 amx_tile": True,
    "flags\t\t: fpu sse avx512f amx_bf16": True,
    "Features\t: fp asimd bf16 i8mm": True,
    "flags\t\t: fpu sse avx2": False,
    "Features\t: fp asimd svebf16": False,
    "model name\t: a CPU with avx512_bf16": False,
    "": False,
}
"""A line of /proc/cpuinfo -> whether such a CPU multiplies in bfloat16."""


def narrow(*read: int) -> LowerBlocks:
    """Return blocks with random weights that are quick to run; the same weights for the same last block."""
    torch.manual_seed(max(read))
    return LowerBlocks(WIDTH, HEADS, read).eval()


def spectrum(windows: int, rows: int, seed: int = 0) -> Tensor:
    """Return something like normalised mel, [windows, 80, 2 rows]."""
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.5, (windows, BANDS, 2 * rows)).astype(np.float32))


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    """Both encoders at their full size, with random weights."""
    torch.manual_seed(0)
    return SpeechEncoder().eval()


def test_positions_are_sines_then_cosines_of_wavelengths_from_two_pi_to_twenty_thousand_pi() -> None:
    rows = np.arange(200)
    found = sinusoids(200, WIDTH).numpy()
    np.testing.assert_allclose(found[:, 0], np.sin(rows), atol=1e-6)
    np.testing.assert_allclose(found[:, WIDTH // 2 - 1], np.sin(rows / 10000), atol=1e-6)
    np.testing.assert_allclose(found[:, : WIDTH // 2] ** 2 + found[:, WIDTH // 2 :] ** 2, 1, atol=1e-5)


def test_a_block_is_a_transformer_layer_with_its_normalisation_before_each_part() -> None:
    """The reference is PyTorch's own layer."""
    torch.manual_seed(1)
    block = Block(WIDTH, HEADS).eval()
    reference = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    names = {
        "attention_norm": "norm1",
        "attention_exit": "self_attn.out_proj",
        "feed_norm": "norm2",
        "feed_entry": "linear1",
        "feed_exit": "linear2",
    }
    state = {f"{theirs}.{kind}": getattr(getattr(block, ours), kind) for ours, theirs in names.items() for kind in ("weight", "bias")}
    state |= {f"self_attn.in_proj_{kind}": getattr(block.query_key_value, kind) for kind in ("weight", "bias")}
    reference.load_state_dict(state)
    x = torch.randn(3, 40, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(block(x), reference(x), atol=1e-5, rtol=1e-4)


def test_two_convolutions_and_the_position_come_before_the_blocks() -> None:
    network, mel = narrow(1), spectrum(1, 30)
    with torch.inference_mode():
        for part in (network.blocks[0].attention_exit, network.blocks[0].feed_exit):
            assert isinstance(part, nn.Linear)
            part.weight.zero_()
            part.bias.zero_()
        entered = functional.gelu(functional.conv1d(mel, network.entry.weight, network.entry.bias, padding=1))
        halved = functional.gelu(functional.conv1d(entered, network.halving.weight, network.halving.bias, stride=2, padding=1))
        torch.testing.assert_close(network(mel)[0], halved[0].T + sinusoids(30, WIDTH))


def test_two_rows_of_mel_are_one_row_of_the_stream() -> None:
    with torch.inference_mode():
        assert narrow(1, 2)(spectrum(3, 25)).shape == (3, 25, 2 * WIDTH)


def test_the_streams_after_several_blocks_lie_side_by_side() -> None:
    with torch.inference_mode():
        both, second = narrow(1, 2)(spectrum(1, 25)), narrow(2)(spectrum(1, 25))
    torch.testing.assert_close(both[:, :, WIDTH:], second)
    assert (both[:, :, :WIDTH] - second).abs().max() > 0.1


def test_no_block_above_the_last_that_is_read_is_kept() -> None:
    assert len(narrow(1, 3).blocks) == 3


def test_a_row_hears_the_whole_window_and_knows_its_place_in_it() -> None:
    """Why windows have context: beyond the convolutions, attention reaches over the whole window."""
    network, mel = narrow(1), spectrum(1, 60)
    changed = mel.clone()
    changed[:, :, 80:] += 1
    with torch.inference_mode():
        steady = network(torch.zeros(1, BANDS, 120))[0]
        assert (network(mel)[0, :20] - network(changed)[0, :20]).abs().max() > 1e-4
    assert (steady[10] - steady[40]).abs().max() > 1e-2


def test_a_window_has_thirty_seconds_at_most() -> None:
    network = narrow(1)
    with torch.inference_mode():
        assert network(spectrum(1, LONGEST)).shape == (1, LONGEST, WIDTH)
        with pytest.raises(RuntimeError):
            network(spectrum(1, LONGEST + 1))


def test_the_encoder_gives_the_streams_of_both_models(encoder: SpeechEncoder) -> None:
    mel = spectrum(2, 40)
    with torch.inference_mode():
        stream, base, tiny = encoder(mel), encoder.base(mel), encoder.tiny(mel)
    assert stream.shape == (2, 40, STREAM)
    assert (base.shape[2], tiny.shape[2]) == (BASE_STREAM, STREAM - BASE_STREAM)
    assert stream.dtype == torch.float32
    assert (stream - torch.cat([base, tiny], 2)).std() < 0.02 * stream.std()


def test_weights_rounded_ahead_give_the_same_stream_in_half_of_the_memory(encoder: SpeechEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "multiplies_bfloat16", lambda: True)
    rounded, mel = rounded_as_used(encoder), spectrum(1, 40)
    with torch.inference_mode():
        assert torch.equal(rounded(mel), encoder(mel))
    sizes = [sum(value.nbytes for value in each.state_dict().values()) for each in (rounded, encoder)]
    assert sizes[0] < 0.51 * sizes[1]


def test_where_the_cpu_does_not_multiply_in_bfloat16_the_weights_stay(encoder: SpeechEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "multiplies_bfloat16", lambda: False)
    assert rounded_as_used(encoder) is encoder


@pytest.mark.parametrize("is_fast", [False, True], ids=["float32", "bfloat16"])
def test_windows_in_one_batch_are_independent(encoder: SpeechEncoder, monkeypatch: pytest.MonkeyPatch, is_fast: bool) -> None:
    monkeypatch.setattr(whisper, "multiplies_bfloat16", lambda: is_fast)
    mel = spectrum(3, 50)
    with torch.inference_mode():
        together, alone = encoder(mel), torch.cat([encoder(window[None]) for window in mel])
    assert (together - alone).std() < (0.01 if is_fast else 1e-5) * alone.std()


def test_float16_as_on_a_card_changes_the_stream_less(encoder: SpeechEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert whisper.arithmetic("cuda") is torch.float16
    streams = []
    for dtype in (torch.float32, torch.float16):
        monkeypatch.setattr(whisper, "arithmetic", lambda _, dtype=dtype: dtype)
        with torch.inference_mode():
            streams.append(encoder(spectrum(1, 60)))
    assert streams[1].dtype is torch.float32
    difference = float((streams[1] - streams[0]).norm() / streams[0].norm())
    assert 0 < difference < 3e-3


def test_bfloat16_changes_the_stream_little(encoder: SpeechEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = []
    for is_fast in (False, True):
        monkeypatch.setattr(whisper, "multiplies_bfloat16", lambda is_fast=is_fast: is_fast)
        with torch.inference_mode():
            streams.append(encoder(spectrum(1, 50)))
    exact, fast = streams
    assert fast.dtype == torch.float32
    assert 0 < (fast - exact).std() < 0.02 * exact.std()


@pytest.mark.parametrize(("line", "expected"), FLAGS.items())
def test_the_flags_of_a_cpu_tell_whether_it_multiplies_in_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: bool
) -> None:
    described = tmp_path / "cpuinfo"
    described.write_text(f"processor\t: 0\n{line}\nbogomips\t: 5000\n", encoding="utf-8")
    monkeypatch.setattr(whisper, "Path", lambda _: described)
    assert whisper.multiplies_bfloat16.__wrapped__() is expected


def test_a_system_that_does_not_describe_its_cpu_computes_in_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "Path", lambda _: tmp_path / "none")
    assert whisper.multiplies_bfloat16.__wrapped__() is False
