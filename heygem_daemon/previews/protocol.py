"""The lines between the page and the process that looks into media. Only the standard library is imported, so that the page can use it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self


class Kind(StrEnum):
    """What is wanted of a file.

    FACES: who could speak in a video or an image, with the still that shows them. STILL: a still alone. PEAKS: the waveform of a
    recording. PROXY: a small copy that every browser plays."""

    FACES = "faces"
    STILL = "still"
    PEAKS = "peaks"
    PROXY = "proxy"

    @property
    def is_slow(self) -> bool:
        """Whether it takes long. One of these runs at a time, and one of the others beside it: a face check never waits for a copy of an
        hour of video."""
        return self in {Kind.PEAKS, Kind.PROXY}


@dataclass(frozen=True, kw_only=True)
class PreviewRequest:
    """One request. path: of the file, or /proc/<process>/fd/<number> of one that the page holds open. output: where the still (JPEG) or
    the copy (mp4) goes; "" for none. seconds: of wall clock that it may take. count: of peaks. is_frame: the file is an image of one frame
    of a video, so that its faces are as large as in the image, of which portraits are made smaller."""

    number: int
    kind: Kind
    path: str
    output: str = ""
    seconds: float = 30.0
    count: int = 0
    is_frame: bool = False

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode("ascii") + b"\n"


def encode_cancel(number: int) -> bytes:
    """Return the line that ends a request: nobody waits for its answer any more."""
    return json.dumps({"cancel": number}).encode("ascii") + b"\n"


def decode_request(line: bytes) -> PreviewRequest | int:
    """Return the request of a line, or the number of the one to end. Raises ValueError, KeyError or TypeError for neither."""
    fields = json.loads(line)
    if "cancel" in fields:
        return int(fields["cancel"])
    return PreviewRequest(**{**fields, "kind": Kind(fields["kind"])})


@dataclass(frozen=True, kw_only=True)
class PreviewAnswer:
    """The answer to the request of this number: `result`, or the `code` and the sentence of an error of core.error_catalog."""

    number: int
    result: Mapping[str, Any] | None = None
    code: str = ""
    message: str = ""

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Self:
        """Raises ValueError or TypeError for a line that is none."""
        return cls(**json.loads(line))
