"""Draw a diagnostic image of a result: the audio, the target of the mouth, and the mouth measured in the finished file.

From top to bottom, over time: the audio; the phonemes, where the transcript is known; the visemes; the target opening and the measured
one, with the closures; the target width. Strips of ten seconds one below the other, the first minute at most, so memory stays bounded.
"""

import io
import math
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from heygem_daemon.durable import write_durably
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.evaluation import SyncMetrics, TargetTrace
from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.ports import EVALUATED_SECONDS
from heygem_daemon.media.speech import SPEECH_RATE, DecodedSpeech

Span = tuple[str, float, float]
"""A label, its start and its end in s."""

STRIP: Final = 10
"""Seconds in a row: a viseme of two frames is then just wide enough for its name."""
_PEAKS: Final = 160
"""Columns of the waveform per second, about one per pixel."""
_WIDTH, _STRIP_HEIGHT, _HEAD_HEIGHT, _DPI = 20.0, 3.6, 1.0, 100
_LEFT, _RIGHT, _FOOT_HEIGHT = 0.05, 0.992, 0.45
_SMALLEST_LABEL: Final = 0.034
"""Seconds per character below which a name does not fit its segment."""

_COLOURS: Final = {
    "sil": "#e4e4e4", "PP": "#c8191e", "FF": "#fb9a4b", "TH": "#7fcdbb", "DD": "#9ecae1", "kk": "#a6bddb", "CH": "#66c2a4", "SS": "#99d8c9",
    "nn": "#c6dbef", "RR": "#ccece6", "aa": "#fdc530", "E": "#c2e08f", "ih": "#e3f2c1", "oh": "#c0aee0", "ou": "#9575cd", "ax": "#f3e9c6",
}  # fmt: skip
_TARGET, _MEASURED, _SHUT, _MISSED = "#1f4e9c", "#e8710a", "#bfe5c4", "#f4b3b3"


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnostics:
    """The data that the image shows.

    measured: float32 [n], the opening that the tracker measured in the result, a value for each of `target.opening`;
    seconds: length of the whole result; phonemes: those of the transcript, where one was aligned
    """

    speech: DecodedSpeech
    frame_rate: Fraction
    target: TargetTrace
    measured: Float32
    metrics: SyncMetrics
    engine: str
    driver: str
    seconds: float
    phonemes: Sequence[Span] | None = None

    @property
    def shown_seconds(self) -> float:
        return len(self.target.opening) / float(self.frame_rate)


def write_diagnostics(diagnostics: Diagnostics, path: Path) -> None:
    """Write the image as PNG; the file is whole or absent. Raises OSError."""
    figure = _draw_figure(diagnostics)
    packed = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a phoneme of a rare sign is drawn as a box
        figure.savefig(packed, format="png", dpi=_DPI)
    write_durably(path, packed.getvalue())


def caption(diagnostics: Diagnostics) -> tuple[str, str]:
    """Return the two lines above the image: what was made, and the metrics."""
    shown = f"{diagnostics.seconds:.1f} s"
    if diagnostics.seconds > diagnostics.shown_seconds + 0.5:
        shown = f"the first {diagnostics.shown_seconds:.0f} of {diagnostics.seconds:.1f} s"
    rate = float(diagnostics.frame_rate)
    made = f"engine {diagnostics.engine}, driver {diagnostics.driver}, {shown} at {rate:.5g} frames per second"
    metrics, parts = diagnostics.metrics, []
    if metrics.sync_offset_ms is not None:
        late = metrics.sync_offset_ms
        parts.append(f"mouth {abs(late):.0f} ms {'late' if late >= 0 else 'early'}")
    if metrics.correlation is not None:
        parts.append(f"opening target/measured r = {metrics.correlation:.2f}")
    if metrics.closures:
        shut = sum(closure.is_shut for closure in metrics.closures)
        share = "" if metrics.closure_rate is None else f" ({metrics.closure_rate:.0%})"
        parts.append(f"lips shut at {shut} of {len(metrics.closures)} closures{share}")
    if parts and metrics.measured_share < 1:
        parts.append(f"measured on {metrics.measured_share:.0%} of the frames shown")
    codes = [str(code) for code, applies in metrics.warnings().items() if applies]
    parts += [f"warning: {', '.join(codes)}"] if codes else []
    return made, "; ".join(parts) or "nothing moved, or too little was found to measure"


