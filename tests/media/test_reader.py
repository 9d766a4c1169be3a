"""Read frames: the right ones, in the right order, from anywhere, in bounded memory."""

import errno
import tracemalloc
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.errors import InputError, TransientError
from heygem_daemon.media import kept_frames
from heygem_daemon.media import reader as reader_module
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.reader import VideoReader, ping_pong
from tests.media.conftest import Decode, MakeFile, Turn

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
LOSSLESS = (*X264, "-qp", 0)
BFRAMES = ("-c:v", "libx264", "-preset", "medium", "-bf", 3, "-g", 30, "-pix_fmt", "yuv420p")
# Grey of frame N is 16 + 4 N, so a pixel shows which frame it is.
NUMBERED = "geq=lum='16+4*N':cb=128:cr=128"


checked = cache(check_video)  # no file is changed once it has been read


def reader(path: Path, **options: Any) -> VideoReader:
    return VideoReader(checked(path), **options)


def stacked(frames: Iterable[Frame]) -> npt.NDArray[np.uint8]:
    """uint8 [frames, bytes]"""
    return np.stack([frame.i420() for frame in frames])


def numbers(frames: Iterable[Frame]) -> list[int]:
    return [round((float(frame.y.mean()) - 16) / 4) for frame in frames]


@given(st.integers(1, 50), st.integers(0, 500))
def test_ping_pong_moves_by_one_and_never_repeats_an_end(frames: int, position: int) -> None:
    here, there = ping_pong(position, frames), ping_pong(position + 1, frames)
    assert 0 <= here < frames
    assert abs(here - there) == (1 if frames > 1 else 0)
    if position < frames:
        assert here == position


def test_frames_are_the_decoders_own_bit_by_bit(clip: MakeFile, decoded: Decode) -> None:
    path = clip("plain.mp4")
    ours = stacked(reader(path).frames())
    assert np.array_equal(ours.reshape(-1), decoded(path))
    assert reader(path).frame_count() == len(ours) == 50


@pytest.mark.parametrize("size", ["160x120", "161x121"])
def test_a_part_of_the_frames_is_the_same_pixels(clip: MakeFile, size: str) -> None:
    path = clip(f"part-{size}.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p", size=size, seconds=0.4)
    whole, parts = list(reader(path).frames(0, 5)), list(reader(path).cropped((30, 12, 82, 60), 5))
    assert [frame.index for frame in parts] == list(range(5))
    for frame, part in zip(whole, parts, strict=True):
        assert np.array_equal(part.y, frame.y[12:60, 30:82])
        assert np.array_equal(part.u, frame.u[6:30, 15:41])
        assert np.array_equal(part.v, frame.v[6:30, 15:41])


HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params")
INTERLACED = (*X264, "-flags", "+ildct+ilme", "-x264-params", "tff=1", "-g", 12)
UNEVEN = "setpts='(N+mod(N*N,7)*.12+gt(N,20)*9)/25/TB'"

SEEKABLE: Final[dict[str, dict[str, Any]]] = {
    "cfr.mp4": {"options": (*X264, "-g", 12)},
    "film-bframes.mp4": {"options": BFRAMES, "rate": "24000/1001"},
    "ntsc-bframes.mkv": {"options": BFRAMES, "rate": "30000/1001"},
    "open-gop.mp4": {"options": (*BFRAMES, "-x264-params", "open-gop=1:bframes=4:b-pyramid=normal")},
    "hevc-open-gop.mp4": {"options": (*HEVC, "log-level=error:keyint=20:open-gop=1:bframes=4")},
    "one-key-frame.mp4": {"options": (*X264, "-g", 9999)},
    "plain.avi": {"options": ("-c:v", "mpeg4", "-g", 15)},
    "bframes.avi": {"options": ("-c:v", "mpeg4", "-bf", 2, "-g", 15)},
    "vfr.mkv": {"options": (*BFRAMES, "-fps_mode", "passthrough"), "filters": UNEVEN},
    "mpeg1.mpg": {"options": ("-c:v", "mpeg1video", "-b:v", "2M", "-bf", 2, "-g", 12)},
    "vp9.webm": {"options": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8, "-g", 20)},
    "vfr.mp4": {"options": (*BFRAMES, "-fps_mode", "vfr"), "filters": UNEVEN},
    "interlaced.mp4": {"options": INTERLACED, "filters": "tinterlace=interleave_top,fieldorder=tff", "rate": "50"},
    "late-start.mkv": {"options": (*BFRAMES, "-output_ts_offset", 7.013)},
}


