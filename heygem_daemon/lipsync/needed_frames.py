"""Decide how much of a video is read for a result: what is shown of it, and enough to learn the presenter from.

So what a result costs depends on its own length, and not on that of the video, which a file of a few kB can declare to be hours.
"""

from fractions import Fraction
from typing import Final

from heygem_daemon.media.speech import frame_count
from heygem_daemon.media.types import VideoStream

LEARNED_SECONDS: Final = 300
"""s of a video from which a presenter is learned at most, where no more of it is shown; five minutes have every mouth shape often."""
LEARNED_FRAMES: Final = 18_000
"""The same in frames, at rates above 60 a second."""


def shown_part(video: VideoStream, shown: int) -> VideoStream:
    """Return the beginning of a video from which `shown` frames are played: all of it, or more than `shown` frames.

    Its length is doubled until it is enough, so that several recordings share what is learned.
    """
    frames = min(frame_count(Fraction(LEARNED_SECONDS), video.frame_rate), LEARNED_FRAMES)
    while frames <= shown:
        frames *= 2
    return video.until(frames)
