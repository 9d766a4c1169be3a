"""The inner loop: decode, draw, encode, a few frames at a time."""

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from heygem_daemon.lipsync.arrays import Image
from heygem_daemon.lipsync.evaluation import LONGEST, Asked
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.ports import Driver, RenderedFrame, Renderer, FrameContext
from heygem_daemon.lipsync.prefetch import READ_AHEAD, bounded_tee, read_ahead
from heygem_daemon.lipsync.progress import OnProgress, Progress
from heygem_daemon.lipsync.speech.clean import clean
from heygem_daemon.lipsync.speech.transcript import Alignment
from heygem_daemon.lipsync.style.speaking_style import SpeakingStyle
from heygem_daemon.lipsync.thumbnail import before_after
from heygem_daemon.lipsync.transcript_drivers import VisualDriver, motion_of
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.speech import frame_count, speech_blocks
from heygem_daemon.media.types import MediaInfo, VideoStream
from heygem_daemon.media.writer import VideoWriter


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Everything that is drawn from. frames: how many to make; tracks: of the whole video; prepared: the renderer's.
    script: the words along the recording, where they are known; habits: the presenter's."""

    info: MediaInfo
    video: VideoStream
    recording: Path
    frames: int
    tracks: FaceTracks
    driver: Driver
    script: Alignment | None
    renderer: Renderer[Any]
    prepared: Any
    habits: SpeakingStyle


@dataclass(kw_only=True)
class Drawn:
    """What is remembered of rendering."""

    asked: Asked
    drawn: int = 0
    passed: int = 0
    widest: float = float("-inf")
    thumbnail: Image | None = None

    def note(self, source: Frame, rendered: RenderedFrame, video: VideoStream) -> None:
        self.asked.note(rendered)
        self.drawn += rendered.is_drawn
        self.passed += not rendered.is_drawn
        opening = rendered.target_opening if rendered.is_drawn else -1.0
        if opening > self.widest:
            self.widest = opening
            self.thumbnail = before_after(source, rendered.frame, video.sample_aspect)


def draw(scene: Scene, writer: VideoWriter, on_progress: OnProgress) -> Drawn:
    """Write every frame of the scene with `writer`, which is entered and left here."""
    count, rate = scene.frames, scene.video.frame_rate
    drawn = Drawn(asked=Asked(limit=min(count, frame_count(Fraction(LONGEST), rate))))
    reader = VideoReader(scene.info, frame_count=scene.tracks.frames)
    with ExitStack() as stack:
        frames = stack.enter_context(closing(read_ahead(reader.play(count, scene.tracks.frames), READ_AHEAD)))
        speech = stack.enter_context(closing(speech_blocks(scene.recording)))
        waiting: deque[Frame] = deque()  # the renderer is a few frames late; their sources wait for the thumbnail
        shown: Iterator[Frame] = frames
        if isinstance(scene.driver, VisualDriver):
            shown, seen = bounded_tee(frames)
            said = scene.driver.motion_from_frames(FrameContext(frames=seen, tracks=scene.tracks), clean(speech), rate, count, scene.script)
        else:
            said = motion_of(scene.driver, clean(speech), rate, count, scene.script)
        motion = drawn.asked.overhear(scene.habits.applied(said))
        rendered = scene.renderer.render(scene.prepared, _remembered(shown, waiting), motion)
        stack.enter_context(writer)
        for done, picture in enumerate(rendered, start=1):
            writer.write(picture.frame)
            drawn.note(waiting.popleft(), picture, scene.video)
            on_progress(Progress(stage="render", done=done, total=count))
    return drawn


def _remembered(frames: Iterator[Frame], waiting: deque[Frame]) -> Iterator[Frame]:
    for frame in frames:
        waiting.append(frame)
        yield frame
