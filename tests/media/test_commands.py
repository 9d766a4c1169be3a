"""Command lines, word for word."""

import os
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from heygem_daemon.core.render_options import Channels
from heygem_daemon.media import commands
from heygem_daemon.media.label import LABEL, SOURCE_TYPE
from heygem_daemon.media.types import BT709, AudioStream, Colour, MediaInfo, Source, VideoStream

CLIP = VideoStream(
    width=1920,
    height=1080,
    frame_rate=Fraction(30000, 1001),
    frames=300,
    seconds=10.01,
    codec="h264",
    pixel_format="yuv420p",
    coded_width=1920,
    coded_height=1080,
    start=Fraction(1, 10),
    time_base=Fraction(1, 30000),
)
AUDIO = AudioStream(codec="pcm_s16le", sample_rate=44100, channels=2, seconds=10.0)
RECORDING = MediaInfo(path=Path("a.wav"), demuxer="wav", size=1, streams=1, video=None, audio=AUDIO)
SHAPE = "[0:0]scale=1920:1080:flags=bicubic+accurate_rnd+full_chroma_int[s0];[s0]format=yuv420p[s1]"
QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error")


def info(video: VideoStream, name: str = "-a b.MP4", start: Fraction = Fraction(0)) -> MediaInfo:
    return MediaInfo(path=Path(name), demuxer="mov", size=1, streams=1, video=video, audio=None, start=start)


def graph(command: commands.Command) -> str:
    return command[command.index("-filter_complex") + 1]


def test_describing_a_file_names_demuxer_and_protocols() -> None:
    assert commands.describe(Source(path=Path("/in/-x.mov"), demuxer="mov"), 300) == (
        *("ffprobe", "-hide_banner", "-loglevel", "error", "-f", "mov", "-protocol_whitelist", "file,pipe"),
        *("-max_streams", "300", "-show_format", "-show_streams", "-of", "json", "-i", "file:/in/-x.mov"),
    )


def test_content_is_identified_without_a_name_among_listed_demuxers() -> None:
    assert commands.identify(("aac", "mp3")) == (
        *("ffprobe", "-hide_banner", "-loglevel", "error", "-protocol_whitelist", "pipe", "-format_whitelist", "aac,mp3"),
        *("-nofind_stream_info", "-show_entries", "format=format_name,probe_score", "-of", "json", "-i", "pipe:0"),
    )


def test_packets_are_listed_from_a_time_on() -> None:
    source = Source(path=Path("a.wav"), demuxer="wav", demuxer_options={"ignore_length": "1"})
    assert commands.list_packets(source, 1, since=12.5, count=9)[4:] == (
        *("-f", "wav", "-protocol_whitelist", "file,pipe", "-ignore_length", "1", "-read_intervals", "12.500%+#9"),
        *("-select_streams", "1", "-show_entries", "packet=pts_time,dts_time,duration_time,flags", "-of", "csv=p=0", "-i", "file:a.wav"),
    )
    assert "%+#9" in commands.list_packets(source, 1, since=0.0, count=9)


def test_places_of_a_file_are_sampled_on_its_own_clock() -> None:
    command = commands.sample_packets(Source(path=Path("a.mp4"), demuxer="mov"), start=5.0, seconds=8.0, places=2, length=1.0)
    assert command[command.index("-read_intervals") + 1] == "5.000%6.000,9.000%10.000"


def test_frames_in_order_are_decoded_from_the_first() -> None:
    assert commands.decode_frames(info(CLIP)) == (
        *(
            "ffmpeg",
            "-f",
            "mov",
            "-copyts",
            "-max_pixels",
            "45000000",
            "-noautorotate",
            "-protocol_whitelist",
            "file,pipe",
            "-reinit_filter",
            "0",
        ),
        *("-i", "file:-a b.MP4", "-filter_complex"),
        f"{SHAPE};[s1]setpts=PTS-3000[s2];[s2]bwdif=deint=interlaced:mode=send_frame[s3];[s3]fps=30000/1001:start_time=0[s4]",
        *("-map", "[s4]", "-f", "rawvideo", "-fps_mode", "passthrough", "pipe:1", *QUIET),
    )


