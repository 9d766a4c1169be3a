"""The picture that explains a result: what it says and what it shows."""

import dataclasses
import wave
from fractions import Fraction

import cv2
import numpy as np
import pytest

from heygem_daemon.lipsync.diagnostics import Explanation, caption, envelope, explain, segments
from heygem_daemon.lipsync.evaluation import Asked, Closure, Outcome
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion

RATE = Fraction(25)
GREEN, RED, BLUE = (196, 229, 191), (179, 179, 244), (156, 78, 31)
"""BGR: a closure shown, a closure missed, the opening asked."""


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """3 s: a second of silence between two of sound, the second one half as loud."""
    tone = np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
    return write_wav(tmp_path_factory.mktemp("explain") / "speech.wav", np.concatenate([0.8 * tone, 0 * tone, 0.4 * tone]))


def explanation(recording, frames=75, outcome=None, **changes):
    visemes = np.zeros((frames, 16), np.float32)
    visemes[np.arange(frames), (np.arange(frames) // 5) % 16] = 1
    opening = (0.5 + 0.5 * np.sin(np.arange(frames) / 4)).astype(np.float32)
    asked = Asked(limit=frames)
    blocks = asked.overhear([MouthMotion(times=np.arange(frames) / 25, opening=opening, width=opening, visemes=visemes)])
    assert len(list(blocks)) == 1
    asked.opening.extend((0.01 + 0.1 * opening).tolist())
    fields = {"recording": recording, "frame_rate": RATE, "asked": asked, "obtained": np.full(frames, 0.05, np.float32)}
    named = {"outcome": outcome or Outcome(), "engine": "rewrite", "driver": "bands", "seconds": frames / 25}
    return Explanation(**{**fields, **named, **changes})


def drawn(told, folder):
    explain(told, folder / "a.explain.png")
    assert [path.name for path in folder.iterdir()] == ["a.explain.png"]
    return cv2.imread(str(folder / "a.explain.png"))


def count(picture, colour):
    return int((np.abs(picture.astype(int) - colour).max(2) <= 2).sum())


CLOSURES = Outcome(
    sync_offset_ms=-62.4,
    correlation=0.914,
    closures=(Closure(start=10, stop=12, is_shut=True), Closure(start=40, stop=50, is_shut=False)),
)


def test_closures_are_marked_where_they_are_and_a_missed_one_in_another_colour(recording, tmp_path):
    plain = explanation(recording)
    picture = drawn(dataclasses.replace(plain, outcome=CLOSURES), tmp_path)
    shut, missed = (np.flatnonzero((np.abs(picture.astype(int) - colour).max(2) <= 2).any(0)) for colour in (GREEN, RED))
    body = picture.shape[1] * (0.992 - 0.05)
    left = picture.shape[1] * 0.05
    legend = picture.shape[1] * 0.7  # the colours stand in the legend too, above on the right
    for columns, start, stop in ((shut, 10, 12), (missed, 40, 50)):
        marks = columns[columns < legend]
        assert marks.min() == pytest.approx(left + (start - 0.5) / 75 * body, abs=3)
        assert marks.max() == pytest.approx(left + (stop - 0.5) / 75 * body, abs=3)
    assert count(picture, BLUE) > 2000


def test_a_long_result_is_drawn_in_rows_of_ten_seconds_and_a_minute_at_most(recording, tmp_path):
    heights = []
    for frames, seconds in ((75, 3.0), (275, 11.0), (1500, 7200.0)):
        told = explanation(recording, frames, seconds=seconds)
        (tmp_path / str(frames)).mkdir()
        heights.append(drawn(told, tmp_path / str(frames)).shape[0])
    head = 2 * heights[0] - heights[1]
    assert heights[2] - head == pytest.approx(6 * (heights[0] - head), abs=2)
    assert "the first 60 of 7200.0 s" in caption(told)[0]


def test_the_caption_says_what_was_measured():
    made, figures = caption(explanation(None, outcome=CLOSURES))
    assert made == "engine rewrite, driver bands, 3.0 s at 25 frames per second"
    assert figures == ("mouth 62 ms early; opening asked/obtained r = 0.91; lips shut at 1 of 2 closures asked (50%); warning: out_of_sync")


def test_the_caption_says_that_nothing_could_be_measured():
    assert caption(explanation(None))[1] == "nothing moved, or too little was seen to measure"


def test_phonemes_of_a_script_get_a_row_of_their_own_whatever_their_signs(recording, tmp_path):
    """A sign that no font has is drawn as a box, without a warning (warnings are errors here)."""
    spans = [("p", 0.2, 0.4), ("ɑː", 0.4, 1.0), ("$x_$", 1.0, 1.6), ("好", 1.6, 2.2)]
    without, with_ = (tmp_path / name for name in ("without", "with"))
    for folder in (without, with_):
        folder.mkdir()
    plain = drawn(explanation(recording), without)
    named = drawn(explanation(recording, phonemes=spans), with_)
    assert named.shape == plain.shape
    assert count(named, (238, 238, 238)) > count(plain, (238, 238, 238)) + 5000


def test_frames_that_were_not_drawn_or_seen_leave_gaps_and_a_picture(recording, tmp_path):
    told = explanation(recording, obtained=np.full(75, np.nan, np.float32))
    told.asked.opening[20:50] = type(told.asked.opening)("f", [float("nan")] * 30)
    assert drawn(told, tmp_path).shape[1] == 2000


def test_the_envelope_follows_the_sound_and_stops_where_the_picture_does(recording):
    shown = envelope(recording, 60)
    assert shown.shape == (480, 2)
    assert np.abs(shown[170:310]).max() < 0.01
    assert shown[20:140, 1].min() == pytest.approx(0.8, abs=0.02)
    assert shown[340:460, 0].max() == pytest.approx(-0.4, abs=0.02)
    assert len(envelope(recording, 2)) == 320


def test_segments_are_the_runs_of_the_strongest_viseme():
    visemes = np.zeros((6, 16), np.float32)
    visemes[:2, VISEMES.index("PP")] = 0.6
    visemes[2:5, VISEMES.index("aa")] = 0.9
    visemes[5, VISEMES.index("PP")] = 1
    assert segments(visemes, RATE) == [("PP", 0, 0.08), ("aa", 0.08, 0.2), ("PP", 0.2, 0.24)]
    assert segments(visemes[:0], RATE) == []