@pytest.mark.family(4)
@pytest.mark.parametrize("name", SEEKABLE)
def test_a_frame_is_the_same_whether_reached_in_order_or_by_seeking(clip: MakeFile, name: str) -> None:
    recipe = dict(SEEKABLE[name])
    source = reader(clip(name, *recipe.pop("options"), seconds=3, **recipe))
    whole = stacked(source.frames())
    count = source.frame_count()
    assert count == len(whole) >= 70
    for start in (1, 12, 47, count - 2):
        part = list(source.frames(start, start + 2))
        assert [frame.index for frame in part] == [start, start + 1]
        assert np.array_equal(stacked(part), whole[start : start + 2]), start
    assert len(list(source.frames(count - 3))) == 3
    assert list(source.frames(count + 50)) == []
    assert source.frame_count() == count


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_variable_frame_rate_is_read_by_its_time_stamps(clip: MakeFile, extension: str) -> None:
    times = [0, 1, 2, 4, 5, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21]
    expression = "+".join(f"eq(N,{n})*{time}" for n, time in enumerate(times))
    filters = f"{NUMBERED},setpts='({expression})/30/TB'"
    path = clip(f"stamped.{extension}", *LOSSLESS, "-fps_mode", "passthrough", rate="30", seconds=0.5, filters=filters)
    source = reader(path)
    assert source.video.frame_rate == 30
    assert source.video.is_variable == (extension == "mp4")  # Matroska's writer stores the nominal rate as the average
    expected = [max(n for n, time in enumerate(times) if time <= tick) for tick in range(22)]
    assert numbers(source.frames()) == expected


def test_audio_that_starts_before_the_video_does_not_shift_the_video(clip: MakeFile, tone: MakeFile) -> None:
    video = clip("numbered.mp4", *LOSSLESS, filters=NUMBERED)
    late = tone("late.mkv", "-itsoffset", 0.5, "-i", video, "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-c:a", "aac")
    assert numbers(reader(late).frames(0, 4)) == [0, 1, 2, 3]
    assert numbers(reader(late).frames(30, 33)) == [30, 31, 32]


@pytest.mark.parametrize("angle", [90, 180])
def test_rotated_video_comes_upright(clip: MakeFile, turned: Turn, decoded: Decode, angle: int) -> None:
    flat = clip("plain.mp4")
    first = next(reader(turned(flat, angle)).frames())
    upright = decoded(flat, "-vf", {90: "transpose=clock", 180: "hflip,vflip"}[angle], "-frames:v", 1)
    assert np.array_equal(first.i420(), upright)


ONE: Final = 65536
MATRICES: Final = {
    "upright": (ONE, 0, 0, 0, ONE, 0),
    "upside down": (-ONE, 0, 0, 0, -ONE, 0),
    "right": (0, ONE, 0, -ONE, 0, 0),
    "left": (0, -ONE, 0, ONE, 0, 0),
    "mirrored": (-ONE, 0, 0, 0, ONE, 0),
    "flipped": (ONE, 0, 0, 0, -ONE, 0),
    "right, mirrored": (0, ONE, 0, ONE, 0, 0),
    "left, mirrored": (0, -ONE, 0, -ONE, 0, 0),
}
"""Display matrices (a b u c d v, ISO 14496-12, 8.3.2): a selfie camera mirrors."""


