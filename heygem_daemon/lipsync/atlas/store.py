"""The presenter on disk: geometry and statistics in `presenter.npz`, the mouths as the decoder gave them (I420), one after the other, in
`mouths.bin`."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.arrays import Bool, Float32, Float64, Int64
from heygem_daemon.lipsync.geometry.mouth_model import MouthModel, opening_of
from heygem_daemon.lipsync.geometry.samples import FaceSample
from heygem_daemon.lipsync.imaging.grading import Grading
from heygem_daemon.media.frame import Frame, YuvSpace

VERSION: Final = "atlas 7"
"""Raise it when the meaning or layout of the files changes: older ones are then made anew."""
_SURELY_OPEN: Final = 0.055
"""Opening in IOD from which a mouth is open for certain: the face mesh sees up to .05 in closed full lips."""
_CLOSED_PERCENTILE: Final = 5
"""Percentile of the openings of an atlas that counts as closed lips."""
LARGEST_CLOSED: Final = 0.03
"""Lips that measure more open than this, in IOD, are taken to be apart."""
_ARRAYS: Final = "presenter.npz"
_CROPS: Final = "mouths.bin"

_PRESENTER_KEYS: Final = {
    "reference": "reference",
    "sharpness": "sharpness",
    "interiors": "interiors",
    "origins": "origins",
    "sizes": "crop_sizes",
    "skins": "skin_samples",
    "is_clear": "is_clear",
    "covers": "cover_means",
    "correction": "correction",
}
_MOUTH_KEYS: Final = {"rest": "rest", "weight": "weight", "open_basis": "open_basis", "width_basis": "width_basis"}
_FACE_KEYS: Final = {"index": "index", "picture": "points", "canonical": "canonical", "angles": "angles", "scale": "scale"}
"""Keys of the arrays in `presenter.npz`, and the fields of `Presenter`, `MouthModel` and `FaceSample` they hold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Presenter:
    """The atlas of one video: what `prepare` learnt about its face.

    reference:    [468, 3], mean canonical face
    mouth:        how the mouth moves
    faces:        the n atlas frames, without the drift of their mouths (`geometry.drift`)
    sharpness:    [n], variance of the Laplacian over the lips
    interiors:    float32 [n, k], luma at places between the lips, as fractions of that of the skin
    origins:      int [n, 2], x and y of each crop in its frame, even
    crop_sizes:   int [n, 2], width and height of each crop, even
    space:        the colour space of the crops
    skin_samples: uint8 [n, p, 3], the skin around the mouth, to recognise what covers it
    is_clear:     bool [n], nothing covers the mouth
    skin_limit:   the residual beyond which a mouth counts as covered, grey levels
    cover_means:  float32 [2, 29, 7, 3], see `mouth_cover.CoverTest`; [0, 29, 7, 3] where the mouth is never covered, or always
    grading:      how the colours of the video were graded
    correction:   [2, k + 1], the table of `calibration.OpeningCorrection`; empty before calibration
    """

    reference: Float64
    mouth: MouthModel
    faces: FaceSample
    sharpness: Float64
    interiors: Float32
    origins: Int64
    crop_sizes: Int64
    space: YuvSpace
    skin_samples: npt.NDArray[np.uint8]
    is_clear: Bool
    skin_limit: float
    cover_means: Float32
    grading: Grading
    correction: Float64
    workspace: Path

    def shown_opening(self, row: int) -> float:
        """Return how far the mouth of an atlas frame is open, in IOD.

        In a clip that never speaks a mouth counts as shut below .055.
        """
        opening = max(0.0, float(opening_of(self.faces.canonical[row])))
        return opening if self.mouth.is_talking or opening > _SURELY_OPEN else 0.0

    @cached_property
    def closed_opening(self) -> float:
        """How far the mouths of the most closed atlas frames are open, in IOD: the mesh measures lips that meet up to .05 apart."""
        return max(0.0, float(np.percentile(opening_of(self.faces.canonical), _CLOSED_PERCENTILE)))

    @cached_property
    def lips_apart(self) -> Float64:
        """[n]: how far the lips of the atlas frames are really apart, in IOD: `shown_opening` without what the mesh measures in closed
        lips, less and less of that the wider they are open."""
        shown = np.array([self.shown_opening(row) for row in range(len(self.faces))])
        closed, wide = min(self.closed_opening, LARGEST_CLOSED), max(self.mouth.openings[1], 2 * LARGEST_CLOSED)
        return np.where(shown < wide, np.interp(shown, (closed, wide), (0, wide)), shown)

    def crop(self, row: int) -> Frame:
        """Return the lower face of atlas frame `row`, its corner at `origins[row]`. Raises TransientError (`io_error`)."""
        width, height = (int(value) for value in self.crop_sizes[row])
        start, count = int(self._crop_offsets[row]), width * height * 3 // 2
        packed = np.fromfile(self.workspace / _CROPS, np.uint8, count, offset=start)
        if len(packed) < count:
            raise error("io_error", problem=f"{_CROPS} of a learned presenter ends too early")
        return Frame.from_i420(packed, width=width, height=height, index=int(self.faces.index[row]), space=self.space)

    @cached_property
    def _crop_offsets(self) -> Int64:
        """int [n + 1]: where each crop begins in the file of crops, and where the last one ends."""
        return np.concatenate([[0], np.cumsum(self.crop_sizes.prod(1) * 3 // 2)])


class CropWriter:
    """Writes crops into the workspace, as they are."""

    def __init__(self, workspace: Path) -> None:
        workspace.mkdir(parents=True, exist_ok=True)
        self._file = (workspace / _CROPS).open("wb")

    def append(self, crop: Frame) -> None:
        self._file.write(crop.i420().data)

    def close(self) -> None:
        self._file.close()


def save(presenter: Presenter) -> None:
    """Write everything but the crops, atomically: `presenter.npz` exists only when the presenter is complete."""
    mouth, faces = presenter.mouth, presenter.faces
    head = {
        "version": VERSION,
        "openings": mouth.openings,
        "widths": mouth.widths,
        "is_talking": mouth.is_talking,
        "skin_limit": presenter.skin_limit,
        "tone": presenter.grading.tone.tolist(),
        "contrast": presenter.grading.contrast,
        "space": asdict(presenter.space),
    }
    scratch = presenter.workspace / f"{_ARRAYS}.part"
    with scratch.open("wb") as file:
        np.savez(
            file,
            head=np.array(json.dumps(head)),
            **{key: getattr(presenter, name) for key, name in _PRESENTER_KEYS.items()},
            **{key: getattr(mouth, name) for key, name in _MOUTH_KEYS.items()},
            **{key: getattr(faces, name) for key, name in _FACE_KEYS.items()},
        )
    scratch.replace(presenter.workspace / _ARRAYS)


def load(workspace: Path) -> Presenter | None:
    """Return the presenter kept in `workspace`, or None where there is none, or an older or damaged one."""
    try:
        with (workspace / _ARRAYS).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            head = json.loads(str(arrays["head"]))
            if head["version"] != VERSION or (workspace / _CROPS).stat().st_size != arrays["sizes"].prod(1).sum() * 3 // 2:
                return None
            mouth = MouthModel(
                **{name: arrays[key] for key, name in _MOUTH_KEYS.items()},
                openings=tuple(head["openings"]),
                widths=tuple(head["widths"]),
                is_talking=head["is_talking"],
            )
            return Presenter(
                **{name: arrays[key] for key, name in _PRESENTER_KEYS.items()},
                mouth=mouth,
                faces=FaceSample(**{name: arrays[key] for key, name in _FACE_KEYS.items()}),
                skin_limit=head["skin_limit"],
                grading=Grading(tone=np.array(head["tone"]), contrast=head["contrast"]),
                space=YuvSpace(**head["space"]),
                workspace=workspace,
            )
    except (OSError, ValueError, KeyError, BadZipFile):
        return None
