"""The render loop: decode, draw and encode, a few frames at a time."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from heygem_daemon.lipsync.arrays import Image
from heygem_daemon.lipsync.driven_frames import DrivenFrames
from heygem_daemon.lipsync.evaluation import TargetTrace
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.ports import EVALUATED_SECONDS, Driver, FrameContext, RenderedFrame, Renderer
from heygem_daemon.lipsync.prefetch import READ_AHEAD, bounded_tee, read_ahead
from heygem_daemon.lipsync.progress import OnProgress, Progress
from heygem_daemon.lipsync.speech.stream import replace_non_finite
from heygem_daemon.lipsync.speech.transcript import Alignment
from heygem_daemon.lipsync.style.speaking_style import SpeakingStyle
from heygem_daemon.lipsync.thumbnail import before_after
from heygem_daemon.lipsync.transcript_drivers import VisualDriver, motion_of
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.speech import DecodedSpeech, frame_count
from heygem_daemon.media.types import MediaInfo, VideoStream
from heygem_daemon.media.writer import VideoWriter


@dataclass(frozen=True, kw_only=True, eq=False)
class RenderInputs:
    """Everything that is rendered from. frames: how many to make; tracks: of the whole video; prepared: the renderer's.
    alignment: the words along the recording, where they are known; style: the presenter's; directory: on a disk that may hold the frames
    that are shown again."""

    info: MediaInfo
    video: VideoStream
    speech: DecodedSpeech
    frames: int
    tracks: FaceTracks
    driver: Driver
    alignment: Alignment | None
    renderer: Renderer[Any]
    prepared: Any
    style: SpeakingStyle
    directory: Path | None = None


@dataclass(kw_only=True)
class RenderStats:
    """The statistics of the frames rendered. drawn, passed: frames drawn on, and passed through untouched; driven: those that show the
    drawn mouth, and why the others do not; widest: the frame with the widest target opening, as it was and as it was drawn."""

    target: TargetTrace
    driven: DrivenFrames = field(default_factory=DrivenFrames)
    speech: deque[bool] = field(default_factory=deque)
    drawn: int = 0
    passed: int = 0
    widest: tuple[Frame, Frame] | None = None
    widest_opening: float = float("-inf")

    def record(self, motion: Iterable[MouthMotion]) -> Iterator[MouthMotion]:
        """Yield the blocks of a driver; keep whether it hears speech until their frames are rendered."""
        for block in self.target.record(motion):
            self.speech.extend(block.is_speech.tolist())
            yield block

    def add(self, source: Frame, rendered: RenderedFrame) -> None:
        """Count the next frame."""
        self.target.add(rendered)
        self.driven.add(rendered.not_driven, is_speech=bool(self.speech) and self.speech.popleft())
        self.drawn += rendered.is_drawn
        self.passed += not rendered.is_drawn
        opening = rendered.target_opening if rendered.is_drawn else -1.0
        if opening > self.widest_opening:
            self.widest_opening, self.widest = opening, (source, rendered.frame)

    def thumbnail(self, video: VideoStream) -> Image | None:
        """Return the widest opening beside its source; None where there is no frame."""
        return None if self.widest is None else before_after(*self.widest, video.sample_aspect)


def render_frames(inputs: RenderInputs, writer: VideoWriter, on_progress: OnProgress) -> RenderStats:
    """Render every frame and write it with `writer`, which is entered and left here."""
    count, rate = inputs.frames, inputs.video.frame_rate
    stats = RenderStats(target=TargetTrace(limit=min(count, frame_count(Fraction(EVALUATED_SECONDS), rate))))
    reader = VideoReader(inputs.info, frame_count=inputs.tracks.frames, directory=inputs.directory)
    with ExitStack() as stack:
        frames = stack.enter_context(closing(read_ahead(reader.play(count, inputs.tracks.frames), READ_AHEAD)))
        speech = replace_non_finite(stack.enter_context(closing(inputs.speech.blocks())))
        waiting: deque[Frame] = deque()  # the renderer is a few frames late; their sources wait for the thumbnail
        source: Iterator[Frame] = frames
        if isinstance(inputs.driver, VisualDriver):
            source, seen = bounded_tee(frames)
            context = FrameContext(frames=seen, tracks=inputs.tracks)
            predicted = inputs.driver.motion_from_frames(context, speech, rate, count, inputs.alignment)
        else:
            predicted = motion_of(inputs.driver, speech, rate, count, inputs.alignment)
        motion = stats.record(inputs.style.apply(predicted))
        rendered = inputs.renderer.render(inputs.prepared, _append_to(source, waiting), motion)
        stack.enter_context(writer)
        for done, frame in enumerate(rendered, start=1):
            writer.write(frame.frame)
            stats.add(waiting.popleft(), frame)
            on_progress(Progress(stage="render", done=done, total=count))
    return stats


def _append_to(frames: Iterator[Frame], waiting: deque[Frame]) -> Iterator[Frame]:
    """Yield the frames and append each to `waiting`."""
    for frame in frames:
        waiting.append(frame)
        yield frame