@pytest.mark.family(2)
@pytest.mark.parametrize("name", MATRICES)
def test_every_display_matrix_is_applied_as_ffmpeg_applies_it(clip: MakeFile, decoded: Decode, tmp_path: Path, name: str) -> None:
    data = bytearray(clip("plain.mp4").read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    data[place : place + 24] = b"".join(value.to_bytes(4, "big", signed=True) for value in MATRICES[name])
    path = tmp_path / "matrix.mp4"
    path.write_bytes(data)
    ours = stacked(reader(path).frames(0, 3))
    assert np.array_equal(ours.reshape(-1), decoded(path, "-frames:v", 3))


@pytest.mark.family(2)
@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv444p"])
def test_an_odd_size_repeats_its_last_column_and_row(clip: MakeFile, decoded: Decode, pixels: str) -> None:
    path = clip(f"odd-{pixels}.mkv", "-c:v", "ffv1", "-pix_fmt", pixels, filters="scale=161:121", seconds=0.2)
    first, source = next(reader(path).frames()), decoded(path, "-frames:v", 1)
    luma = source[: 161 * 121].reshape(121, 161)
    assert first.y.shape == (122, 162)
    assert np.array_equal(first.y[:121, :161], luma)
    assert np.array_equal(first.y[:121, 161], luma[:, 160])
    assert np.array_equal(first.y[121], first.y[120])
    if pixels != "yuv444p":
        blue = source[161 * 121 :][: 81 * 61].reshape(61, 81).astype(int)
        assert np.abs(first.u - blue).max() == 0


def flat_colour(path: Path) -> list[int]:
    blue, green, red = next(reader(path).frames()).bgr()[60, 80]
    return [int(blue), int(green), int(red)]


@pytest.mark.family(3)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ten-bit.mp4", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-pix_fmt", "yuv420p10le")),
        ("ten-bit-h264.mp4", ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv422p10le")),
        ("four-four-four.mkv", ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p")),
        ("full-range.mp4", (*X264[:-2], "-pix_fmt", "yuvj420p")),
        ("full-range-422.avi", ("-c:v", "mjpeg", "-q:v", 2, "-pix_fmt", "yuvj422p")),
        ("rgb.mkv", ("-c:v", "libx264rgb", "-preset", "ultrafast")),
        ("rgb.avi", ("-c:v", "png")),
        ("colour.png", ("-frames:v", 1)),
        ("colour.jpg", ("-frames:v", 1, "-q:v", 2)),
        ("colour-alpha.png", ("-frames:v", 1, "-pix_fmt", "rgba")),
    ],
)
def test_colour_survives_every_pixel_format(clip: MakeFile, name: str, options: tuple[object, ...]) -> None:
    """An orange in RGB, coded by ffmpeg with the usual matrix of each format, is orange again."""
    yuv = not any(word in name for word in ("rgb", "png", "jpg"))
    matrix = ",scale=out_color_matrix=bt601:out_range=" + ("full" if "full" in name else "limited") if yuv else ""
    path = clip(name, *options, filters=f"format=rgb24,geq=r=220:g=130:b=40{matrix}", seconds=0.2)
    assert flat_colour(path) == pytest.approx([40, 130, 220], abs=4)


@pytest.mark.parametrize(("pixels", "top"), [("yuvj420p", 255), ("yuv420p10le", 1023), ("yuvj444p", 255)])
def test_full_range_stays_full_range(clip: MakeFile, pixels: str, top: int) -> None:
    ramp = f"format={pixels},geq=lum='min(X*{(top + 1) // 128},{top})':cb={(top + 1) // 2}:cr={(top + 1) // 2}"
    path = clip(f"ramp-{pixels}.mkv", "-c:v", "ffv1", "-pix_fmt", pixels, "-color_range", "pc", filters=ramp, seconds=0.2)
    frame = next(reader(path).frames())
    assert frame.space.full_range
    assert (int(frame.y.min()), int(frame.y.max())) == (0, 255)


