"""Read the pictures of a file at a constant frame rate, from anywhere, forth and back, in bounded memory."""

import zlib
from array import array
from collections.abc import Generator
from contextlib import closing
from typing import Final

import numpy as np

from heygem_daemon.core.errors import error
from heygem_daemon.media import commands
from heygem_daemon.media.filters import decoded_size
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.frame import LUMA_WEIGHTS, Frame, Plane, YuvSpace
from heygem_daemon.media.run import FfmpegReader
from heygem_daemon.media.types import MediaInfo, VideoStream

SD_LINES: Final = 576
"""Untagged pictures up to this height are taken as BT.601, larger ones as BT.709, as players do."""

CHUNK_BYTES: Final = 160 * 2**20


def forth_and_back(position: int, frames: int) -> int:
    """Return the source frame shown at output `position`: 0, 1 .. n-1, n-2 .. 1, 0, 1 ..: no end is shown twice in a row."""
    if frames < 2:
        return 0
    step = position % (2 * frames - 2)
    return min(step, 2 * frames - 2 - step)


def yuv_space(video: VideoStream) -> YuvSpace:
    """Return what the planes of the decoded frames mean."""
    colour, guess = video.colour, "smpte170m" if video.height <= SD_LINES else "bt709"
    return YuvSpace(matrix=colour.matrix if colour.matrix in LUMA_WEIGHTS else guess, full_range=colour.full_range)


