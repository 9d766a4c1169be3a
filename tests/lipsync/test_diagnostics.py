"""The diagnostic image of a result: its captions and its content."""

import wave
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float64, Image
from heygem_daemon.lipsync.diagnostics import Diagnostics, Span, caption, envelope, segments, write_diagnostics
from heygem_daemon.lipsync.evaluation import Closure, SyncMetrics, TargetTrace
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.media.probe import check_recording
from heygem_daemon.media.speech import DecodedSpeech, SpeechMeasure, decoded_speech
from heygem_daemon.media.types import MediaInfo

RATE = Fraction(25)
GREEN, RED, BLUE = (196, 229, 191), (179, 179, 244), (156, 78, 31)
"""BGR: a closure shown, a closure missed, the target opening."""
NO_SPEECH = DecodedSpeech(
    info=MediaInfo(path=Path("none.wav"), demuxer="wav", size=0, streams=0, video=None, audio=None),
    measure=SpeechMeasure(samples=0, peak_db=0, rms_db=0),
    file=None,
)


def write_wav(path: Path, samples: Float64) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DecodedSpeech]:
    """3 s: a second of silence between two of a tone, the second one half as loud."""
    folder = tmp_path_factory.mktemp("diagnostics")
    tone = np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
    path = write_wav(folder / "speech.wav", np.concatenate([0.8 * tone, 0 * tone, 0.4 * tone]))
    with decoded_speech(check_recording(path), folder / "cache") as decoded:
        yield decoded