def test_transparent_pixels_become_black(clip: MakeFile) -> None:
    path = clip("ghost.png", "-frames:v", 1, filters="format=rgba,geq=r=220:g=130:b=40:a='255*gt(X,79)'")
    video = next(reader(path).frames()).bgr()
    assert video[60, 40].max() <= 2
    assert video[60, 120].tolist() == pytest.approx([40, 130, 220], abs=4)


def test_diffuse_white_of_an_hdr_video_stays_bright_and_colours_stay_apart(clip: MakeFile) -> None:
    """58 % PQ is 203 cd/m2, diffuse white (ITU-R BT.2408): 16 + 0.58 * 219 = 143 in 8 bit, 572 in 10 bit."""
    pq = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:lossless=1", "-pix_fmt", "yuv420p10le")
    tags = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    filters = "format=yuv420p10le,geq=lum='if(lt(X,80),572,64)':cb=512:cr=512"
    source = reader(clip("white.mp4", *pq, *tags, filters=filters, rate="10", seconds=0.3))
    frame = next(source.frames())
    assert frame.space.matrix == "bt709"
    white, black = frame.bgr()[60, 30], frame.bgr()[60, 130]
    assert 150 <= white.min() <= white.max() <= 245
    assert black.max() <= 8
    assert int(white.max()) - int(white.min()) <= 4


def test_interlaced_lines_are_put_together(clip: MakeFile) -> None:
    """A bright bar that jumps between fields leaves combs; after deinterlacing neighbouring lines agree."""
    motion = "format=yuv420p,geq=lum='if(lt(mod(X+8*N,160),40),235,16)':cb=128:cr=128,tinterlace=interleave_top,fieldorder=tff"
    options = (*X264, "-flags", "+ildct+ilme", "-x264-params", "tff=1")
    source = reader(clip("combs.mp4", *options, rate="50", filters=motion))
    frame = list(source.frames(0, 12))[-1]
    combs = np.abs(frame.y[20:-20].astype(int)[:-1] - frame.y[20:-20].astype(int)[1:]).mean()
    assert combs < 4
    assert source.frame_count() == 50


# -- stills -------------------------------------------------------------------------------------------------------------


def test_a_still_is_a_video_of_one_frame_that_repeats(clip: MakeFile) -> None:
    source = reader(clip("still.png", "-frames:v", 1))
    assert source.video.frame_rate == Fraction(25)
    assert source.frame_count() == 1
    frames = list(source.play(5))
    assert [frame.index for frame in frames] == [0] * 5
    assert all(frame is frames[0] for frame in frames)


def test_a_large_still_is_scaled_down_and_an_odd_one_made_even(clip: MakeFile) -> None:
    assert next(reader(clip("large.jpg", "-frames:v", 1, size="3000x2000")).frames()).y.shape == (1280, 1920)
    odd = next(reader(clip("odd.png", "-frames:v", 1, filters="scale=161:121")).frames())
    assert odd.y.shape == (122, 162)


def exif(orientation: int) -> bytes:
    """An APP1 segment with nothing but the orientation (EXIF 2.3, tag 0x0112)."""
    tiff = b"MM\0*\0\0\0\x08\0\x01" + b"\x01\x12\0\x03\0\0\0\x01" + orientation.to_bytes(2, "big") + b"\0\0" + b"\0\0\0\0"
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def test_a_photo_taken_upright_comes_upright(clip: MakeFile, tmp_path: Path) -> None:
    flat, path = clip("photo.jpg", "-frames:v", 1, "-q:v", 2), tmp_path / "photo.jpg"
    data = flat.read_bytes()
    path.write_bytes(data[:2] + exif(6) + data[2:])
    lying, upright = next(reader(flat).frames()), next(reader(path).frames())
    assert upright.y.shape == (160, 120)
    assert np.abs(np.rot90(lying.y, -1).astype(int) - upright.y).mean() < 2


# -- playing ------------------------------------------------------------------------------------------------------------


