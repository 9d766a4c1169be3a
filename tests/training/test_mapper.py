"""Predictions for people held out are measured, and calibrated to move as much as real mouths do."""

from dataclasses import replace

import numpy as np
import pytest

from heygem_daemon.lipsync.adaptation.augment import music
from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.finetune import Recipe
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.model import Calibration, MotionPrediction, load
from heygem_daemon.lipsync.speech.weights import shipped_weights
from tests.lipsync.adaptation.conftest import make_clip, syllables
from training import mapper
from training.espeak import espeak
from training.utterance import Utterance

CLIPS = [make_clip(name, name, seed=seed) for seed, name in enumerate("abcd")]


def prediction_of(clip: AvClip, gain: float = 1.0) -> tuple[MotionPrediction, Float32]:
    """Return (prediction, posteriors) of a model that follows the mouth's loudness well, all of it speech."""
    true = syllables(clip.seconds + 0.04, int("abcd".index(clip.name)), 50)
    standard = (true - true.mean()) / true.std()
    posteriors = np.zeros((len(true), 16), np.float32)
    posteriors[:, 10] = 1
    prediction = MotionPrediction(
        opening=(gain * standard).astype(np.float32),
        width=(0.5 * gain * standard).astype(np.float32),
        shut=(true < 0.08).astype(np.float32),
    )
    return prediction, posteriors


def test_a_model_that_follows_has_good_metrics_and_a_deaf_one_has_not() -> None:
    good = mapper.metrics_of(CLIPS, {clip.name: prediction_of(clip) for clip in CLIPS}, Calibration())
    strange = mapper.metrics_of(CLIPS, {clip.name: prediction_of(CLIPS[i - 1]) for i, clip in enumerate(CLIPS)}, Calibration())
    assert good.clips == strange.clips == 4
    assert good.opening_r > 0.8
    assert abs(strange.opening_r) < 0.4


@pytest.mark.parametrize("gain", [0.5, 0.7])
def test_the_calibration_gives_people_held_out_the_amplitude_of_real_mouths(gain: float) -> None:
    predicted = {clip.name: prediction_of(clip, gain) for clip in CLIPS}
    found = mapper.best_calibration(CLIPS, mapper.HeldOutPredictions(clean=predicted, noisy={}))
    metrics = mapper.metrics_of(CLIPS, predicted, found)
    assert 0.85 < metrics.amplitude < 1.15
    assert metrics.closures_hit > 0.5
    width = found.width_gain * np.mean([prediction.width.std() for prediction, _ in predicted.values()])
    assert width == pytest.approx(0.2, rel=1e-3)


def test_a_weaker_model_gets_a_larger_gain() -> None:
    gains = [
        mapper.best_calibration(
            CLIPS, mapper.HeldOutPredictions(clean={clip.name: prediction_of(clip, gain) for clip in CLIPS}, noisy={})
        ).opening_gain
        for gain in (0.4, 0.8)
    ]
    assert gains[0] > gains[1]


def test_mappers_are_trained_without_touching_encoder_and_calibration() -> None:
    start = load(shipped_weights())
    tiny = Recipe(members=1, steps=2, batch=2)
    short = [make_clip(name, name, seed=seed, seconds=2) for seed, name in enumerate("ab")]
    learned = mapper.fit_mappers(start, short, seed=0, mappers=tiny, transcript_mappers=replace(tiny, members=0))
    assert learned.encoder is start.encoder
    assert learned.calibration == start.calibration
    assert len(learned.mappers) == 1
    assert learned.transcript_mappers is start.transcript_mappers  # none were asked for
    assert learned.lip_pca.components.shape == start.lip_pca.components.shape


def test_music_moves_a_mouth_less_than_speech() -> None:
    wave, _ = espeak().speak("Nobody remembers what was said before the meeting began.", "en-us")
    clip = replace(CLIPS[0], audio=wave)
    tones = music(16000 * 5, np.random.default_rng(0))
    piece = Utterance(
        wave=(tones / np.abs(tones).max() * 9000).astype(np.int16), labels=np.zeros(500, np.int8), language="music", voice="a piece"
    )
    speech = Utterance(wave=(wave * 32767).astype(np.int16), labels=piece.labels, language="en", voice="a voice")
    assert mapper.music_motion(load(shipped_weights()), [clip], [piece]) < 0.15
    assert mapper.music_motion(load(shipped_weights()), [clip], [speech]) == pytest.approx(1, abs=0.05)
    assert mapper.music_motion(load(shipped_weights()), [clip], []) == 0


def test_metrics_are_rounded_for_the_card() -> None:
    found = mapper.rounded_metrics(mapper.metrics_of(CLIPS, {clip.name: prediction_of(clip) for clip in CLIPS}, Calibration()))
    assert found["clips"] == 4
    assert all(value == round(value, 3) for value in found.values())
