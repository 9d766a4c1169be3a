"""The beam search finds the best path, with bounded memory."""

import itertools

import numpy as np
import pytest

from heygem_daemon.lipsync.speech.transcript import viterbi
from heygem_daemon.lipsync.speech.transcript.align import scores_of
from heygem_daemon.lipsync.speech.transcript.graph import DecodingGraph, build_graph
from heygem_daemon.lipsync.speech.transcript.viterbi import best_path
from heygem_daemon.lipsync.speech.transcript.words import Word
from tests.lipsync.speech.transcript.recordings import LESSON, synthesise, words_of

TINY = [Word.of(["m", "a"], starts_clause=True), Word.of(["s", "i", "p"], starts_clause=False)]


def moves(graph: DecodingGraph) -> np.ndarray:
    """Return the cost of every move from state to state, from the definition; the last row holds the entries from the start."""
    states = len(graph)
    cost = np.full((states + 1, states), -np.inf)
    cost[np.arange(states), np.arange(states)] = graph.stay
    for state in range(states):
        if graph.advance[state] > -1e8:
            cost[state - 1, state] = graph.advance[state]
        if graph.jump[state] > -1e8:
            cost[state - 2, state] = graph.jump[state]
    exits: dict[tuple[int, int], float] = {(states, 0): 0.0}
    for boundary in range(graph.words + 1):
        exits[graph.base[boundary], boundary] = exits[graph.base[boundary] + 1, boundary] = 0.0
        if boundary:
            last = graph.base[boundary] - 1
            exits[last, boundary] = graph.leave[boundary - 1]
            if graph.leave_early[boundary - 1] > -1e8:
                exits[last - 1, boundary] = graph.leave_early[boundary - 1]
    for (state, boundary), left in exits.items():
        for entered in range(boundary, graph.words + 1):
            gone = left + graph.omit[entered] - graph.omit[boundary]
            pause = graph.base[entered]
            targets = [(pause, graph.pause[entered]), (pause + 1, graph.other[entered])]
            if entered < graph.words:
                targets.append((pause + 2, 0.0))
            for target, cost_in in targets:
                cost[state, target] = max(cost[state, target], gone + cost_in)
    return cost


def plain_viterbi(scores: np.ndarray, graph: DecodingGraph) -> float:
    cost = moves(graph)
    values = cost[-1] + scores[0, graph.column]
    for row in scores[1:]:
        values = (values[:, None] + cost[:-1]).max(0) + row[graph.column]
    ending = np.full(len(graph), viterbi._ENDING)
    ending[-3:] = 0
    return float((values + ending).max())


def score_of(path: np.ndarray, scores: np.ndarray, graph: DecodingGraph) -> float:
    cost = moves(graph)
    steps = sum(cost[before, after] for before, after in itertools.pairwise([len(graph), *path]))
    ending = 0.0 if path[-1] >= len(graph) - 3 else viterbi._ENDING
    return float(steps + sum(scores[row, graph.column[state]] for row, state in enumerate(path)) + ending)


def test_the_search_finds_the_best_of_all_paths() -> None:
    graph = build_graph(TINY)
    for seed in range(25):
        random = np.random.default_rng(seed)
        scores = random.gamma(1.0, 2.0, (int(random.integers(3, 30)), 17)).astype(np.float32) * -1
        found = best_path(scores, graph)
        assert np.isclose(found.score, plain_viterbi(scores, graph), atol=1e-3)
        assert np.isclose(score_of(found.states, scores, graph), found.score, atol=1e-3)


def test_fixing_early_and_moving_active_states_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    words = words_of(LESSON)
    scores, graph = scores_of(synthesise(words).posteriors), build_graph(words)
    whole = best_path(scores, graph)
    monkeypatch.setattr(viterbi, "LAG", 100)
    monkeypatch.setattr(viterbi, "_FIX_EVERY", 37)
    narrow = best_path(scores, graph)
    assert np.array_equal(whole.states, narrow.states)
    assert np.isclose(whole.score, narrow.score, atol=0.1)


def test_memory_does_not_grow_with_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viterbi, "LAG", 200)
    monkeypatch.setattr(viterbi, "_FIX_EVERY", 100)
    open_rows, wide = [], []
    step = viterbi._Search.step

    def watched(self: viterbi._Search, row: int) -> None:
        step(self, row)
        open_rows.append(self.open_rows)
        wide.append(len(self._values))

    monkeypatch.setattr(viterbi._Search, "step", watched)
    words = words_of(LESSON) * 8
    best_path(scores_of(synthesise(words).posteriors), build_graph(words))
    assert max(open_rows) <= 300
    assert max(wide) < len(build_graph(words)) / 2


def test_states_are_always_in_the_order_of_the_transcript() -> None:
    words = words_of(LESSON)
    path = best_path(scores_of(synthesise(words, seed=3).posteriors), build_graph(words))
    graph = build_graph(words)
    assert (np.diff(graph.word[path.states]) >= 0).all()
