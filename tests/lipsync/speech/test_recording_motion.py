"""mouth_motion predicts the motion for a recording in memory at any times; a transcript makes closures."""

import importlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest

from heygem_daemon.lipsync import speech
from heygem_daemon.lipsync.adaptation.augment import mix
from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.speech import mouth_motion
from tests.lipsync.driver_contract import RATE, talk
from tests.lipsync.speech.conftest import Spoken
from tests.lipsync.speech.transcript.recordings import OTHER

pytestmark = pytest.mark.usefixtures("_equal_speech_is_encoded_once")

FIELDS = ("opening", "width", "visemes")


@pytest.fixture(scope="module")
def times(spoken: Spoken) -> Float64:
    return np.arange(0, len(spoken.wave) / RATE, 0.01)


@pytest.fixture(scope="module")
def unscripted(spoken: Spoken, times: Float64) -> MouthMotion:
    return mouth_motion(spoken.wave, times)


def test_motion_at_any_times_has_the_shapes_and_types_of_the_port(spoken: Spoken) -> None:
    motion = mouth_motion(spoken.wave, [0.5, 1, 2.25])
    assert motion.times.tolist() == [0.5, 1.0, 2.25]
    assert (motion.opening.shape, motion.width.shape, motion.visemes.shape) == ((3,), (3,), (3, len(VISEMES)))
    assert motion.opening.dtype == motion.width.dtype == motion.visemes.dtype == np.float32
    np.testing.assert_allclose(motion.visemes.sum(1), 1, atol=1e-4)


def test_no_times_are_no_motion(spoken: Spoken) -> None:
    assert len(mouth_motion(spoken.wave, [])) == 0


def test_the_order_of_the_times_does_not_matter(spoken: Spoken, times: Float64, unscripted: MouthMotion) -> None:
    order = np.random.default_rng(1).permutation(len(times))
    shuffled = mouth_motion(spoken.wave, times[order])
    assert np.array_equal(shuffled.times, times[order])
    for name in FIELDS:
        assert np.array_equal(getattr(shuffled, name), getattr(unscripted, name)[order])


@pytest.mark.parametrize("time", [-3.0, -0.05, 2.0, 30.0])
def test_before_the_recording_and_after_it_the_mouth_is_at_rest(spoken: Spoken, time: float) -> None:
    """The recording begins and ends in the middle of a word."""
    first = round(next(phone.start for phone in spoken.phones if phone.ipa.startswith("aɪ")) * RATE)
    motion = mouth_motion(spoken.wave[first : first + RATE], [time, 0.5])
    assert motion.opening[0] < 0.01
    assert motion.width[0] == pytest.approx(0.5, abs=0.01)
    assert motion.visemes[0, 0] > 0.99
    assert motion.opening[1] > 0.05


def test_the_motion_of_speech_is_smooth_between_the_rows(spoken: Spoken, times: Float64, unscripted: MouthMotion) -> None:
    middle = mouth_motion(spoken.wave, times[:-2:2] + 0.01).opening
    rows = unscripted.opening[::2]
    np.testing.assert_allclose(middle[:-1], (rows[:-1] + rows[1:])[: len(middle) - 1] / 2, atol=1e-5)


@pytest.mark.family(2)
@pytest.mark.parametrize("snr_db", [0, 30])
def test_a_script_makes_lips_meet_at_p_b_and_m_also_where_noise_hides_them(spoken: Spoken, times: Float64, snr_db: int) -> None:
    noise = np.random.default_rng(4).normal(0, 1, len(spoken.wave)).astype(np.float32)
    wave = mix(spoken.wave, noise, snr_db)
    unscripted, scripted = (mouth_motion(wave, times, script=script, language="en-us") for script in (None, spoken.text))
    before, after = (spoken.closures_met(times, motion.opening) for motion in (unscripted, scripted))
    print(f"p b m met at {snr_db} dB: {before:.0%} without the script, {after:.0%} with it")  # noqa: T201
    assert after > before or after == 1
    assert after > 0.65


def test_a_script_does_not_shut_the_mouth_everywhere(spoken: Spoken, times: Float64, unscripted: MouthMotion) -> None:
    scripted = mouth_motion(spoken.wave, times, script=spoken.text, language="en-us")
    assert scripted.opening.mean() > 0.7 * unscripted.opening.mean()
    assert np.corrcoef(scripted.opening, unscripted.opening)[0, 1] > 0.6


@pytest.mark.parametrize("script", [OTHER, "", "?!"], ids=["other words", "none", "no words"])
def test_a_script_that_does_not_match_the_audio_changes_nothing(
    spoken: Spoken, times: Float64, unscripted: MouthMotion, script: str
) -> None:
    motion = mouth_motion(spoken.wave, times, script=script, language="en")
    for name in FIELDS:
        assert np.array_equal(getattr(motion, name), getattr(unscripted, name))


def test_a_recording_without_speech_matches_no_script() -> None:
    hiss = np.random.default_rng(2).normal(0, 0.01, 5 * RATE).astype(np.float32)
    assert mouth_motion(hiss, np.arange(0, 5, 0.04), script=OTHER, language="en").opening.max() < 0.05


def test_a_recording_shorter_than_a_row_is_accepted() -> None:
    assert mouth_motion(talk(0.01), [0.0, 0.005, 0.2]).opening.max() < 0.3


def test_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="one dimension"):
        mouth_motion(np.zeros((100, 2)), [0.0])


def test_importing_the_entry_loads_no_heavy_library() -> None:
    code = (
        "import sys; from heygem_daemon.lipsync.speech import mouth_motion\n"
        "print(sorted({'torch', 'numpy', 'scipy', 'librosa'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_entry_stays_a_function_after_all_modules_are_imported() -> None:
    for module in pkgutil.iter_modules(speech.__path__):
        importlib.import_module(f"{speech.__name__}.{module.name}")
    assert speech.mouth_motion is mouth_motion
    assert callable(speech.mouth_motion)