@pytest.mark.family(8)
@pytest.mark.parametrize("name", ["film-bframes.mp4", "bframes.avi", "mpeg1.mpg", "one-key-frame.mp4", "vfr.mkv"])
@pytest.mark.parametrize(("chunk", "is_counted"), [(25, False), (31, True), (1000, True)])
def test_playing_backwards_by_chunks_gives_the_same_frames(clip: MakeFile, name: str, chunk: int, is_counted: bool) -> None:
    recipe = dict(SEEKABLE[name])
    path = clip(name, *recipe.pop("options"), seconds=3, **recipe)
    whole = stacked(reader(path).frames())
    count = len(whole) * 2 + 20
    source = reader(path, chunk_bytes=chunk * whole.shape[1])
    played = list(source.play(count, len(whole) if is_counted else None))
    assert [frame.index for frame in played] == [ping_pong(i, len(whole)) for i in range(count)]
    assert all(np.array_equal(frame.i420(), whole[frame.index]) for frame in played)


@pytest.mark.family(5)
@pytest.mark.parametrize("count", [26, 40, 50, 120])
@pytest.mark.parametrize("disk", ["roomy", "full", "full soon"])
def test_playing_gives_the_same_frames_wherever_they_are_kept(
    clip: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, disk: str
) -> None:
    path = clip("one-second.mp4", seconds=1)
    whole = stacked(reader(path).frames())
    monkeypatch.setattr(kept_frames, "_LEFT_FREE", 0 if disk != "full" else 2**60)
    if disk == "full soon":
        monkeypatch.setattr(kept_frames, "_write", no_space)
    source = reader(path, chunk_bytes=10 * whole.shape[1], directory=tmp_path)
    played = list(source.play(count, len(whole)))
    assert [frame.index for frame in played] == [ping_pong(i, len(whole)) for i in range(count)]
    assert all(np.array_equal(frame.i420(), whole[frame.index]) for frame in played)


