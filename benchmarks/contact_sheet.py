"""Show a result beside its source on one image: whole faces and zoomed mouths, at the frames that matter most.

    python -m benchmarks.contact_sheet SOURCE RESULT SHEET.png [--models weights] [--frames 10,11,12 | --columns 8]

Rows: source face, result face, source mouth, result mouth, difference of the faces (x 4). Columns, unless --frames gives their numbers:
lips closed, wide open, rounded, at rest (where the mouth moves least), as the face mesh measures them in the result.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.face.tracker import FaceTracker
from heygem_daemon.lipsync.geometry.landmarks import EYE_CORNERS, LIPS, OUTER_CORNERS
from heygem_daemon.lipsync.geometry.mouth_metrics import lip_opening
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader

TILE = 260
"""Pixels of a side of a tile."""
FACE_SIDE, MOUTH_SIDE = 2.6, 0.95
"""Sides of the squares cut from a frame, in distances of the outer eye corners."""


def images(path: Path) -> Iterator[Frame]:
    """Yield the frames of a file."""
    yield from VideoReader(probe(path.resolve())).frames()


def landmarks(path: Path, models: Path) -> Float32:
    """Return float32 [T, 468, 3], in pixels, NaN where no face is found."""
    tracker, found = FaceTracker(models), []
    for frame in images(path):
        faces = tracker.follow(frame)
        found.append(faces[0].landmarks if faces else np.full((468, 3), np.nan, np.float32))
    return np.array(found)


def select_frames(points: Float32, columns: int) -> list[tuple[int, str]]:
    """Return (frame number, label) of closed, wide open, rounded and resting mouths, each kind spread over the clip."""
    opening = np.nan_to_num(lip_opening(points), nan=float(np.nanmedian(lip_opening(points))))
    corners = points[:, OUTER_CORNERS[0]] - points[:, OUTER_CORNERS[1]]
    eyes = points[:, EYE_CORNERS[0]] - points[:, EYE_CORNERS[1]]
    width = np.nan_to_num(np.asarray(np.linalg.norm(corners, axis=1) / np.linalg.norm(eyes, axis=1)), nan=9.0)
    motion = np.convolve(np.abs(np.gradient(opening)) if len(opening) > 1 else opening, np.ones(9), "same")
    rounded = width + np.where(opening > np.percentile(opening, 40), 0, 9)
    kinds = {"closed": opening, "open": -opening, "rounded": rounded, "rest": motion + opening}
    edges = np.linspace(0, len(points), max(1, columns // len(kinds)) + 1).astype(int)
    chosen = [(a + int(score[a:b].argmin()), name) for name, score in kinds.items() for a, b in pairwise(edges) if b > a]
    return sorted(set(chosen))


def cut_square(image: Image, centre: Float32, side: float) -> Image:
    """Cut a square of `side` pixels around `centre`, scaled to a tile."""
    scale = TILE / side
    matrix = np.array([[scale, 0, TILE / 2 - scale * centre[0]], [0, scale, TILE / 2 - scale * centre[1]]])
    return np.asarray(cv2.warpAffine(image, matrix, (TILE, TILE), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8)


def column(source: Image, result: Image, points: Float32, label: str) -> Image:
    """Return one column of the sheet. points: float32 [468, 3], the face in the result."""
    eye = float(np.linalg.norm(points[EYE_CORNERS[0], :2] - points[EYE_CORNERS[1], :2]))
    face, mouth = points[[2, 152], :2].mean(0) - (0, 0.2 * eye), points[list(LIPS), :2].mean(0)
    tiles = [cut_square(image, face, FACE_SIDE * eye) for image in (source, result)]
    tiles += [cut_square(image, mouth, MOUTH_SIDE * eye) for image in (source, result)]
    tiles.append(np.clip(cv2.absdiff(tiles[0], tiles[1]).astype(int) * 4, 0, 255).astype(np.uint8))
    cv2.putText(tiles[0], label, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 255, 255), 1, cv2.LINE_AA)
    return np.vstack(tiles)


def contact_sheet(source: Path, result: Path, points: Float32, selected: Sequence[tuple[int, str]]) -> Image:
    """Return the contact sheet of the frames `selected` (number, label). The source may be a still image."""
    numbers = {number for number, _ in selected}
    results = {frame.index: frame.bgr() for frame in images(result) if frame.index in numbers}
    sources: dict[int, Image] = {}
    for frame in images(source):
        if frame.index in numbers or frame.index == 0:
            sources[frame.index] = frame.bgr()
    shown = [(n, label) for n, label in selected if np.isfinite(points[n]).all() and n in results]
    return np.hstack([column(sources.get(n, sources[0]), results[n], points[n], f"{n} {label}") for n, label in shown])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--models", type=Path, default=Path("weights"))
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--frames", type=lambda text: [int(n) for n in text.split(",")])
    options = parser.parse_args()
    points = landmarks(options.result, options.models)
    selected = [(n, "") for n in options.frames] if options.frames else select_frames(points, options.columns)
    cv2.imwrite(str(options.sheet), contact_sheet(options.source, options.result, points, selected))
    print(options.sheet)


if __name__ == "__main__":
    main()
