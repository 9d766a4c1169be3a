import itertools

import numpy as np

from heygem_daemon.lipsync.speech.transcript import viterbi
from heygem_daemon.lipsync.speech.transcript.align import scores_of
from heygem_daemon.lipsync.speech.transcript.graph import Chain, make_chain
from heygem_daemon.lipsync.speech.transcript.viterbi import best_path
from heygem_daemon.lipsync.speech.transcript.words import Word
from tests.lipsync.speech.transcript.recordings import LESSON, hear, words_of

TINY = [Word.of(["m", "a"], starts_clause=True), Word.of(["s", "i", "p"], starts_clause=False)]


def moves(chain: Chain) -> np.ndarray:
    """Every move from state to state with its cost, written down from the definition; the last row holds the entries from nowhere."""
    states = len(chain)
    cost = np.full((states + 1, states), -np.inf)
    cost[np.arange(states), np.arange(states)] = chain.stay
    for state in range(states):
        if chain.advance[state] > -1e8:
            cost[state - 1, state] = chain.advance[state]
        if chain.jump[state] > -1e8:
            cost[state - 2, state] = chain.jump[state]
    exits = {(states, 0): 0.0}
    for boundary in range(chain.words + 1):
        exits[chain.base[boundary], boundary] = exits[chain.base[boundary] + 1, boundary] = 0.0
        if boundary:
            last = chain.base[boundary] - 1
            exits[last, boundary] = chain.leave[boundary - 1]
            if chain.leave_early[boundary - 1] > -1e8:
                exits[last - 1, boundary] = chain.leave_early[boundary - 1]
    for (state, boundary), left in exits.items():
        for entered in range(boundary, chain.words + 1):
            gone = left + chain.omit[entered] - chain.omit[boundary]
            pause = chain.base[entered]
            targets = [(pause, chain.pause[entered]), (pause + 1, chain.other[entered])]
            if entered < chain.words:
                targets.append((pause + 2, 0.0))
            for target, cost_in in targets:
                cost[state, target] = max(cost[state, target], gone + cost_in)
    return cost


def plain_viterbi(scores: np.ndarray, chain: Chain) -> float:
    cost = moves(chain)
    values = cost[-1] + scores[0, chain.column]
    for row in scores[1:]:
        values = (values[:, None] + cost[:-1]).max(0) + row[chain.column]
    ending = np.full(len(chain), viterbi._ENDING)
    ending[-3:] = 0
    return float((values + ending).max())


def score_of(path: np.ndarray, scores: np.ndarray, chain: Chain) -> float:
    cost = moves(chain)
    steps = sum(cost[before, after] for before, after in itertools.pairwise([len(chain), *path]))
    ending = 0.0 if path[-1] >= len(chain) - 3 else viterbi._ENDING
    return float(steps + sum(scores[row, chain.column[state]] for row, state in enumerate(path)) + ending)


def test_the_search_finds_the_best_of_all_paths():
    chain = make_chain(TINY)
    for seed in range(25):
        random = np.random.default_rng(seed)
        scores = random.gamma(1.0, 2.0, (int(random.integers(3, 30)), 17)).astype(np.float32) * -1
        found = best_path(scores, chain)
        assert np.isclose(found.score, plain_viterbi(scores, chain), atol=1e-3)
        assert np.isclose(score_of(found.states, scores, chain), found.score, atol=1e-3)


def test_deciding_early_and_a_moving_sight_change_nothing(monkeypatch):
    words = words_of(LESSON)
    scores, chain = scores_of(hear(words).posteriors), make_chain(words)
    whole = best_path(scores, chain)
    monkeypatch.setattr(viterbi, "LAG", 100)
    monkeypatch.setattr(viterbi, "_EVERY", 37)
    narrow = best_path(scores, chain)
    assert np.array_equal(whole.states, narrow.states)
    assert np.isclose(whole.score, narrow.score, atol=0.1)


def test_memory_does_not_grow_with_the_recording(monkeypatch):
    monkeypatch.setattr(viterbi, "LAG", 200)
    monkeypatch.setattr(viterbi, "_EVERY", 100)
    held, wide = [], []
    step = viterbi._Search.step

    def watched(self, row):
        step(self, row)
        held.append(self.undecided)
        wide.append(len(self._values))

    monkeypatch.setattr(viterbi._Search, "step", watched)
    words = words_of(LESSON) * 8
    best_path(scores_of(hear(words).posteriors), make_chain(words))
    assert max(held) <= 300
    assert max(wide) < len(make_chain(words)) / 2


def test_states_are_always_in_the_order_of_the_script():
    words = words_of(LESSON)
    path = best_path(scores_of(hear(words, seed=3).posteriors), make_chain(words))
    chain = make_chain(words)
    assert (np.diff(chain.word[path.states]) >= 0).all()
