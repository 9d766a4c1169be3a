"""Music is composed by chance, repeatably and without voices, and played where FluidSynth is installed."""

import random
import shutil
from itertools import islice
from pathlib import Path

import mido
import numpy as np
import pytest

from training import music
from training.utterance import SAMPLE_RATE, SILENCE


def messages(seed: int) -> list[mido.Message]:
    (track,) = music.compose(random.Random(seed), seconds=12).tracks
    return list(track)


def test_the_same_seed_composes_the_same_piece_and_another_seed_another() -> None:
    assert messages(1) == messages(1)
    assert messages(1) != messages(2)


def test_no_voice_sings() -> None:
    programs = {message.program for seed in range(200) for message in messages(seed) if message.type == "program_change"}
    assert len(programs) > 60
    assert not programs & {52, 53, 54, 85, 91}


@pytest.mark.parametrize("seed", range(20))
def test_a_piece_lasts_as_long_as_requested(seed: int) -> None:
    piece = music.compose(random.Random(seed), seconds=12)
    assert 8 < piece.length < 17  # it may end with a rest
    assert any(message.type == "note_on" for message in messages(seed))


def test_pieces_are_solos_drums_and_bands() -> None:
    channels = [{m.channel for m in messages(seed) if m.type == "note_on"} for seed in range(60)]
    assert {0} in channels
    assert {9} in channels
    assert max(map(len, channels)) >= 4


@pytest.mark.skipif(
    shutil.which("fluidsynth") is None or not music.SOUNDFONT.exists(), reason="fluidsynth and fluid-soundfont-gm are not installed"
)
def test_music_is_played_and_nobody_speaks_in_it(tmp_path: Path) -> None:
    played = list(islice(music.instrumental(random.Random(3), tmp_path), 2))
    assert [u.voice for u in played] == [music.piece(0), music.piece(1)]
    for each in played:
        assert each.seconds > 9
        assert len(each.labels) == -(-len(each.wave) * 100 // SAMPLE_RATE)
        assert set(each.labels.tolist()) == {SILENCE}
        assert np.abs(each.wave).max() == pytest.approx(16384, abs=2)
        seconds = each.wave[: len(each.wave) // SAMPLE_RATE * SAMPLE_RATE].reshape(-1, SAMPLE_RATE).astype(float)
        assert (seconds[:8].std(1) > 30).mean() > 0.7
    assert np.array_equal(next(music.instrumental(random.Random(3), tmp_path)).wave, played[0].wave)