class VideoReader:
    """Pictures of `info.path`, in constant memory. Frame i is the same whether it is reached from the start or by seeking.

    frame_count: the exact number of frames where it is known from an earlier full pass over the same file.
    chunk_bytes: how much decoded picture playing backwards may hold.
    """

    def __init__(self, info: MediaInfo, *, frame_count: int | None = None, chunk_bytes: int = CHUNK_BYTES) -> None:
        if info.video is None:
            raise error("not_a_video", name=display_name(info.path))
        self.info = info
        self.video: VideoStream = info.video
        self.space = yuv_space(info.video)
        self._frame_count = 1 if info.video.is_still else frame_count
        self._chunk_frames = max(chunk_bytes // info.video.frame_bytes, 1)
        self._prints = array("I")
        self._seeks = info.video.is_seekable

    def frames(self, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
        """Yield frames start..stop-1 (or to the end), `Frame.index` counting from 0 at the first picture of the file.

        Goes on after damaged stretches. Raises InputError (`video_undecodable`) when frame 0 is asked for and no picture can be
        decoded at all; TransientError (`io_error`) when the file cannot be read or the decoder was killed.
        """
        if stop is not None and stop <= start:
            return
        with self._decode(start, stop) as child:
            yield from self._received(child, start, stop)

    def frame_count(self) -> int:
        """Return the exact number of frames; takes a full pass unless one was made or the number was given."""
        if self._frame_count is None:
            for _ in self.frames():
                pass
        return self._frame_count or 0

    def play(self, count: int, frame_count: int | None = None) -> Generator[Frame, None, None]:
        """Yield `count` frames, forth and back (`forth_and_back`) when the video is shorter.

        Going back decodes chunk after chunk forwards, the next one already being sought while the present one is shown; a video
        that fits into one chunk is decoded once only. The file must still hold the `frame_count` frames it was found to hold,
        else TransientError (`io_error`).
        """
        self._frame_count = self._frame_count or frame_count
        known = self._frame_count
        if known is not None and known < count and known <= self._chunk_frames:
            yield from self._play_from_memory(count)
            return
        left = count
        while left > 0:
            for way in (self._forth, self._back):
                with closing(way(left)) as frames:
                    for frame in frames:
                        left -= 1
                        yield frame

    def _play_from_memory(self, count: int) -> Generator[Frame, None, None]:
        kept: list[Frame] = []
        for frame in self._forth(count):
            kept.append(frame)
            yield frame
        for position in range(len(kept), count):
            yield kept[forth_and_back(position, len(kept))]

    def _forth(self, limit: int) -> Generator[Frame, None, None]:
        """Yield frames 0, 1 .. to the end, at most `limit`."""
        known, seen = self._frame_count, 0
        for frame in self.frames(0, limit if known is None else min(limit, known)):
            if seen == len(self._prints):
                self._prints.append(_fingerprint(frame))
            seen += 1
            yield frame
        if known is not None and seen < min(limit, known):
            raise error("io_error", problem=f"{display_name(self.info.path)} ended after {seen} of {known} pictures")

    def _back(self, limit: int) -> Generator[Frame, None, None]:
        """Yield frames n-2, n-3 .. 1, at most `limit`; the way forth then starts with 0 (and is all there is for n < 3)."""
        if limit < 1:
            return
        last = self.frame_count() - 1
        first = max(last - limit, 1)
        spans = [(max(stop - self._chunk_frames, first), stop) for stop in range(last, first, -self._chunk_frames)]
        ahead = self._decode(*spans[0]) if spans else None
        try:
            for place, span in enumerate(spans):
                with ahead or self._decode(*span) as child:
                    chunk = self._chunk(child, *span)
                ahead = self._decode(*spans[place + 1]) if place + 1 < len(spans) else None
                while chunk:
                    yield chunk.pop()
        finally:
            if ahead is not None:
                ahead.kill()

    def _chunk(self, child: FfmpegReader, start: int, stop: int) -> list[Frame]:
        """Return frames start..stop-1. Where a seek did not lead to the frames of the way forth (a broken index, a stream without
        proper key frames), this and all later chunks are decoded from the start of the file: slow, but right."""
        chunk = list(self._received(child, start, stop))
        if not self._seeks or [_fingerprint(frame) for frame in chunk] == list(self._prints[start:stop]):
            return chunk
        self._seeks = False
        return list(self.frames(start, stop))

    def _decode(self, start: int, stop: int | None) -> FfmpegReader:
        return FfmpegReader(commands.decode_frames(self.info, start=start, stop=stop, seek=self._seeks))

    def _received(self, child: FfmpegReader, start: int, stop: int | None) -> Generator[Frame, None, None]:
        index, size = start, decoded_size(self.video)
        while stop is None or index < stop:
            packed = np.empty(_i420_bytes(size), np.uint8)
            if child.read_into(packed.data) < packed.size:
                self._ended(child, start, index)
                return
            yield self._frame(_evened(packed, size), index)
            index += 1

    def _frame(self, packed: Plane, index: int) -> Frame:
        return Frame.from_i420(packed, width=self.video.width, height=self.video.height, index=index, space=self.space)

    def _ended(self, child: FfmpegReader, start: int, index: int) -> None:
        """The decoder has no more pictures: find out whether this is the end of the video or of its file."""
        end, name = child.wait(), display_name(self.info.path)
        if end.code < 0 or "Input/output error" in end.stderr:
            raise error("io_error", problem=f"{name}: {end.last_error_line}")
        if index == 0:
            if not self.info.path.exists():
                raise error("io_error", problem=f"{name} is no longer there")
            raise error("video_undecodable", name=name)
        if start == 0:
            self._frame_count = index


def _i420_bytes(size: tuple[int, int]) -> int:
    width, height = size
    return width * height + 2 * (-(-width // 2)) * (-(-height // 2))


def _evened(packed: Plane, size: tuple[int, int]) -> Plane:
    """Repeat the last column or row of an odd-sized I420 picture. Only luma changes: the last chroma sample covers the new pixels."""
    width, height = size
    if width % 2 == 0 and height % 2 == 0:
        return packed
    luma = np.pad(packed[: width * height].reshape(height, width), ((0, height % 2), (0, width % 2)), mode="edge")
    return np.concatenate([luma.reshape(-1), packed[width * height :]])


def _fingerprint(frame: Frame) -> int:
    """Return a checksum of every eighth line of luma: 0.2 ms for 1080p, and no two neighbours of a moving picture share it."""
    return zlib.crc32(np.ascontiguousarray(frame.y[::8]).data)