def test_frames_from_the_middle_are_decoded_from_a_little_before() -> None:
    command = commands.decode_frames(info(CLIP), start=33, stop=40)
    assert command == (
        *(
            "ffmpeg",
            "-f",
            "mov",
            "-copyts",
            "-max_pixels",
            "45000000",
            "-noaccurate_seek",
            "-noautorotate",
            "-protocol_whitelist",
            "file,pipe",
        ),
        *("-reinit_filter", "0", "-ss", "1.101000", "-i", "file:-a b.MP4", "-filter_complex"),
        f"{SHAPE};[s1]setpts=PTS-3000[s2];[s2]bwdif=deint=interlaced:mode=send_frame[s3];[s3]fps=30000/1001[s4];[s4]trim=start_pts=33[s5]",
        *("-map", "[s5]", "-f", "rawvideo", "-fps_mode", "passthrough", "-frames:v", "7", "pipe:1", *QUIET),
    )
    assert "[s5]crop=52:48:30:12[s6]" in graph(commands.decode_frames(info(CLIP), start=33, box=(30, 12, 82, 60)))
    assert "-ss" not in commands.decode_frames(info(CLIP), start=33, seek=False)
    assert "-ss" not in commands.decode_frames(info(replace(CLIP, is_seekable=False)), start=33)


def test_each_kind_of_video_gets_its_filters() -> None:
    ten_bit = graph(commands.decode_frames(info(replace(CLIP, pixel_format="yuv422p10le"))))
    assert "scale=flags=bicubic+accurate_rnd+full_chroma_int:in_range=limited:out_range=limited[s5];[s5]format=yuv420p" in ten_bit
    screen = graph(commands.decode_frames(info(replace(CLIP, codec="vp9"))))
    assert "setpts=PTS-3000[s2];[s2]fps" in screen
    mirrored = graph(commands.decode_frames(info(replace(CLIP, rotation=90, is_mirrored=True))))
    assert "start_time=0[s4];[s4]transpose=dir=cclock_flip" in mirrored
    changing = graph(commands.decode_frames(info(replace(CLIP, changes_shape=True))))
    assert "pad=eval=frame:h=1080:w=1920" in changing
    transparent = commands.decode_frames(info(replace(CLIP, codec="vp9", pixel_format="yuva420p", background="#ff0000")))
    assert transparent[transparent.index("-c:0") + 1] == "libvpx-vp9"
    assert "colorchannelmixer=ba=0.000000:ga=0.000000:ra=1.000000" in graph(transparent)
    pq = Colour(primaries="bt2020", transfer="smpte2084", matrix="bt2020nc")
    hdr = graph(commands.decode_frames(info(replace(CLIP, pixel_format="yuv420p10le", source_colour=pq, colour=BT709))))
    assert "transferin=16" in hdr
    assert "tonemap=hable" in hdr


def test_a_still_is_decoded_by_a_module_that_is_not_looked_for_in_the_current_folder() -> None:
    assert commands.decode_still(Path("-a.png"), {"type": "PNG"}) == (
        *(sys.executable, "-P", "-m", "heygem_daemon.media.still_decoder"),
        *("-a.png", '{"type": "PNG"}'),
    )


def test_wide_colours_of_a_still_are_converted_and_only_hdr_is_tone_mapped() -> None:
    wide = graph(commands.convert_still((4, 2), Colour(primaries="smpte432", transfer="iec61966-2-1", matrix="gbr")))
    assert "primariesin=12" in wide
    assert "transfer=13" in wide
    assert "tonemap" not in wide
    hdr = graph(commands.convert_still((4, 2), Colour(primaries="bt2020", transfer="smpte2084", matrix="gbr")))
    assert "tonemap=hable" in hdr


def test_speech_is_decoded_to_one_channel() -> None:
    assert commands.decode_speech(RECORDING, rate=16000) == (
        *("ffmpeg", "-f", "wav", "-protocol_whitelist", "file,pipe", "-i", "file:a.wav", "-map", "0:0"),
        *("-f", "s16le", "-ac", "1", "-acodec", "pcm_s16le", "-ar", "16000", "pipe:1", *QUIET),
    )


def test_the_channels_of_stereo_are_decoded_with_the_mix_of_one_channel_after_them() -> None:
    command = commands.decode_channels(RECORDING, rate=16000)
    assert graph(command) == (
        "[0:0]asplit=2[s0][s1];[s0]aformat=channel_layouts=stereo:sample_fmts=s16:sample_rates=16000[s2];"
        "[s1]aformat=channel_layouts=mono:sample_fmts=s16:sample_rates=16000[s3];[s2][s3]amerge[s4]"
    )
    assert command[-13:-4] == ("-map", "[s4]", "-f", "s16le", "-acodec", "pcm_s16le", "-ar", "16000", "pipe:1")