def no_space(*_arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_long_video_is_played_backwards_from_the_disk(clip: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk may hold is less than the video: backwards it goes part by part."""
    path = clip("cfr.mp4", *X264, "-g", 12, seconds=3)
    whole = stacked(reader(path).frames())
    for module in (kept_frames, reader_module):
        monkeypatch.setattr(module, "DISK_BYTES", 30 * whole.shape[1])
    monkeypatch.setattr(kept_frames, "_LEFT_FREE", 0)
    source = reader(path, chunk_bytes=5 * whole.shape[1], directory=tmp_path)
    played = list(source.play(170, len(whole)))
    assert [frame.index for frame in played] == [ping_pong(i, len(whole)) for i in range(170)]
    assert all(np.array_equal(frame.i420(), whole[frame.index]) for frame in played)


def test_a_chunk_may_be_a_single_frame(clip: MakeFile) -> None:
    path = clip("eight.mp4", seconds=0.32)
    assert [frame.index for frame in reader(path, chunk_bytes=1).play(17)] == [*range(8), *range(6, 0, -1), 0, 1, 2]


def test_a_short_play_reads_only_what_it_shows(clip: MakeFile) -> None:
    assert [frame.index for frame in reader(clip("plain.mp4")).play(7)] == list(range(7))


def test_two_frames_alternate(clip: MakeFile) -> None:
    path = clip("two.mp4", seconds=0.08)
    assert [frame.index for frame in reader(path).play(6)] == [0, 1, 0, 1, 0, 1]
    assert [frame.index for frame in reader(path, chunk_bytes=1).play(5)] == [0, 1, 0, 1, 0]


def test_a_file_whose_seeks_mislead_is_decoded_from_its_start(clip: MakeFile, tmp_path: Path) -> None:
    """The index lists key frames that are none (ISO 14496-12, 8.6.2): what is decoded after a seek is a smear."""
    data = bytearray(clip("cfr.mp4", *X264, "-g", 12, seconds=3).read_bytes())
    table = data.index(b"stss") + 8
    for place in range(table + 8, table + 4 + 4 * int.from_bytes(data[table : table + 4], "big"), 4):
        data[place : place + 4] = (int.from_bytes(data[place : place + 4], "big") + 1).to_bytes(4, "big")
    path = tmp_path / "false-index.mp4"
    path.write_bytes(data)
    whole = stacked(reader(path).frames())
    sought = list(reader(path).frames(42, 47))
    assert not np.array_equal(stacked(sought), whole[42:47]), "this file does not show the fault that the test needs"
    played = list(reader(path, chunk_bytes=25 * whole.shape[1]).play(140))
    assert [frame.index for frame in played] == [ping_pong(i, 75) for i in range(140)]
    assert all(np.array_equal(frame.i420(), whole[frame.index]) for frame in played)


def peak_of_play(path: Path, count: int, chunk_bytes: int) -> int:
    """Bytes at most; the least of three plays, because what the reading thread happens to be ahead only adds to it."""
    return min(peak_of_one_play(path, count, chunk_bytes) for _ in range(3))


def peak_of_one_play(path: Path, count: int, chunk_bytes: int) -> int:
    source = reader(path, chunk_bytes=chunk_bytes)
    tracemalloc.start()
    for _ in source.play(count):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_of_playing_backwards_does_not_grow_with_the_video(clip: MakeFile) -> None:
    size, chunk = 160 * 120 * 3 // 2, 40 * 160 * 120 * 3 // 2
    short, long = clip("cfr.mp4", *X264, "-g", 12, seconds=3), clip("long.mp4", *X264, "-g", 50, seconds=14)
    small, large = peak_of_play(short, 170, chunk), peak_of_play(long, 710, chunk)
    assert large < chunk + 6 * size + 300_000
    assert large < small + 6 * size, "275 frames more, of which no more may be held"


# -- damage -------------------------------------------------------------------------------------------------------------


def test_a_damaged_middle_is_read_as_far_as_possible(clip: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    data = bytearray(clip("cfr.mp4", *X264, "-g", 12, seconds=3).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    frames = list(reader(path).frames())
    assert 60 <= len(frames) <= 76


def test_a_video_that_cannot_be_decoded_is_refused(clip: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    data = bytearray(clip("plain.mp4").read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = np.random.default_rng(1).integers(0, 256, end - start, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        list(reader(path).frames())
    assert caught.value.code == "video_undecodable"


def test_a_file_that_lost_its_end_since_it_was_counted_is_no_short_video(clip: MakeFile) -> None:
    with pytest.raises(TransientError) as caught:
        list(reader(clip("plain.mp4"), frame_count=90).play(90))
    assert caught.value.code == "io_error"


def test_a_file_that_vanished_is_a_transient_error(clip: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "gone.mp4"
    path.write_bytes(clip("plain.mp4").read_bytes())
    source = reader(path)
    path.unlink()
    with pytest.raises(TransientError) as caught:
        list(source.frames())
    assert caught.value.code == "io_error"


def test_leaving_early_ends_the_decoder(clip: MakeFile) -> None:
    frames = reader(clip("long.mp4", *X264, "-g", 50, seconds=14)).frames()
    child_of = Path("/proc/thread-self/children")
    before = child_of.read_text().split()
    next(frames)
    assert len(child_of.read_text().split()) == len(before) + 1
    frames.close()
    assert child_of.read_text().split() == before


# -- real clips ---------------------------------------------------------------------------------------------------------


@pytest.mark.family(2)
@pytest.mark.parametrize("codec", ["hevc", "h264"])
def test_real_clips_are_read_as_ffmpeg_decodes_them(shared_media: Path, decoded: Decode, codec: str) -> None:
    paths = sorted(shared_media.glob(f"*_{codec}.mp4"))
    assert paths
    for path in paths:
        source = reader(path)
        ours = stacked(source.frames(0, 12))
        assert np.array_equal(ours.reshape(-1), decoded(path, "-frames:v", 12)), path.name
        assert np.array_equal(stacked(source.frames(9, 12)), ours[9:])
