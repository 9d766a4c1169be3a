"""Read the frames of a file at a constant frame rate, from anywhere, forwards and backwards, in bounded memory."""

import zlib
from array import array
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.core.errors import InputError, error
from heygem_daemon.media import stills
from heygem_daemon.media.card_codecs import open_decoder
from heygem_daemon.media.colours import assumed_matrix
from heygem_daemon.media.filters import decoded_size
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.frame import Box, Frame, Plane, YuvSpace
from heygem_daemon.media.kept_frames import DISK_BYTES, KeptFrames, has_room
from heygem_daemon.media.run import TRIES, FfmpegReader, pause, require_capacity, require_working, stream_error
from heygem_daemon.media.types import MediaInfo, VideoStream

CHUNK_BYTES: Final = 96 * 2**20
"""The decoded frames that playing backwards holds in memory: about 30 of 1080p."""


def ping_pong(position: int, frames: int) -> int:
    """Return the source frame shown at output `position`: 0, 1 .. n-1, n-2 .. 1, 0, 1 ..: no end is shown twice in a row."""
    if frames < 2:
        return 0
    step = position % (2 * frames - 2)
    return min(step, 2 * frames - 2 - step)


def yuv_space(video: VideoStream) -> YuvSpace:
    """Return the colour space of the decoded frames."""
    return YuvSpace(matrix=assumed_matrix(video.colour.matrix, video.height), full_range=video.colour.full_range)