def diagnostics(speech: DecodedSpeech = NO_SPEECH, frames: int = 75) -> Diagnostics:
    visemes = np.zeros((frames, 16), np.float32)
    visemes[np.arange(frames), (np.arange(frames) // 5) % 16] = 1
    opening = (0.5 + 0.5 * np.sin(np.arange(frames) / 4)).astype(np.float32)
    target = TargetTrace(limit=frames)
    blocks = target.record([MouthMotion(times=np.arange(frames) / 25, opening=opening, width=opening, visemes=visemes)])
    assert len(list(blocks)) == 1
    target.opening.extend((0.01 + 0.1 * opening).tolist())
    return Diagnostics(
        speech=speech,
        frame_rate=RATE,
        target=target,
        measured=np.full(frames, 0.05, np.float32),
        metrics=SyncMetrics(),
        engine="rewrite",
        driver="bands",
        seconds=frames / 25,
    )


def drawn(shown: Diagnostics, folder: Path) -> Image:
    write_diagnostics(shown, folder / "a.explain.png")
    assert [path.name for path in folder.iterdir()] == ["a.explain.png"]
    return np.asarray(cv2.imread(str(folder / "a.explain.png")), np.uint8)


def count(image: Image, colour: tuple[int, int, int]) -> int:
    return int((np.abs(image.astype(int) - colour).max(2) <= 2).sum())


CLOSURES = SyncMetrics(
    sync_offset_ms=-62.4,
    correlation=0.914,
    closures=(Closure(start=10, stop=12, is_shut=True), Closure(start=40, stop=50, is_shut=False)),
)


def test_closures_are_marked_where_they_are_and_a_missed_one_in_another_colour(speech: DecodedSpeech, tmp_path: Path) -> None:
    image = drawn(replace(diagnostics(speech), metrics=CLOSURES), tmp_path)
    shut, missed = (np.flatnonzero((np.abs(image.astype(int) - colour).max(2) <= 2).any(0)) for colour in (GREEN, RED))
    body = image.shape[1] * (0.992 - 0.05)
    left = image.shape[1] * 0.05
    legend = image.shape[1] * 0.7  # the colours stand in the legend too, above on the right
    for columns, start, stop in ((shut, 10, 12), (missed, 40, 50)):
        marks = columns[columns < legend]
        assert marks.min() == pytest.approx(left + (start - 0.5) / 75 * body, abs=3)
        assert marks.max() == pytest.approx(left + (stop - 0.5) / 75 * body, abs=3)
    assert count(image, BLUE) > 2000


@pytest.mark.slow
def test_a_long_result_is_drawn_in_rows_of_ten_seconds_and_a_minute_at_most(speech: DecodedSpeech, tmp_path: Path) -> None:
    heights = []
    for frames, seconds in ((75, 3.0), (275, 11.0), (1500, 7200.0)):
        long = replace(diagnostics(speech, frames), seconds=seconds)
        (tmp_path / str(frames)).mkdir()
        heights.append(drawn(long, tmp_path / str(frames)).shape[0])
    head = 2 * heights[0] - heights[1]
    assert heights[2] - head == pytest.approx(6 * (heights[0] - head), abs=2)
    assert "the first 60 of 7200.0 s" in caption(long)[0]


def test_the_caption_says_on_how_much_it_was_measured_and_rates_three_closures_or_more() -> None:
    closures = (*CLOSURES.closures, Closure(start=60, stop=62, is_shut=True))
    _, metrics = caption(replace(diagnostics(), metrics=SyncMetrics(correlation=0.9, closures=closures, measured_share=0.82)))
    assert "lips shut at 2 of 3 closures (67%); measured on 82% of the frames shown" in metrics


def test_the_caption_names_what_was_measured() -> None:
    made, metrics = caption(replace(diagnostics(), metrics=CLOSURES))
    assert made == "engine rewrite, driver bands, 3.0 s at 25 frames per second"
    assert metrics == "mouth 62 ms early; opening target/measured r = 0.91; lips shut at 1 of 2 closures; warning: out_of_sync"


def test_the_caption_states_that_nothing_could_be_measured() -> None:
    assert caption(diagnostics())[1] == "nothing moved, or too little was found to measure"


def test_phonemes_of_a_transcript_get_a_row_of_their_own_whatever_their_signs(speech: DecodedSpeech, tmp_path: Path) -> None:
    """A sign that no font has is drawn as a box, without a warning (warnings are errors here)."""
    spans: Sequence[Span] = [("p", 0.2, 0.4), ("ɑː", 0.4, 1.0), ("$x_$", 1.0, 1.6), ("好", 1.6, 2.2)]
    without, with_ = (tmp_path / name for name in ("without", "with"))
    for folder in (without, with_):
        folder.mkdir()
    plain = drawn(diagnostics(speech), without)
    named = drawn(replace(diagnostics(speech), phonemes=spans), with_)
    assert named.shape == plain.shape
    assert count(named, (238, 238, 238)) > count(plain, (238, 238, 238)) + 5000


def test_frames_that_were_not_drawn_or_found_leave_gaps_in_the_image(speech: DecodedSpeech, tmp_path: Path) -> None:
    sparse = replace(diagnostics(speech), measured=np.full(75, np.nan, np.float32))
    sparse.target.opening[20:50] = array("f", [float("nan")] * 30)
    assert drawn(sparse, tmp_path).shape[1] == 2000


def test_the_envelope_follows_the_audio_and_stops_where_the_image_does(speech: DecodedSpeech) -> None:
    shown = envelope(speech, 60)
    assert shown.shape == (480, 2)
    assert np.abs(shown[170:310]).max() < 0.01
    assert shown[20:140, 1].min() == pytest.approx(0.8, abs=0.02)
    assert shown[340:460, 0].max() == pytest.approx(-0.4, abs=0.02)
    assert len(envelope(speech, 2)) == 320


def test_segments_are_the_runs_of_the_strongest_viseme() -> None:
    visemes = np.zeros((6, 16), np.float32)
    visemes[:2, VISEMES.index("PP")] = 0.6
    visemes[2:5, VISEMES.index("aa")] = 0.9
    visemes[5, VISEMES.index("PP")] = 1
    assert segments(visemes, RATE) == [("PP", 0, 0.08), ("aa", 0.08, 0.2), ("PP", 0.2, 0.24)]
    assert segments(visemes[:0], RATE) == []