def envelope(speech: DecodedSpeech, seconds: float) -> Float32:
    """Return float32 [n, 2]: the lowest and highest sample of each 1/160 s of the beginning of the audio."""
    step = SPEECH_RATE // _PEAKS
    pairs = []
    with closing(speech.blocks()) as blocks:
        for block in islice(blocks, math.ceil(seconds)):
            whole = np.pad(np.nan_to_num(block), (0, -len(block) % step)).reshape(-1, step)
            pairs.append(np.stack([whole.min(1), whole.max(1)], 1))
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), np.float32)


def segments(visemes: Float32, frame_rate: Fraction) -> list[Span]:
    """Return the runs of the strongest viseme of each frame. visemes: float32 [n, 16]."""
    best = visemes.argmax(1)
    starts = np.flatnonzero(np.diff(best, prepend=-1))
    edges = [*starts.tolist(), len(best)]
    rate = float(frame_rate)
    return [(VISEMES[best[a]], a / rate, b / rate) for a, b in pairwise(edges)]


def _draw_figure(diagnostics: Diagnostics) -> Figure:
    seconds = min(diagnostics.shown_seconds, EVALUATED_SECONDS)
    strips = max(1, math.ceil(seconds / STRIP - 1e-6))
    height = _HEAD_HEIGHT + strips * _STRIP_HEIGHT + _FOOT_HEIGHT
    figure = Figure(figsize=(_WIDTH, height))
    FigureCanvasAgg(figure)
    _draw_head(figure, diagnostics, height)
    grid = GridSpec(strips, 1, figure, left=_LEFT, right=_RIGHT, top=1 - _HEAD_HEIGHT / height, bottom=_FOOT_HEIGHT / height, hspace=0.16)
    rows = _Rows.of(diagnostics)
    ratios = (0.8, *([0.28] if rows.phonemes else []), 0.34, 1.7, 0.7)
    span = STRIP if strips > 1 else max(seconds, 1.0)
    for strip in range(strips):
        inner = grid[strip].subgridspec(len(ratios), 1, height_ratios=ratios, hspace=0.05)
        axes = [figure.add_subplot(inner[i]) for i in range(len(ratios))]
        rows.draw(axes, strip * STRIP, strip * STRIP + span)
    axes[-1].set_xlabel("seconds", fontsize=9)
    return figure


