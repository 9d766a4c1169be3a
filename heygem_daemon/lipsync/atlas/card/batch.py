"""The plans of a batch of frames, and the tensors they become: all of a batch is moved to the device by one copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from heygem_daemon.lipsync.atlas.card.face import FaceTensors, face_arrays
from heygem_daemon.lipsync.atlas.card.interior import InteriorTensors, ShownTensors, interior_arrays, shown_arrays
from heygem_daemon.lipsync.atlas.card.mouth import MouthTensors, SourceTensors, mouth_arrays, mouth_size, source_arrays
from heygem_daemon.lipsync.atlas.card.resident import Resident
from heygem_daemon.lipsync.atlas.draw_plan import DrawPlan
from heygem_daemon.lipsync.atlas.interior import InteriorPlan
from heygem_daemon.lipsync.imaging.card.staging import upload
from heygem_daemon.media.frame import Frame

Arrays = dict[str, npt.NDArray[Any]]
_Tensors = TypeVar("_Tensors", FaceTensors, MouthTensors, SourceTensors, InteriorTensors, ShownTensors)
_NEW: Final = "textures"


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedFrame:
    """A frame and what is drawn on it. interior: None where none is painted."""

    frame: Frame
    plan: DrawPlan
    interior: InteriorPlan | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """A batch on the device. size, mouth_size, hole_size: height and width of the largest of each."""

    face: FaceTensors
    mouth: MouthTensors
    sources: tuple[SourceTensors, ...]
    interior: InteriorTensors | None
    shown: ShownTensors | None
    size: tuple[int, int]
    mouth_size: tuple[int, int]
    hole_size: tuple[int, int]


def upload_batch(planned: Sequence[PlannedFrame], there: Resident) -> Batch:
    """Move a batch to the device, with those source mouths that are not there yet."""
    plans = [each.plan for each in planned]
    painted = [number for number, each in enumerate(planned) if each.interior is not None]
    inside = [row for number in painted if (row := plans[number].spec.interior_row) is not None]
    new, places = there.textures.missing([*(row for plan in plans for row, _ in plan.spec.rows), *inside])
    parts: dict[str, Arrays] = {_NEW: {"images": new, "places": places}}
    parts["face"], parts["mouth"] = face_arrays([each.frame for each in planned], plans), mouth_arrays(plans)
    ranks = max(len(plan.spec.rows) for plan in plans)
    parts |= {f"source {rank}": _source_arrays(plans, rank, there) for rank in range(ranks)}
    if painted:
        parts["interior"] = _interior_arrays(planned, painted)
    if inside:
        parts["shown"] = _shown_arrays(planned, painted, there)
    tensors = upload({f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}, there.device)
    there.textures.store(tensors[f"{_NEW}/images"], tensors[f"{_NEW}/places"])
    return Batch(
        face=_typed(FaceTensors, "face", parts, tensors),
        mouth=_typed(MouthTensors, "mouth", parts, tensors),
        sources=tuple(_typed(SourceTensors, f"source {rank}", parts, tensors) for rank in range(ranks)),
        interior=_typed(InteriorTensors, "interior", parts, tensors) if painted else None,
        shown=_typed(ShownTensors, "shown", parts, tensors) if inside else None,
        size=_largest(parts["face"]["sizes"]),
        mouth_size=_largest(np.array([mouth_size(plan) for plan in plans])),
        hole_size=_largest(parts["interior"]["sizes"]) if painted else (0, 0),
    )


def _source_arrays(plans: Sequence[DrawPlan], rank: int, there: Resident) -> Arrays:
    """Return the fields of the `rank`-th source mouth of each frame that has so many."""
    frames = [number for number, plan in enumerate(plans) if len(plan.spec.rows) > rank]
    rows = [plans[number].spec.rows[rank][0] for number in frames]
    presenter = there.presenter
    points = presenter.faces.points[rows] - presenter.origins[rows][:, None]
    return {
        "frames": np.array(frames, np.int64),
        "weight": np.array([plans[number].spec.rows[rank][1] for number in frames], np.float32),
        "tables": there.textures.tables(rows),
        **source_arrays([plans[number] for number in frames], points),
    }


def _interior_arrays(planned: Sequence[PlannedFrame], painted: Sequence[int]) -> Arrays:
    plans = [planned[number].plan for number in painted]
    interiors = [each for number in painted if (each := planned[number].interior) is not None]
    return {"frames": np.array(painted, np.int64), **interior_arrays(plans, interiors)}


def _shown_arrays(planned: Sequence[PlannedFrame], painted: Sequence[int], there: Resident) -> Arrays:
    """Return the fields of the frames whose interior is shown."""
    numbers, rows, sources = [], [], []
    for number, frame in enumerate(painted):
        row, interior = planned[frame].plan.spec.interior_row, planned[frame].interior
        if row is not None and interior is not None and interior.source is not None:
            numbers.append(number)
            rows.append(row)
            sources.append(interior.source)
    return {"numbers": np.array(numbers, np.int64), "tables": there.textures.tables(rows), **shown_arrays(sources)}


def _typed(kind: type[_Tensors], part: str, parts: Mapping[str, Arrays], tensors: Mapping[str, Tensor]) -> _Tensors:
    """Return the tensors of a part as the dataclass that describes them."""
    return kind(**{name: tensors[f"{part}/{name}"] for name in parts[part]})


def _largest(sizes: npt.NDArray[np.int64]) -> tuple[int, int]:
    height, width = sizes.max(0)
    return int(height), int(width)
