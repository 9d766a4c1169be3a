"""Alignments become posteriors and closures."""

import numpy as np
import pytest

from heygem_daemon.lipsync.motion import viseme_index
from heygem_daemon.lipsync.speech.transcript.align import align_words
from heygem_daemon.lipsync.speech.transcript.alignment import Alignment, Segment
from heygem_daemon.lipsync.speech.transcript.curves import aligned_posteriors, blend_posteriors, closure_gate
from tests.lipsync.speech.transcript.recordings import LESSON, synthesise, words_of

SIL, PP, AA, SS = (viseme_index(name) for name in ("sil", "PP", "aa", "SS"))


def spoken(*parts: tuple[int, float, float], confidence: float = 0.9) -> Alignment:
    """Return an alignment of (viseme, start, end)."""
    segments = tuple(
        Segment(
            ipa="" if viseme == SIL else "x",
            word=-1 if viseme == SIL else place,
            viseme=viseme,
            start=start,
            end=end,
            confidence=confidence,
        )
        for place, (viseme, start, end) in enumerate(parts)
    )
    return Alignment(language="en", segments=segments, words=(), coverage=1.0, margin=1.0, confidence=confidence, matches=True)


def test_rows_are_sharp_with_soft_edges_and_sum_to_one_in_the_transcript() -> None:
    rows = aligned_posteriors(spoken((AA, 0.2, 0.4), (PP, 0.4, 0.5)), 0, 40)
    assert rows.shape == (40, 16)
    assert rows.dtype == np.float32
    assert rows[15, AA] == pytest.approx(1)
    assert rows[20, AA] == pytest.approx(0.5)
    assert rows[20, PP] == pytest.approx(0.5)
    assert np.allclose(rows[11:24].sum(1), 1)
    assert not rows[:9].any()
    assert not rows[27:].any()


def test_pieces_are_equal_to_the_whole() -> None:
    words = words_of(LESSON)
    recording = synthesise(words)
    alignment = align_words(words, recording.posteriors, "en")
    rows = len(recording.posteriors)
    whole = aligned_posteriors(alignment, 0, rows)
    pieces = [aligned_posteriors(alignment, first, min(7, rows - first)) for first in range(0, rows, 7)]
    assert np.array_equal(np.concatenate(pieces), whole)
    mixed = [blend_posteriors(recording.posteriors[first : first + 13], alignment, first) for first in range(0, rows, 13)]
    assert np.array_equal(np.concatenate(mixed), blend_posteriors(recording.posteriors, alignment, 0))
    times = np.arange(0, rows / 50, 1 / 29.97)
    gates = [closure_gate(alignment, times[first : first + 5]) for first in range(0, len(times), 5)]
    assert np.array_equal(np.concatenate(gates), closure_gate(alignment, times))


def test_the_blend_follows_the_transcript_where_it_is_sure_and_the_network_where_it_is_not() -> None:
    network = np.full((40, 16), 1 / 16, np.float32)
    sure = blend_posteriors(network, spoken((AA, 0.2, 0.6)), 0)
    assert sure[20].argmax() == AA
    assert sure[20, AA] > 0.8
    assert np.allclose(sure.sum(1), 1)
    assert np.array_equal(sure[35], network[35])
    assert np.allclose(blend_posteriors(network, spoken((AA, 0.2, 0.6), confidence=0.05), 0), network)


def test_the_blend_is_nearer_to_the_truth_than_the_network_alone() -> None:
    words = words_of(LESSON)
    recording = synthesise(words)
    truth = np.concatenate([[phone.viseme for word in words for phone in word.phones]])
    rows = recording.onsets + 1
    mixed = blend_posteriors(recording.posteriors, align_words(words, recording.posteriors, "en"), 0)
    assert (mixed[rows].argmax(1) == truth).mean() > (recording.posteriors[rows].argmax(1) == truth).mean() + 0.2


def test_lips_meet_for_p_b_m_and_for_nothing_else() -> None:
    times = np.arange(0, 1, 0.01)
    gate = closure_gate(spoken((AA, 0.1, 0.3), (PP, 0.3, 0.4), (AA, 0.4, 0.6), (SS, 0.6, 0.7)), times)
    assert gate.dtype == np.float32
    assert (gate[31:40] == 1).all()
    assert not gate[times < 0.275].any()
    assert not gate[times > 0.425].any()


def test_a_short_closure_is_given_the_time_that_lips_need() -> None:
    gate = closure_gate(spoken((AA, 0.1, 0.3), (PP, 0.3, 0.32), (AA, 0.32, 0.5)), np.arange(0, 1, 0.01))
    assert np.count_nonzero(gate == 1) * 0.01 == pytest.approx(0.06, abs=0.011)


def test_the_silence_before_a_burst_belongs_to_its_closure() -> None:
    gate = closure_gate(spoken((SIL, 0.0, 0.5), (PP, 0.5, 0.56), (AA, 0.56, 0.8)), np.arange(0, 1, 0.01))
    assert (gate[42:56] == 1).all()
    assert not gate[:38].any()


def test_a_closure_that_the_audio_contradicts_is_not_forced() -> None:
    assert not closure_gate(spoken((PP, 0.3, 0.4), confidence=0.02), np.arange(0, 1, 0.01)).any()
    assert closure_gate(spoken((PP, 0.3, 0.4)), np.zeros(0)).shape == (0,)