def recording(channels: int, layout: str = "", downmix: tuple[float, ...] = ()) -> MediaInfo:
    return replace(RECORDING, audio=replace(AUDIO, channels=channels, layout=layout, downmix=downmix))


@pytest.mark.parametrize(
    ("given", "channels", "filters"),
    [
        (recording(1), "stereo", "[0:0]aformat=channel_layouts=mono[s0]"),
        (recording(2), "keep", "[0:0]aformat=channel_layouts=stereo[s0]"),
        (
            recording(2, "2 channels (BL+BR)"),
            "stereo",
            "[0:0]channelmap=channel_layout=stereo:map=0|1[s0];[s0]aformat=channel_layouts=stereo[s1]",
        ),
        (recording(6, "5.1"), "stereo", "[0:0]aformat=channel_layouts=stereo[s0]"),
        (recording(3), "keep", "[0:0]channelmap=channel_layout=3.0:map=0|1|2[s0];[s0]aformat=channel_layouts=3.0[s1]"),
        (recording(6, "5.1(side)"), "keep", "[0:0]aformat=channel_layouts=5.1[s0]"),
        (
            recording(3),
            "stereo",
            "[0:0]channelmap=map=0|1|2[s0];"
            r"[s0]pan=args=stereo|c0\\=0.333333*c0+0.333333*c1+0.333333*c2|c1\\=0.333333*c0+0.333333*c1+0.333333*c2[s1];"
            "[s1]aformat=channel_layouts=stereo[s2]",
        ),
    ],
)
def test_the_audio_of_the_result_has_its_channels_whatever_the_recording_changes_to(
    given: MediaInfo, channels: Channels, filters: str
) -> None:
    command = commands.decode_audio(given, channels)
    assert graph(command) == filters
    assert command[-13:-4] == ("-map", filters[-4:], "-f", "f32le", "-acodec", "pcm_f32le", "-ar", "44100", "pipe:1")


def test_the_result_is_encoded_once_and_labelled() -> None:
    command = commands.encode(
        Path("out.mp4"),
        like=replace(CLIP, colour=BT709, sample_aspect=Fraction(4, 3)),
        audio=AUDIO,
        audio_pipe=7,
        channels="stereo",
        frames=300,
        pad_audio=True,
        quality=16,
        preset="veryfast",
    )
    assert command == (
        *("ffmpeg", "-f", "rawvideo", "-framerate", "30000/1001", "-pix_fmt", "yuv420p", "-s", "1920x1080", "-i", "pipe:0"),
        *("-f", "f32le", "-ar", "44100", "-channel_layout", "stereo", "-i", "pipe:7", "-filter_complex"),
        "[0:v:0]setparams=color_primaries=1:color_trc=1:colorspace=1:range=tv[s0];[s0]setsar=4/3[s1];[1:a:0]apad=whole_len=441441[s2]",
        *("-map", "[s1]", "-map", "[s2]", "-f", "mp4", "-acodec", "aac", "-b:a", "192000"),
        *("-crf", "16", "-fflags", "+bitexact", "-map_chapters", "-1", "-map_metadata", "-1"),
        *("-metadata:g:0", f"comment={LABEL}", "-metadata:g:1", f"description={LABEL} Digital source type: {SOURCE_TYPE}"),
        *("-movflags", "+faststart", "-pix_fmt", "yuv420p", "-preset", "veryfast", "-vcodec", "libx264", "file:out.mp4", "-y"),
        *QUIET,
    )


@pytest.mark.parametrize(
    ("own", "carried"), [(8000, 8000), (16000, 16000), (44100, 44100), (37800, 44100), (96000, 96000), (192000, 96000)]
)
def test_aac_keeps_the_rate_it_can_carry(own: int, carried: int) -> None:
    assert commands.aac_rate(own) == carried


def test_surround_audio_gets_more_bits() -> None:
    assert [commands.aac_bits(channels) for channels in (1, 2, 6)] == [192_000, 192_000, 384_000]


def test_a_path_that_is_no_text_comes_through_unchanged() -> None:
    path = os.fsdecode(b"/in/caf\xe9 \xff/a.mov")
    command = commands.decode_frames(info(CLIP, path))
    assert f"file:{path}" in command