def _draw_head(figure: Figure, diagnostics: Diagnostics, height: float) -> None:
    made, metrics = caption(diagnostics)
    figure.text(_LEFT, 1 - 0.10 / height, metrics, fontsize=14, fontweight="bold", va="top", parse_math=False)
    figure.text(_LEFT, 1 - 0.40 / height, made, fontsize=10, color="#555555", va="top", parse_math=False)
    visemes = [Patch(color=_COLOURS[name], label=name) for name in VISEMES]
    style: dict[str, Any] = {
        "fontsize": 8,
        "frameon": False,
        "handlelength": 1.0,
        "columnspacing": 1.0,
        "handletextpad": 0.4,
        "borderaxespad": 0.0,
    }
    figure.legend(handles=visemes, ncols=len(VISEMES), loc="upper left", bbox_to_anchor=(_LEFT, 1 - 0.66 / height), **style)
    curves = [
        Line2D([], [], color=_TARGET, lw=2, label="target opening (eye corners 1 apart)"),
        Line2D([], [], color=_MEASURED, lw=1.6, label="measured opening"),
        Patch(color=_SHUT, label="closure, lips shut"),
        Patch(color=_MISSED, label="closure, lips open"),
    ]
    figure.legend(handles=curves, ncols=len(curves), loc="upper right", bbox_to_anchor=(_RIGHT, 1 - 0.66 / height), **style)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """Everything that is drawn, over the whole time; a strip shows a part of it."""

    diagnostics: Diagnostics
    times: Float32
    audio: Float32
    visemes: Sequence[Span]
    phonemes: Sequence[Span]
    widest: float

    @classmethod
    def of(cls, diagnostics: Diagnostics) -> "_Rows":
        target = np.array(diagnostics.target.opening, np.float32)
        both = np.concatenate([target, diagnostics.measured, [0.02]])
        return cls(
            diagnostics=diagnostics,
            times=np.arange(len(target), dtype=np.float32) / np.float32(diagnostics.frame_rate),
            audio=envelope(diagnostics.speech, diagnostics.shown_seconds),
            visemes=segments(diagnostics.target.viseme_rows(), diagnostics.frame_rate),
            phonemes=diagnostics.phonemes or (),
            widest=float(np.nanmax(both)),
        )

    def draw(self, axes: Sequence[Axes], start: int, end: float) -> None:
        audio, *named, opening, width = axes
        for axis in axes:
            axis.set_xlim(start, end)
            axis.set_xticks(range(start, math.floor(end) + 1))
            axis.tick_params(labelbottom=axis is width, labelsize=8, length=2)
            for side in ("top", "right"):
                axis.spines[side].set_visible(False)
        self._draw_audio(audio)
        tracks = [(self.phonemes, "phonemes", None), (self.visemes, "visemes", _COLOURS)]
        for axis, (spans, label, colours) in zip(named, tracks[-len(named) :], strict=True):
            _draw_segments(axis, spans, label, colours)
        self._draw_opening(opening)
        self._draw_width(width)

    def _draw_audio(self, axis: Axes) -> None:
        times = (np.arange(len(self.audio)) + 0.5) / _PEAKS
        axis.fill_between(times, self.audio[:, 0], self.audio[:, 1], color="#666666", lw=0)
        loudest = float(np.abs(self.audio).max(initial=1e-3))
        axis.set_ylim(-1.05 * loudest, 1.05 * loudest)
        _label_axis(axis, "audio", ticks=())

    def _draw_opening(self, axis: Axes) -> None:
        rate = float(self.diagnostics.frame_rate)
        for closure in self.diagnostics.metrics.closures:
            # A frame is shown from its time on; half a frame to each side centres the mark on what the curves show.
            edges = ((closure.start - 0.5) / rate, (closure.stop - 0.5) / rate)
            axis.axvspan(*edges, color=_SHUT if closure.is_shut else _MISSED, lw=0)
        axis.plot(self.times, self.diagnostics.target.opening, color=_TARGET, lw=2)
        axis.plot(self.times, self.diagnostics.measured, color=_MEASURED, lw=1.6)
        axis.set_ylim(0, 1.08 * self.widest)
        axis.grid(axis="x", color="#dddddd", lw=0.6)
        axis.set_axisbelow(True)
        _label_axis(axis, "opening")

    def _draw_width(self, axis: Axes) -> None:
        width = np.array(self.diagnostics.target.driver_width, np.float32)
        axis.axhline(0.5, color="#dddddd", lw=0.8)
        axis.plot(self.times[: len(width)], width[: len(self.times)], color=_TARGET, lw=1.6)
        axis.set_ylim(-0.08, 1.08)
        _label_axis(axis, "", ticks=(0, 0.5, 1))
        axis.set_yticklabels(["rounded", "target width", "spread"])


def _draw_segments(axis: Axes, spans: Sequence[Span], label: str, colours: dict[str, str] | None) -> None:
    """Draw named segments; a name too long for its segment is left out."""
    first, last = axis.get_xlim()
    inside = [(name, max(start, first), min(end, last)) for name, start, end in spans if start < last and end > first]
    faces = ["#eeeeee" if colours is None else colours[name] for name, _, _ in inside]
    axis.broken_barh([(a, b - a) for _, a, b in inside], (0, 1), facecolors=faces, edgecolor="white", linewidth=0.8)
    for name, a, b in inside:
        if b - a >= _SMALLEST_LABEL * len(name) * (last - first) / STRIP:
            ink = "white" if name == "PP" else "black"
            axis.text((a + b) / 2, 0.5, name, ha="center", va="center", fontsize=7.5, color=ink, parse_math=False)
    axis.set_ylim(0, 1)
    _label_axis(axis, label, ticks=())
    axis.tick_params(bottom=False)


def _label_axis(axis: Axes, text: str, ticks: tuple[float, ...] | None = None) -> None:
    axis.set_ylabel(text, fontsize=9, rotation=0, ha="right", va="center")
    if ticks is not None:
        axis.set_yticks(ticks)
