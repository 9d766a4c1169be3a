"""Transparent videos: nothing of what their transparent pixels hide is shown."""

from dataclasses import replace
from typing import Final

import pytest

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media.filters import rgb_of
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.types import MediaInfo
from tests.media.conftest import MakeFile

ORANGE: Final = (220, 130, 40)
CODECS: Final[dict[str, tuple[object, ...]]] = {
    "prores.mov": ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-cpu-used", 8, "-deadline", "realtime"),
    "vp8.webm": ("-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", 0, "-deadline", "realtime", "-b:v", "1M"),
    "vp9.mkv": ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-cpu-used", 8, "-deadline", "realtime"),
    "animation.mov": ("-c:v", "qtrle", "-pix_fmt", "argb"),
    "png.mov": ("-c:v", "png", "-pix_fmt", "rgba"),
    "png16.mov": ("-c:v", "png", "-pix_fmt", "rgba64be"),
    "ffv1.mkv": ("-c:v", "ffv1", "-pix_fmt", "yuva420p"),
    "ffv1-deep.mkv": ("-c:v", "ffv1", "-pix_fmt", "yuva422p10le"),
    "utvideo.avi": ("-c:v", "utvideo", "-pix_fmt", "gbrap"),
    "grey.mov": ("-c:v", "png", "-pix_fmt", "ya8"),
}


def ghost(clip: MakeFile, name: str, alpha: str, label: str) -> MediaInfo:
    """A flat orange under the given alpha (an expression in X and N)."""
    options = CODECS[name]
    pixels = str(options[options.index("-pix_fmt") + 1])
    is_yuv = pixels.startswith("yuva")
    matrix = ",scale=out_color_matrix=bt601:out_range=limited:flags=accurate_rnd" if is_yuv else ""
    filters = f"format=gbrap,geq=r={ORANGE[0]}:g={ORANGE[1]}:b={ORANGE[2]}:a='{alpha}',format=gbrap{matrix},format={pixels}"
    return check_video(clip(f"{label}-{name}", *options, rate="10", seconds=0.5, filters=filters))


def shown(info: MediaInfo, background: str | None = None) -> list[list[int]]:
    """Red, green and blue at x = 20, 80 and 140 of the third frame."""
    assert info.video is not None
    if background is not None:
        info = replace(info, video=replace(info.video, background=background))
    image = list(VideoReader(info).frames(0, 3))[2].bgr()
    return [image[60, x, ::-1].astype(int).tolist() for x in (20, 80, 140)]


@pytest.mark.family(8)
@pytest.mark.parametrize("name", CODECS)
def test_transparent_pixels_become_the_background(clip: MakeFile, name: str) -> None:
    info = ghost(clip, name, "if(lt(X,54),0,if(lt(X,107),128,255))", "ghost")
    assert WarningCode.TRANSPARENCY_LOST in info.warnings
    orange = [round(0.299 * ORANGE[0] + 0.587 * ORANGE[1] + 0.114 * ORANGE[2])] * 3 if name.startswith("grey") else list(ORANGE)
    for background in (None, "#000000", "#00b140", "#ffffff", "#336699"):
        under = rgb_of(background or "#000000")
        hidden, half, opaque = shown(info, background)
        assert hidden == pytest.approx(list(under), abs=6), background
        assert half == pytest.approx([(a + b) / 2 for a, b in zip(orange, under, strict=True)], abs=8), background
        assert opaque == pytest.approx(orange, abs=6), background


@pytest.mark.family(11)
@pytest.mark.parametrize("name", CODECS)
def test_an_opaque_video_that_could_be_transparent_gets_no_warning(clip: MakeFile, name: str) -> None:
    info = ghost(clip, name, "255", "opaque")
    assert WarningCode.TRANSPARENCY_LOST not in info.warnings
    assert shown(info)[0] == shown(info)[2]
    if not name.startswith("grey"):
        assert shown(info)[1] == pytest.approx(list(ORANGE), abs=6)


def test_what_becomes_transparent_later_is_noticed(clip: MakeFile) -> None:
    info = ghost(clip, "animation.mov", "if(gt(N,3),0,255)", "late")
    assert WarningCode.TRANSPARENCY_LOST in info.warnings


def test_frames_of_a_transparent_video_are_the_same_after_a_seek(clip: MakeFile) -> None:
    info = ghost(clip, "vp9.webm", "if(lt(X,54+20*N),0,255)", "moving")
    whole = [frame.y.tobytes() for frame in VideoReader(info).frames()]
    assert [frame.y.tobytes() for frame in VideoReader(info).frames(3, 5)] == whole[3:5]


def test_what_is_computed_from_the_frames_depends_on_the_background(clip: MakeFile) -> None:
    info, opaque = ghost(clip, "png.mov", "if(lt(X,54),0,255)", "half"), check_video(clip("plain.mp4"))
    assert info.video is not None
    assert opaque.video is not None
    assert replace(info.video, background="#ffffff").reading != info.video.reading
    assert replace(opaque.video, background="#ffffff").reading == opaque.video.reading


@pytest.mark.parametrize("text", ["", "#fff", "black", "#12345g", "#1234567", "0x123456"])
def test_a_background_is_written_in_one_way(text: str) -> None:
    with pytest.raises(ValueError, match="rrggbb"):
        rgb_of(text)
