"""Build the decoding graph of a transcript, a chain of states for the Viterbi search.

    | pause | other | a | b | c |  pause | other | d | e |  pause | other |
      boundary 0      word 0        boundary 1     word 1   boundary 2

Before each word, and after the last one, are a state for silence and one for speech outside the transcript. Words may be omitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Int32
from heygem_daemon.lipsync.motion import viseme_index
from heygem_daemon.lipsync.speech.transcript.words import Word

NEVER: Final = np.float32(-1e9)
"""Cost of what is impossible."""
SILENCE: Final = viseme_index("sil")
OTHER: Final = 16
"""The column of speech outside the transcript in the scores."""

_ROWS: Final = {
    **dict.fromkeys(("aa", "E", "oh", "ou"), 4.5),
    **dict.fromkeys(("ih", "ax", "nn", "RR", "TH"), 3.2),
    **dict.fromkeys(("PP", "DD", "kk"), 3.8),
    **dict.fromkeys(("FF", "CH", "SS"), 4.8),
}
"""Typical lengths of the phones of read speech, in rows of 20 ms."""
_LENGTHS: Final = {viseme_index(name): rows for name, rows in _ROWS.items()}

_DROP_PHONE: Final = -5.0
"""Natural logarithm of the odds that a phone is not spoken."""
_DROP_WORD: Final = -6.0
_DROP_WORD_PHONE: Final = -1.0
"""The same for a word, plus that for each of its phones: a long word is omitted less often than a short one."""
_PAUSE: Final = -3.0
_PAUSE_AT_CLAUSE: Final = -0.7
"""The same for a pause before a word, and before the first of a clause."""
_OTHER: Final = -7.0
"""The same for speech outside the transcript before a word."""
_PAUSE_ROWS: Final = 200.0
"""Typical length of pauses and of speech outside the transcript, in rows."""
_SHORTEST_ROWS: Final = 1.5
"""Shortest typical length of a phone, in rows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodingGraph:
    """S states of W words; all costs are natural logarithms, float32.

    column:  int32 [S], column of the scores: a viseme, or OTHER
    word:    int32 [S], the word a state belongs to, W at the last boundary;   phone: int32 [S], place in the word, -1 at boundaries
    stay:    [S];   advance: [S], from the state before;   jump: [S], from the last but one (a phone is not spoken)
    base:    int32 [W + 2], the pause before each word, the one after the last, and S
    leave:   [W], from a word's last state to the boundary after it;   leave_early: [W], the same from the last but one
    omit:    float64 [W + 1], cost of omitting all words before
    pause:   [W + 1] and other: [W + 1], from a boundary into its two states
    """

    column: Int32
    word: Int32
    phone: Int32
    stay: Float32
    advance: Float32
    jump: Float32
    base: Int32
    leave: Float32
    leave_early: Float32
    omit: Float64
    pause: Float32
    other: Float32

    def __len__(self) -> int:
        return len(self.column)

    @property
    def words(self) -> int:
        return len(self.leave)


def build_graph(words: Sequence[Word]) -> DecodingGraph:
    """Return the graph of at least one word, each with phones."""
    sizes = np.array([len(word.phones) for word in words], np.int32)
    base = np.concatenate([[0], np.cumsum(sizes + 2), [sizes.sum() + 2 * len(words) + 2]]).astype(np.int32)
    states = int(base[-1])
    columns, owner, phone = (np.empty(states, np.int32) for _ in range(3))
    rows = np.full(states, _PAUSE_ROWS, np.float32)
    owner[:] = np.repeat(np.arange(len(words) + 1), np.append(sizes + 2, 2))
    phone[:] = np.arange(states) - base[owner] - 2
    phone[phone < 0] = -1
    columns[base[:-1]], columns[base[:-1] + 1] = SILENCE, OTHER
    inner = phone >= 0
    spoken = [each for word in words for each in word.phones]
    columns[inner] = [each.viseme for each in spoken]
    rows[inner] = [max(_LENGTHS[each.viseme] * each.length, _SHORTEST_ROWS) for each in spoken]
    leaving = -np.log(rows)
    before = np.concatenate([[0], leaving[:-1]])
    two_before = np.concatenate([[0, 0], leaving[:-2]])
    last = base[1:-1] - 1
    starts = np.array([word.starts_clause for word in words] + [True])
    return DecodingGraph(
        column=columns,
        word=owner,
        phone=phone,
        stay=np.log1p(-1 / rows).astype(np.float32),
        advance=np.where(phone >= 1, before, NEVER).astype(np.float32),
        jump=np.where(phone >= 2, two_before + _DROP_PHONE, NEVER).astype(np.float32),
        base=base,
        leave=leaving[last].astype(np.float32),
        leave_early=np.where(sizes >= 2, leaving[last - 1] + _DROP_PHONE, NEVER).astype(np.float32),
        omit=np.concatenate([[0], np.cumsum(_DROP_WORD + _DROP_WORD_PHONE * sizes)]).astype(np.float64),
        pause=np.where(starts, _PAUSE_AT_CLAUSE, _PAUSE).astype(np.float32),
        other=np.full(len(words) + 1, _OTHER, np.float32),
    )
