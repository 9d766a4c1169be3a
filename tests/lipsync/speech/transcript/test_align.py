import numpy as np
import pytest

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.speech.transcript.align import align, align_words
from heygem_daemon.lipsync.speech.transcript.language import MANDARIN
from tests.lipsync.speech.transcript.recordings import FRENCH, LESSON, OTHER, hear, mumble, words_of


def errors(alignment, heard):
    """ms between where sounds begin and where they were found; NaN for those not found."""
    found = {}
    for segment in alignment.segments:
        if segment.word >= 0:
            found.setdefault(segment.word, []).append(segment.start)
    starts = [start for word in sorted(found) for start in found[word]]
    assert len(starts) == len(heard.onsets)
    return np.abs(np.array(starts) - (heard.onsets - 0.5) / 50) * 1000


@pytest.mark.parametrize(
    ("text", "voice"), [(LESSON, "en"), (FRENCH, "fr"), ("今天我们学习怎么做面包，请大家把书放在桌子上。爸爸妈妈也可以来。", MANDARIN)]
)
def test_every_sound_of_the_script_is_found_where_it_is(text, voice):
    heard = hear(words_of(text, voice), clarity=4.0)
    result = align(text, None, [heard.posteriors])
    assert result.warning is None
    assert result.voice == voice
    assert result.alignment.coverage == 1.0
    assert np.median(errors(result.alignment, heard)) <= 20


def test_blocks_of_any_length_give_the_same_alignment():
    heard = hear(words_of(LESSON))
    whole = align(LESSON, "en", [heard.posteriors])
    assert whole == align(LESSON, "en", np.array_split(heard.posteriors, 17))
    assert whole == align(LESSON, "en", [heard.posteriors])


def test_speech_that_is_not_in_the_script_is_left_to_the_ear():
    words = words_of(LESSON)
    middle = next(place for place, word in enumerate(words) if word.starts_clause and place > 10)
    first, second, extra = hear(words[:middle], seed=1), hear(words[middle:], seed=2), mumble(150)
    alignment = align_words(words, np.concatenate([first.posteriors, extra, second.posteriors]), "en")
    begin, end = len(first.posteriors) / 50, (len(first.posteriors) + 150) / 50
    said = sum(min(each.end, end) - max(each.start, begin) for each in alignment.segments if each.end > begin and each.start < end)
    assert alignment.matches
    assert alignment.coverage > 0.9
    assert said < 0.5  # of 3 s
    after = next(word for word in alignment.words if word.index == middle)
    assert abs(after.start - end - second.onsets[0] / 50) < 0.1


def test_words_that_are_not_spoken_are_left_out():
    words = words_of(LESSON)
    alignment = align_words(words, hear(words[:10] + words[16:], clarity=4.0).posteriors, "en")
    assert alignment.matches
    unspoken = [word.end - word.start for word in alignment.words if word.index in range(10, 16)]
    assert sum(unspoken) < 0.15
    assert {*range(10), *range(16, len(words))} <= {word.index for word in alignment.words}


@pytest.mark.parametrize("wrong", [OTHER, FRENCH, "Yes.", OTHER * 3])
def test_a_script_of_something_else_is_noticed(wrong):
    heard = hear(words_of(LESSON))
    assert align(wrong, None, [heard.posteriors]).warning == WarningCode.SCRIPT_MISMATCH


def test_empty_scripts_and_empty_recordings_match_nothing():
    assert align("", None, [mumble(50)]).warning == WarningCode.SCRIPT_MISMATCH
    assert align(" ... ", "en", [mumble(50)]).warning == WarningCode.SCRIPT_MISMATCH
    assert align(LESSON, "en", []).warning == WarningCode.SCRIPT_MISMATCH
    assert align("1 2 3", None, [mumble(50)]).warning == WarningCode.SCRIPT_LANGUAGE_UNKNOWN
    assert align(LESSON, "xx", [mumble(50)]).warning == WarningCode.SCRIPT_LANGUAGE_UNKNOWN


def test_silence_matches_nothing():
    silence = np.eye(16, dtype=np.float32)[np.zeros(500, int)]
    assert align(LESSON, "en", [silence]).warning == WarningCode.SCRIPT_MISMATCH