class VideoReader:
    """The frames of `info.path`, in constant memory. Frame i is the same whether it is reached from the start or by seeking.

    frame_count: the exact number of frames where it is known from an earlier full pass over the same file.
    chunk_bytes: how many bytes of decoded frames playing backwards may hold in memory. directory: where more may lie on the disk.
    """

    def __init__(
        self, info: MediaInfo, *, frame_count: int | None = None, chunk_bytes: int = CHUNK_BYTES, directory: Path | None = None
    ) -> None:
        if info.video is None:
            raise error("not_a_video", name=display_name(info.path), type="a file without video")
        self.info = info
        self.video: VideoStream = info.video
        self.space = yuv_space(info.video)
        self._frame_count = 1 if info.video.is_still else frame_count
        self._chunk_bytes, self._directory = chunk_bytes, directory
        self._fingerprints = array("I")
        self._seeks = info.video.is_seekable

    def frames(self, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
        """Yield frames start..stop-1 (or to the end), `Frame.index` counting from 0 at the first frame of the file.

        Goes on after damaged parts. Raises InputError (`video_undecodable`) when frame 0 is wanted and no frame can be
        decoded at all; TransientError (`io_error`, `tool_killed`, `server_short`, `storage_slow`) when the file cannot be read or not now;
        EngineError (`tool_crashed`, `no_progress`). Of a still: as `stills.read`.
        """
        end = self.video.end
        if end is not None:
            stop = end if stop is None else min(stop, end)
        if stop is not None and stop <= start:
            return
        if self.video.is_still:
            if start == 0:
                yield stills.read(self.info)
            return
        yield from self._decoded(start, stop)
        if start == 0 and stop == end and self._frame_count is None:
            self._frame_count = end

    def _decoded(self, start: int, stop: int | None, box: Box | None = None) -> Generator[Frame, None, None]:
        """Yield the frames that a decoder gives. Where it gives none at all another is asked, as memory and threads may be short for a
        moment, and at last a video of the server itself."""
        for left in reversed(range(TRIES)):
            try:
                with self._decode(start, stop, box) as decoder:
                    yield from self._receive(decoder, start, stop, box)
            except InputError as problem:
                if problem.code != "video_undecodable":  # it has given frames
                    raise
                if not left:
                    require_capacity((self.video.coded_width, self.video.coded_height))
                    raise
                pause()
            else:
                return

    def cropped(self, box: Box, stop: int) -> Generator[Frame, None, None]:
        """Yield the part of frames 0..stop-1 of a moving video in `box` (even pixels, within the frame): only that is copied, which of a
        face in 1080p is a third. Raises as `frames`."""
        yield from self._decoded(0, stop, box)

    def frame_count(self) -> int:
        """Return the exact number of frames; takes a full pass unless one was made or the number was given."""
        if self._frame_count is None:
            for _ in self.frames():
                pass
        return self._frame_count or 0

    def play(self, count: int, frame_count: int | None = None) -> Generator[Frame, None, None]:
        """Yield `count` frames, forwards and backwards in turn (`ping_pong`) when the video is shorter.

        What is shown again is kept, in memory or on the disk; of a longer video playing backwards decodes chunk after chunk forwards, and
        seeks the next one while the present one is yielded. Raises TransientError (`io_error`) when the file no longer holds `frame_count`
        frames.
        """
        self._frame_count = self._frame_count or frame_count
        known = self._frame_count
        if known is None or known >= count:
            yield from self._play_by_chunks(count, (self._play_forwards, self._play_backwards))
            return
        first = max(0, 2 * known - 1 - count)  # the first frame that is shown again
        with self._store(known - first) as kept:
            for frame in self._play_forwards(count):
                if frame.index >= first:
                    kept.append(frame)
                yield frame
            if kept.is_complete:
                for position in range(known, count):
                    yield kept[ping_pong(position, known) - first]
                return
        yield from self._play_by_chunks(count - known, (self._play_backwards, self._play_forwards))

    def _store(self, frames: int) -> KeptFrames:
        """Return where `frames` frames are kept; incomplete from the beginning where there is no room for so many."""
        needed = frames * self.video.frame_bytes
        if needed <= self._chunk_bytes:
            return KeptFrames()
        directory = self._directory
        return KeptFrames(directory, is_possible=directory is not None and has_room(directory, needed))

    def _play_by_chunks(
        self, left: int, directions: Sequence[Callable[[int], Generator[Frame, None, None]]]
    ) -> Generator[Frame, None, None]:
        while left > 0:
            for direction in directions:
                with closing(direction(left)) as frames:
                    for frame in frames:
                        left -= 1
                        yield frame

    def _play_forwards(self, limit: int) -> Generator[Frame, None, None]:
        """Yield frames 0, 1 .. to the end, at most `limit`."""
        known, seen = self._frame_count, 0
        for frame in self.frames(0, limit if known is None else min(limit, known)):
            if seen == len(self._fingerprints):
                self._fingerprints.append(fingerprint(frame))
            seen += 1
            yield frame
        if known is not None and seen < min(limit, known):
            raise error("io_error", problem=f"{display_name(self.info.path)} ended after {seen} of {known} frames")

    def _play_backwards(self, limit: int) -> Generator[Frame, None, None]:
        """Yield frames n-2, n-3 .. 1, at most `limit`; playing forwards then begins with 0 again. Yields nothing for n < 3."""
        if limit < 1:
            return
        stop = self.frame_count() - 1
        first = max(stop - limit, 1)
        fits = (stop - first) * self.video.frame_bytes <= self._chunk_bytes
        directory = self._directory if not fits and self._directory and has_room(self._directory, DISK_BYTES) else None
        ahead: FfmpegReader | None = None
        try:
            while stop > first:
                start = self._start_of_chunk(stop, first, directory)
                with ahead or self._decode(start, stop) as decoder, self._chunk(decoder, start, stop, directory) as chunk:
                    ahead = None
                    if not chunk.is_complete:  # the disk is full
                        directory = None
                        continue
                    stop = start
                    ahead = self._decode(self._start_of_chunk(stop, first, directory), stop) if stop > first else None
                    while len(chunk):
                        yield chunk.pop()
        finally:
            if ahead is not None:
                ahead.kill()

    def _start_of_chunk(self, stop: int, first: int, directory: Path | None) -> int:
        held = self._chunk_bytes if directory is None else DISK_BYTES
        return max(stop - max(held // self.video.frame_bytes, 1), first)

    def _chunk(self, decoder: FfmpegReader, start: int, stop: int, directory: Path | None) -> KeptFrames:
        """Return frames start..stop-1. Where a seek gives other frames than playing forwards did (a broken index, a stream without proper
        key frames), this and all later chunks are decoded from the start of the file: slow, but right."""
        chunk, found = KeptFrames(directory), array("I")
        with suppress(InputError):  # no frame at all, of a video that has given some
            for frame in self._receive(decoder, start, stop):
                chunk.append(frame)
                found.append(fingerprint(frame))
        if (found and not self._seeks) or found == self._fingerprints[start:stop]:
            return chunk
        self._seeks = False
        chunk.close()
        chunk = KeptFrames(directory)
        for frame in self.frames(start, stop):
            chunk.append(frame)
        return chunk

    def _decode(self, start: int, stop: int | None, box: Box | None = None) -> FfmpegReader:
        return open_decoder(self.info, start=start, stop=stop, seek=self._seeks, box=box)

    def _receive(self, decoder: FfmpegReader, start: int, stop: int | None, box: Box | None = None) -> Generator[Frame, None, None]:
        index, size = start, decoded_size(self.video) if box is None else (box[2] - box[0], box[3] - box[1])
        while stop is None or index < stop:
            packed = np.empty(_i420_bytes(size), np.uint8)
            if decoder.read_into(packed.data) < packed.size:
                self._handle_end(decoder, start, index)
                return
            yield self._frame(_pad_to_even(packed, size), size, index)
            index += 1

    def _frame(self, packed: Plane, size: tuple[int, int], index: int) -> Frame:
        width, height = (side + side % 2 for side in size)
        return Frame.from_i420(packed, width=width, height=height, index=index, space=self.space)

    def _handle_end(self, decoder: FfmpegReader, start: int, index: int) -> None:
        """Handle the end of the decoder's output. Raises where the video has not ended with it."""
        end, name = decoder.wait(), display_name(self.info.path)
        size = (self.video.coded_width, self.video.coded_height)
        if (problem := stream_error(end, name, self.info.path, size=size)) is not None:
            raise problem
        if index == 0:
            if not self.info.path.exists():
                raise error("io_error", problem=f"{name} no longer exists")
            require_working(end.program)
            raise error("video_undecodable", name=name)
        if start == 0:
            self._frame_count = index


def _i420_bytes(size: tuple[int, int]) -> int:
    width, height = size
    return width * height + 2 * (-(-width // 2)) * (-(-height // 2))


def _pad_to_even(packed: Plane, size: tuple[int, int]) -> Plane:
    """Return an I420 frame of odd size with its last column or row repeated, in luma only: the last chroma sample covers the new pixels."""
    width, height = size
    if width % 2 == 0 and height % 2 == 0:
        return packed
    luma = np.pad(packed[: width * height].reshape(height, width), ((0, height % 2), (0, width % 2)), mode="edge")
    return np.concatenate([luma.reshape(-1), packed[width * height :]])


def fingerprint(frame: Frame) -> int:
    """Return a checksum of every eighth line of luma (0.2 ms for 1080p): consecutive frames with any motion have different ones."""
    return zlib.crc32(np.ascontiguousarray(frame.y[::8]).data)
