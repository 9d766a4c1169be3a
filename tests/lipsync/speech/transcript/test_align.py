"""A transcript is found in the recording, or it is noticed that it does not match."""

import numpy as np
import pytest

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.arrays import Float64
from heygem_daemon.lipsync.speech.transcript.align import align, align_words
from heygem_daemon.lipsync.speech.transcript.alignment import Alignment
from heygem_daemon.lipsync.speech.transcript.language import MANDARIN
from tests.lipsync.speech.transcript.recordings import FRENCH, LESSON, OTHER, SyntheticRecording, mumble, synthesise, words_of


def errors(alignment: Alignment, recording: SyntheticRecording) -> Float64:
    """Return the ms between where phones begin and where they were found."""
    found: dict[int, list[float]] = {}
    for segment in alignment.segments:
        if segment.word >= 0:
            found.setdefault(segment.word, []).append(segment.start)
    starts = [start for word in sorted(found) for start in found[word]]
    assert len(starts) == len(recording.onsets)
    return np.abs(np.array(starts) - (recording.onsets - 0.5) / 50) * 1000


@pytest.mark.parametrize(
    ("text", "voice"), [(LESSON, "en"), (FRENCH, "fr"), ("今天我们学习怎么做面包，请大家把书放在桌子上。爸爸妈妈也可以来。", MANDARIN)]
)
def test_every_phone_of_the_transcript_is_found_where_it_is(text: str, voice: str) -> None:
    recording = synthesise(words_of(text, voice), clarity=4.0)
    result = align(text, None, [recording.posteriors])
    assert result.warning is None
    assert result.voice == voice
    assert result.alignment is not None
    assert result.alignment.coverage == 1.0
    assert np.median(errors(result.alignment, recording)) <= 20


def test_blocks_of_any_length_give_the_same_alignment() -> None:
    recording = synthesise(words_of(LESSON))
    whole = align(LESSON, "en", [recording.posteriors])
    assert whole == align(LESSON, "en", np.array_split(recording.posteriors, 17))
    assert whole == align(LESSON, "en", [recording.posteriors])


def test_speech_outside_the_transcript_has_no_segments() -> None:
    words = words_of(LESSON)
    middle = next(place for place, word in enumerate(words) if word.starts_clause and place > 10)
    first, second, extra = synthesise(words[:middle], seed=1), synthesise(words[middle:], seed=2), mumble(150)
    alignment = align_words(words, np.concatenate([first.posteriors, extra, second.posteriors]), "en")
    begin, end = len(first.posteriors) / 50, (len(first.posteriors) + 150) / 50
    aligned = sum(min(each.end, end) - max(each.start, begin) for each in alignment.segments if each.end > begin and each.start < end)
    assert alignment.matches
    assert alignment.coverage > 0.9
    assert aligned < 0.5  # of 3 s
    after = next(word for word in alignment.words if word.index == middle)
    assert abs(after.start - end - second.onsets[0] / 50) < 0.1


def test_words_that_are_not_spoken_are_omitted() -> None:
    words = words_of(LESSON)
    alignment = align_words(words, synthesise(words[:10] + words[16:], clarity=4.0).posteriors, "en")
    assert alignment.matches
    unspoken = [word.end - word.start for word in alignment.words if word.index in range(10, 16)]
    assert sum(unspoken) < 0.15
    assert {*range(10), *range(16, len(words))} <= {word.index for word in alignment.words}


@pytest.mark.parametrize("wrong", [OTHER, FRENCH, "Yes.", OTHER * 3])
def test_a_transcript_of_something_else_is_noticed(wrong: str) -> None:
    recording = synthesise(words_of(LESSON))
    assert align(wrong, None, [recording.posteriors]).warning == WarningCode.SCRIPT_MISMATCH


def test_empty_transcripts_and_empty_recordings_match_nothing() -> None:
    assert align("", None, [mumble(50)]).warning == WarningCode.SCRIPT_MISMATCH
    assert align(" ... ", "en", [mumble(50)]).warning == WarningCode.SCRIPT_MISMATCH
    assert align(LESSON, "en", []).warning == WarningCode.SCRIPT_MISMATCH
    assert align("1 2 3", None, [mumble(50)]).warning == WarningCode.SCRIPT_LANGUAGE_UNKNOWN
    assert align(LESSON, "xx", [mumble(50)]).warning == WarningCode.SCRIPT_LANGUAGE_UNKNOWN


def test_silence_matches_nothing() -> None:
    silence = np.eye(16, dtype=np.float32)[np.zeros(500, int)]
    assert align(LESSON, "en", [silence]).warning == WarningCode.SCRIPT_MISMATCH
