"""Speech is told from music, noise and silence, moment by moment, in a stream as in the whole of it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from heygem_daemon.lipsync.adaptation.augment import music
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.model import PhoneticModel
from heygem_daemon.lipsync.speech.stream import reblock
from heygem_daemon.lipsync.speech.voice_activity import CHUNK, REACH, SPEECH, State, VoiceActivity, speech_probability, widen
from tests.lipsync.driver_contract import RATE, cut
from tests.lipsync.speech.conftest import Spoken

ROW = 320
"""Samples from row to row."""
CONTEXT = 64
"""Samples before a chunk that the network also sees."""


class FirstSample(VoiceActivity):
    """Gives the first sample of each chunk as its probability, and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, chunks: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        self.seen += list(chunks)
        return chunks[:, CONTEXT], state or (torch.zeros(1), torch.zeros(1))


def probability(network: VoiceActivity, blocks: Iterable[Float32], rows: int) -> Float32:
    """Return the probability of the first `rows` rows."""
    found = np.zeros(0, np.float32)
    for part in speech_probability(network, blocks):
        found = np.concatenate([found, part])
        if len(found) >= rows:
            return found[:rows]
    pytest.fail("the stream ended")


def heard(network: VoiceActivity, wave: Float32) -> Float32:
    """Return the widened probability of a whole recording."""
    return widen(probability(network, reblock([wave]), -(-len(wave) // ROW)))


@pytest.fixture(scope="module")
def untrained() -> VoiceActivity:
    torch.manual_seed(0)
    return VoiceActivity().eval()


@pytest.fixture(scope="module")
def ramp() -> Float32:
    """Some 5 s in which every sample is the number of its chunk."""
    return (np.arange(80_500) // CHUNK).astype(np.float32)


@pytest.mark.parametrize("sizes", [[16000], [512], [511, 3], [1_000_000]], ids=str)
def test_a_row_has_the_probability_of_the_chunk_that_its_first_sample_is_in(ramp: Float32, sizes: list[int]) -> None:
    rows = len(ramp) // ROW
    found = probability(FirstSample(), cut(ramp, sizes), rows)
    assert found.dtype == np.float32
    assert found.tolist() == [row * ROW // CHUNK for row in range(rows)]


@pytest.mark.parametrize("sizes", [[16000], [7001]], ids=str)
def test_the_network_sees_each_chunk_once_and_the_samples_before_it(sizes: list[int]) -> None:
    wave = np.arange(1, 40_001, dtype=np.float32)
    network = FirstSample()
    probability(network, cut(wave, sizes), 300)
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), wave, np.zeros(10 * RATE, np.float32)])
    assert len(network.seen) > 80
    for number, chunk in enumerate(network.seen):
        assert np.array_equal(chunk.numpy(), padded[number * CHUNK : (number + 1) * CHUNK + CONTEXT])


def test_the_network_goes_on_from_its_state(untrained: VoiceActivity) -> None:
    chunks = torch.from_numpy(np.random.default_rng(1).normal(0, 0.1, (12, CONTEXT + CHUNK)).astype(np.float32))
    with torch.inference_mode():
        whole, _ = untrained(chunks)
        first, state = untrained(chunks[:5])
        second, _ = untrained(chunks[5:], state)
        forgetful, _ = untrained(chunks[5:])
    torch.testing.assert_close(torch.cat([first, second]), whole, atol=1e-6, rtol=1e-5)
    assert (forgetful[0] - whole[5]).abs() > 1e-4


@pytest.mark.parametrize("sizes", [[160], [1, 7, 333, 16001], [15999, 2], [1_000_000]], ids=str)
def test_the_blocks_of_the_input_do_not_matter(model: PhoneticModel, spoken: Spoken, sizes: list[int]) -> None:
    wave = spoken.wave[: 5 * RATE]
    expected = probability(model.activity, reblock([wave]), 400)
    assert np.ptp(expected) > 0.5
    assert np.array_equal(probability(model.activity, reblock(cut(wave, sizes)), 400), expected)
    np.testing.assert_allclose(probability(model.activity, cut(wave, sizes), 400), expected, atol=1e-4)


def test_what_comes_later_does_not_matter(model: PhoneticModel, spoken: Spoken) -> None:
    wave = spoken.wave[: 4 * RATE]
    silenced = wave.copy()
    silenced[2 * RATE :] = 0
    before, after = (probability(model.activity, reblock([each]), 200) for each in (wave, silenced))
    same = 2 * RATE // CHUNK * CHUNK // ROW
    assert np.array_equal(before[:same], after[:same])
    assert np.abs(before[same:] - after[same:]).max() > 0.5


def test_after_the_recording_comes_silence_without_end(model: PhoneticModel, spoken: Spoken) -> None:
    wave = spoken.wave[: 3 * RATE]
    found = probability(model.activity, reblock([wave]), 600)
    followed = probability(model.activity, reblock([np.concatenate([wave, np.zeros(9 * RATE, np.float32)])]), 600)
    np.testing.assert_allclose(found, followed, atol=1e-4)
    assert found[200:].max() < SPEECH[0]


def test_no_recording_is_silence(model: PhoneticModel) -> None:
    assert probability(model.activity, [], 200).max() < SPEECH[0]


@pytest.mark.parametrize("gain", [0.03, 0.3, 3.0])
def test_speech_is_speech_at_any_level(model: PhoneticModel, spoken: Spoken, gain: float) -> None:
    found = heard(model.activity, np.float32(gain) * spoken.wave)[REACH:-REACH]
    assert (found >= SPEECH[1]).mean() > 0.98


@pytest.mark.parametrize("level", [-60, -40, -25])
def test_noise_is_no_speech(model: PhoneticModel, level: int) -> None:
    noise = np.random.default_rng(5).normal(0, 10 ** (level / 20), 6 * RATE).astype(np.float32)
    assert heard(model.activity, noise).max() < SPEECH[0]


@pytest.mark.parametrize("piece", ["solo", "band"])
def test_instruments_are_no_speech(model: PhoneticModel, spoken: Spoken, piece: str) -> None:
    wave, rate = soundfile.read(Path(__file__).with_name("music") / f"{piece}.ogg", dtype="float32")
    assert rate == RATE
    assert heard(model.activity, wave * np.float32(spoken.wave.std() / wave.std())).max() < SPEECH[0]


@pytest.mark.parametrize("seed", range(4))
def test_chords_with_a_beat_are_hardly_ever_speech(model: PhoneticModel, spoken: Spoken, seed: int) -> None:
    played = music(10 * RATE, np.random.default_rng(seed))
    found = heard(model.activity, played * np.float32(spoken.wave.std() / played.std()))
    assert (found >= np.mean(SPEECH)).mean() < 0.07


@pytest.mark.parametrize("pause", [1.0, 3.0])
def test_a_pause_in_speech_is_found(model: PhoneticModel, spoken: Spoken, pause: float) -> None:
    part = spoken.wave[: 2 * RATE]
    wave = np.concatenate([part, np.zeros(round(pause * RATE), np.float32), part])
    found = heard(model.activity, wave)
    inside = found[100 + 2 * REACH : 100 + round(50 * pause) - 2 * REACH]
    assert len(inside) > 0
    assert inside.max() < SPEECH[0]
    assert found[REACH : 100 - REACH].min() > SPEECH[1]


def test_a_moment_of_speech_counts_within_reach_of_it_and_no_farther() -> None:
    moment = np.zeros(80, np.float32)
    moment[40] = 0.9
    found = widen(moment)
    assert found.dtype == np.float32
    assert np.flatnonzero(found).tolist() == list(range(40 - REACH, 40 + REACH + 1))
    assert set(found[found > 0]) == {np.float32(0.9)}


def test_widening_takes_the_largest_and_never_lowers() -> None:
    values = np.random.default_rng(2).random(300).astype(np.float32)
    found = widen(values)
    assert (found >= values).all()
    for row in (0, 5, 137, 299):
        assert found[row] == values[max(0, row - REACH) : row + REACH + 1].max()
