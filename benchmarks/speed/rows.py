"""What the benchmark measures becomes rows: ratios, which hold on any machine and are compared, and values, which are shown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

CPU: Final = "CPU / floor"
WALL: Final = "wall / floor"
TOLERANCES: Final = {WALL: 0.35}
"""How much worse a ratio may be than that of the baseline; wall-clock time depends on what else a machine does."""
TOLERANCE: Final = 0.15


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table. ratios: name -> a ratio of which less is better; values: name with unit -> value; note: a remark.

    tolerance: by how much (0.15 = 15 %) each ratio may be worse than that of the baseline; of all that are not named, TOLERANCE.
    """

    section: str
    name: str
    ratios: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    tolerances: Mapping[str, float] = field(default_factory=dict)

    def tolerance(self, ratio: str) -> float:
        return self.tolerances.get(ratio, TOLERANCES.get(ratio, TOLERANCE))


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A measurement that can be chosen by its name. is_quick: part of the quick form; is_long: only made if asked for."""

    name: str
    measure: Callable[[], Iterable[Row]]
    is_quick: bool = False
    is_long: bool = False


def chosen(measurements: Sequence[Measurement], *, words: Sequence[str], quick: bool, long: bool) -> list[Measurement]:
    """Return the measurements whose name holds one of the words, whatever their form; without words, those of the form."""
    if words:
        return [each for each in measurements if any(word in each.name for word in words)]
    return [each for each in measurements if (each.is_quick or not quick) and (long or not each.is_long)]


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each key over the rounds."""
    return {key: median(each[key] for each in rounds) for key in rounds[0]}
