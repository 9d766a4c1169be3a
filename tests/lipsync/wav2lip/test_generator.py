"""The network runs in batches that fit into memory, in the fastest arithmetic that is accurate."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from heygem_daemon.core.errors import DeviceError
from heygem_daemon.lipsync.wav2lip import generator as module
from heygem_daemon.lipsync.wav2lip.framing import Framing
from heygem_daemon.lipsync.wav2lip.generator import ROWS, TOP, FaceGenerator, affordable_batch, choose_arithmetic
from heygem_daemon.lipsync.wav2lip.mel import mel_windows
from heygem_daemon.lipsync.wav2lip.network import SIDE, Wav2Lip
from tests.lipsync.conftest import Clip
from tests.lipsync.driver_contract import talk

CPU = torch.device("cpu")
HALF, SHORT, SINGLE = torch.float16, torch.bfloat16, torch.float32
native = module._native  # the original: other fixtures replace it
Inputs = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def inputs(clip: Clip, reference: np.ndarray) -> Inputs:
    """Five mel windows, [5, 80, 16], and real faces, uint8 [5, 96, 96, 3]."""
    framing = Framing(clip.tracks, reference)
    faces = []
    for frame in clip.frames[:20:4]:
        box = framing(frame.index)
        assert box is not None
        faces.append(box.face(frame))
    return np.stack(list(mel_windows([talk(2)], Fraction(5), 5, Fraction(0)))), np.stack(faces)


@pytest.fixture(scope="module")
def generated(generator: FaceGenerator, inputs: Inputs) -> np.ndarray:
    return generator(*inputs)


class StubNetwork(nn.Module):
    """In place of the network: gives the value `draw(dtype)` in every pixel, and has memory for `limit` faces.

    given: the faces of every call.
    """

    def __init__(
        self,
        draw: Callable[[torch.dtype], float] = lambda _: 0.5,
        limit: int = 1000,
        problem: Callable[[], RuntimeError] = lambda: torch.OutOfMemoryError("no room for this tensor"),
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), 1 / 3), requires_grad=False)
        self.draw, self.limit, self.problem = draw, limit, problem
        self.given: list[Tensor] = []

    def rows_from(self, row: int, mel: Tensor, face: Tensor) -> Tensor:
        if len(mel) > self.limit:
            raise self.problem()
        self.given.append(face)
        return torch.full((len(face), 3, SIDE - row, SIDE), self.draw(self.weight.dtype)).to(self.weight.dtype)


class LimitedNetwork(nn.Module):
    """A network on a device with room for `limit` faces."""

    def __init__(self, network: Wav2Lip, limit: int) -> None:
        super().__init__()
        self.network, self.limit = network, limit
        self.tried: list[int] = []

    def rows_from(self, row: int, mel: Tensor, face: Tensor) -> Tensor:
        self.tried.append(len(mel))
        if len(mel) > self.limit:
            raise torch.OutOfMemoryError("no room for this tensor")
        return self.network.rows_from(row, mel, face)


def generator_of(network: nn.Module, batch: int) -> FaceGenerator:
    generator = FaceGenerator(network)  # type: ignore[arg-type]
    generator.batch = batch
    return generator


# -- output --------------------------------------------------------------------------------------------------------------------------------


def test_the_lower_rows_come_back_in_grey_levels(generated: np.ndarray) -> None:
    assert generated.shape == (5, ROWS, SIDE, 3)
    assert generated.dtype == np.float32
    assert (TOP, ROWS) == (44, 52)
    assert 0 <= generated.min() < 60
    assert 195 < generated.max() <= 255


def test_the_network_gets_the_face_and_the_face_without_its_lower_half(network: Wav2Lip, inputs: Inputs, generated: np.ndarray) -> None:
    mels, faces = inputs
    whole = torch.from_numpy(faces[:1]).permute(0, 3, 1, 2) / 255
    upper = torch.cat([whole[:, :, :48], torch.zeros_like(whole[:, :, 48:])], dim=2)
    expected = network(torch.from_numpy(mels[:1, None].copy()), torch.cat([upper, whole], dim=1))
    np.testing.assert_allclose(generated[0], 255 * expected[0, :, TOP:].permute(1, 2, 0), atol=0.01)


def test_the_lower_half_is_hidden_in_the_masked_face_only(inputs: Inputs) -> None:
    mels, faces = inputs
    network = StubNetwork()
    generator_of(network, 8)(mels, faces)
    (given,) = network.given
    masked, whole = given[:, :3], given[:, 3:]
    assert torch.equal(whole, torch.from_numpy(faces).permute(0, 3, 1, 2) / 255)
    assert torch.equal(masked[:, :, :48], whole[:, :, :48])
    assert not masked[:, :, 48:].any()
    assert masked[:, :, 47].any()


@pytest.mark.family(2)
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_output_does_not_depend_on_the_batch(network: Wav2Lip, inputs: Inputs, generated: np.ndarray, batch: int) -> None:
    np.testing.assert_allclose(generator_of(network, batch)(*(part[:3] for part in inputs)), generated[:3], atol=0.01)


def test_no_faces_give_no_rows(generator: FaceGenerator, inputs: Inputs) -> None:
    assert generator(inputs[0][:0], inputs[1][:0]).shape == (0, ROWS, SIDE, 3)


# -- memory --------------------------------------------------------------------------------------------------------------------------------


def test_out_of_memory_the_batch_is_halved(network: Wav2Lip, inputs: Inputs, generated: np.ndarray) -> None:
    limited = LimitedNetwork(network, limit=2)
    generator = generator_of(limited, 16)
    np.testing.assert_allclose(generator(*inputs), generated, atol=0.01)
    assert generator.batch == 2
    assert limited.tried == [5, 5, 4, 2, 2, 1]


def test_a_batch_that_did_not_fit_is_not_tried_again(inputs: Inputs) -> None:
    network = StubNetwork(limit=2)
    generator = generator_of(network, 4)
    for _ in range(2):
        generator(*inputs)
    assert [len(faces) for faces in network.given] == [2, 2, 1] * 2


def test_where_not_even_one_face_fits_an_error_is_raised(inputs: Inputs) -> None:
    with pytest.raises(DeviceError) as caught:
        generator_of(StubNetwork(limit=0), 16)(*inputs)
    assert caught.value.code == "device_memory"


@pytest.mark.parametrize("message", ["CUDA error: out of memory", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"])
def test_out_of_memory_of_another_library_counts_too(inputs: Inputs, message: str) -> None:
    generator = generator_of(StubNetwork(limit=2, problem=lambda: RuntimeError(message)), 4)
    assert len(generator(*inputs)) == 5
    assert generator.batch == 2


def test_another_error_is_not_taken_for_out_of_memory(inputs: Inputs) -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        generator_of(StubNetwork(limit=2, problem=lambda: RuntimeError("shapes do not fit")), 4)(*inputs)


@pytest.mark.parametrize(
    ("free", "per_face", "batch"),
    [(0, 1000, 1), (1999, 1000, 1), (20_000, 1000, 10), (20_999, 1000, 10), (10**12, 1000, 128), (8 << 30, 12 << 20, 128)],
)
def test_half_of_the_free_memory_is_used_for_128_faces_at_most(free: int, per_face: int, batch: int) -> None:
    assert affordable_batch(free, per_face) == batch


# -- arithmetic ----------------------------------------------------------------------------------------------------------------------------


def chosen(
    monkeypatch: pytest.MonkeyPatch,
    candidates: tuple[torch.dtype, ...],
    seconds: Mapping[torch.dtype, float],
    off: Mapping[torch.dtype, float],
) -> torch.dtype:
    """Return the choice where a run takes `seconds` and its values are `off` by as much."""
    now = 0.0

    def draw(dtype: torch.dtype) -> float:
        nonlocal now
        now += seconds[dtype]
        return 0.25 + off.get(dtype, 0.0)

    monkeypatch.setattr(module, "_native", lambda _: candidates)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now))
    network = StubNetwork(draw)
    arithmetic = choose_arithmetic(network, CPU)  # type: ignore[arg-type]
    assert torch.equal(network.weight, torch.full((1,), 1 / 3)), "the weights were rounded"
    return arithmetic.dtype


@pytest.mark.parametrize(
    ("seconds", "off", "expected"),
    [
        ({SINGLE: 4.0, HALF: 2.0, SHORT: 3.0}, {}, HALF),
        ({SINGLE: 4.0, HALF: 3.0, SHORT: 2.0}, {}, SHORT),
        ({SINGLE: 4.0, HALF: 3.0, SHORT: 2.0}, {HALF: 0.005, SHORT: 0.037}, HALF),
        ({SINGLE: 4.0, HALF: 3.0, SHORT: 2.0}, {HALF: -0.02, SHORT: 0.037}, SINGLE),
        ({SINGLE: 4.0, HALF: 2.0, SHORT: 3.0}, {HALF: float("nan")}, SHORT),
        ({SINGLE: 4.0, HALF: 2.0, SHORT: 3.0}, {HALF: float("inf"), SHORT: float("nan")}, SINGLE),
        ({SINGLE: 2.0, HALF: 3.0, SHORT: 4.0}, {}, SINGLE),
    ],
)
def test_the_fastest_arithmetic_that_is_near_enough_is_chosen(
    monkeypatch: pytest.MonkeyPatch, seconds: Mapping[torch.dtype, float], off: Mapping[torch.dtype, float], expected: torch.dtype
) -> None:
    assert chosen(monkeypatch, (HALF, SHORT), seconds, off) is expected


def test_without_16_bit_types_float32_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, (), {}, {}) is SINGLE


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (set(), ()),
        ({"avx2", "avx512f"}, ()),
        ({"avx512f", "avx512_bf16"}, (SHORT,)),
        ({"amx_bf16", "avx512_fp16"}, (HALF, SHORT)),
    ],
    ids=["none", "avx512", "bfloat16", "both"],
)
def test_a_cpu_tries_only_its_native_16_bit_types(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], expected: tuple[torch.dtype, ...]
) -> None:
    monkeypatch.setattr(module, "_cpu_flags", lambda: frozenset(flags))
    assert native(CPU) == expected


def test_where_the_probe_does_not_fit_into_memory_float32_is_used(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_native", lambda _: (HALF, SHORT))
    generator = generator_of(StubNetwork(limit=2), 4)
    assert generator.arithmetic == module.EXACT
    assert len(generator(*inputs)) == 5


def test_a_16_bit_type_that_does_not_fit_into_memory_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(dtype: torch.dtype) -> float:
        if dtype is SHORT:
            raise torch.OutOfMemoryError("no room for this tensor")
        return 0.5

    monkeypatch.setattr(module, "_native", lambda _: (SHORT, HALF))
    assert choose_arithmetic(StubNetwork(draw), CPU) == module.EXACT  # type: ignore[arg-type]


def test_another_error_of_the_probe_is_not_taken_for_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_native", lambda _: (HALF,))
    with pytest.raises(RuntimeError, match="shapes"):
        choose_arithmetic(StubNetwork(limit=2, problem=lambda: RuntimeError("shapes do not fit")), CPU)  # type: ignore[arg-type]


@pytest.mark.slow
def test_bfloat16_is_too_coarse_for_this_network(network: Wav2Lip, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = deepcopy(network)
    mels, faces = module._probe()
    clock = iter([0.0, 10.0, 20.0, 20.1])
    monkeypatch.setattr(module, "_native", lambda _: (SHORT,))
    monkeypatch.setattr(module, "_probe", lambda: (mels[:1], faces[:1]))
    monkeypatch.setattr(module, "_TIMED", 1)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert choose_arithmetic(copy, CPU).dtype is SINGLE
    assert next(clock, None) is None
    assert all(torch.equal(copy.state_dict()[name], weight) for name, weight in network.state_dict().items())


def test_a_face_that_overflows_float16_is_generated_in_float32(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    overflows = False
    monkeypatch.setattr(module, "choose_arithmetic", lambda *_: module.Arithmetic(dtype=HALF, difference=0.001))
    generator = generator_of(StubNetwork(lambda dtype: float("inf") if overflows and dtype is HALF else 0.25), 2)
    assert generator.arithmetic.name == "float16"
    assert (generator(*inputs) == 63.75).all()
    overflows = True
    assert (generator(*inputs) == 63.75).all()
    assert generator.arithmetic.name == "float32"
