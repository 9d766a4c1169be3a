"""The words of a script as a chain of states, for the Viterbi search.

    | pause | other | a | b | c |  pause | other | d | e |  pause | other |
      boundary 0      word 0        boundary 1     word 1   boundary 2

Before each word, and after the last one, stand a state for silence and one for speech that is not in the script. Words may be left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Float64, Int32
from heygem_daemon.lipsync.motion import viseme_index
from heygem_daemon.lipsync.speech.transcript.words import Word

NEVER: Final = np.float32(-1e9)
SILENCE: Final = viseme_index("sil")
OTHER: Final = 16
"""The column of unscripted speech in the scores."""

_ROWS: Final = {
    **dict.fromkeys(("aa", "E", "oh", "ou"), 4.5),
    **dict.fromkeys(("ih", "ax", "nn", "RR", "TH"), 3.2),
    **dict.fromkeys(("PP", "DD", "kk"), 3.8),
    **dict.fromkeys(("FF", "CH", "SS"), 4.8),
}
"""Typical lengths in rows of 20 ms, of the phones of read speech."""
_LENGTHS: Final = {viseme_index(name): rows for name, rows in _ROWS.items()}

_DROP_SOUND: Final = -5.0
"""Natural logarithms of odds. A sound is sometimes swallowed ..."""
_DROP_WORD: Final = -6.0
_DROP_WORD_SOUND: Final = -1.0
"""... a word is rarely left out, a long one less often than a short one ..."""
_PAUSE: Final = -3.0
_PAUSE_AT_CLAUSE: Final = -0.7
_OTHER: Final = -7.0
"""... and more seldom is something said that is not in the script."""
_PAUSE_ROWS: Final = 200.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """S states of W words; all costs are natural logarithms, float32.

    column:  int32 [S], column of the scores: a viseme, or OTHER
    word:    int32 [S], the word a state belongs to, W at the last boundary;   sound: int32 [S], place in the word, -1 at boundaries
    stay:    [S];   advance: [S], from the state before;   jump: [S], from the last but one (a sound is swallowed)
    base:    int32 [W + 2], the pause before each word, the one after the last, and S
    leave:   [W], from a word's last state to the boundary after it;   leave_early: [W], the same from the last but one
    omit:    float64 [W + 1], cost of leaving out all words before
    pause:   [W + 1] and other: [W + 1], from a boundary into its two states
    """

    column: Int32
    word: Int32
    sound: Int32
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


def make_chain(words: Sequence[Word]) -> Chain:
    """words: at least one, each with sounds."""
    sizes = np.array([len(word.sounds) for word in words], np.int32)
    base = np.concatenate([[0], np.cumsum(sizes + 2), [sizes.sum() + 2 * len(words) + 2]]).astype(np.int32)
    states = int(base[-1])
    columns, owner, sound = (np.empty(states, np.int32) for _ in range(3))
    rows = np.full(states, _PAUSE_ROWS, np.float32)
    owner[:] = np.repeat(np.arange(len(words) + 1), np.append(sizes + 2, 2))
    sound[:] = np.arange(states) - base[owner] - 2
    sound[sound < 0] = -1
    columns[base[:-1]], columns[base[:-1] + 1] = SILENCE, OTHER
    inner = sound >= 0
    spoken = [each for word in words for each in word.sounds]
    columns[inner] = [each.viseme for each in spoken]
    rows[inner] = [max(_LENGTHS[each.viseme] * each.length, 1.5) for each in spoken]
    leaving = -np.log(rows)
    before = np.concatenate([[0], leaving[:-1]])
    two_before = np.concatenate([[0, 0], leaving[:-2]])
    last = base[1:-1] - 1
    starts = np.array([word.starts_clause for word in words] + [True])
    return Chain(
        column=columns,
        word=owner,
        sound=sound,
        stay=np.log1p(-1 / rows).astype(np.float32),
        advance=np.where(sound >= 1, before, NEVER).astype(np.float32),
        jump=np.where(sound >= 2, two_before + _DROP_SOUND, NEVER).astype(np.float32),
        base=base,
        leave=leaving[last].astype(np.float32),
        leave_early=np.where(sizes >= 2, leaving[last - 1] + _DROP_SOUND, NEVER).astype(np.float32),
        omit=np.concatenate([[0], np.cumsum(_DROP_WORD + _DROP_WORD_SOUND * sizes)]).astype(np.float64),
        pause=np.where(starts, _PAUSE_AT_CLAUSE, _PAUSE).astype(np.float32),
        other=np.full(len(words) + 1, _OTHER, np.float32),
    )
