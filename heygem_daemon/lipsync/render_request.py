"""The request that a render session takes, and the report that it returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from heygem_daemon.core.render_options import DEFAULT_OPTIONS, RenderOptions
from heygem_daemon.lipsync.style.speaking_style import SpeakingStyle


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    """One result. `output` and the files requested beside it are written, and nothing else.

    thumbnail: where a JPEG of one frame goes. explain: where the diagnostic image (see diagnostics.py) goes, if `options.explain`.
    script: a text file with the words of the recording, read unless `options.text` gives them; only some drivers use them.
    A still image has no length: its result is always as long as the recording. verify: decode the finished file and compare it with the
    report; the daemon does so itself before it publishes.
    """

    recording: Path
    video: Path
    output: Path
    thumbnail: Path | None = None
    explain: Path | None = None
    script: Path | None = None
    options: RenderOptions = DEFAULT_OPTIONS
    verify: bool = True

    @property
    def diagnostic_image(self) -> Path | None:
        return self.explain if self.options.explain else None


@dataclass(frozen=True, kw_only=True)
class RenderReport:
    """The report on one result; the field names are those of status.json.

    seconds: length that the result must have; speed: seconds of result per second of work; stage_seconds: stage -> s.
    licence: of the engine's weights, where it restricts their use. models: name -> sha256.
    sync_offset_ms, mouth_correlation, closure_rate: see evaluation.SyncMetrics. habits: the presenter's speaking style.
    measured_share: the fraction of the frames evaluated that these were measured on.
    faces_drawn and faces_passed: frames drawn on, and passed through untouched. frames_not_driven: the fraction of the frames that show
    the mouth of the source, not_driven: the same by reason (no_face, turned, covered).
    warnings: see core.warning_codes; warning_details: code -> what it is about in this file, where there is more to say than the sentence
    of the code.
    explained: whether the diagnostic image was written. cached: everything that depends on the video alone was in the cache.
    """

    frames: int
    frame_rate: str
    width: int
    height: int
    seconds: float
    engine: str
    licence: str
    driver: str
    renderer: str
    device: str
    models: Mapping[str, str]
    stage_seconds: Mapping[str, float]
    elapsed_s: float
    speed: float
    sync_offset_ms: float | None
    mouth_correlation: float | None
    closure_rate: float | None
    measured_share: float
    habits: SpeakingStyle
    frames_not_driven: float
    not_driven: Mapping[str, float]
    faces_drawn: int
    faces_passed: int
    warnings: tuple[str, ...]
    warning_details: Mapping[str, str]
    explained: bool
    cached: bool
