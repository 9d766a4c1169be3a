"""Command lines, word for word."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from heygem_daemon.media import commands
from heygem_daemon.media.label import LABEL, SOURCE_TYPE
from heygem_daemon.media.types import BT709, AudioStream, Colour, MediaInfo, VideoStream

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
QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error")


def info(video: VideoStream, name: str = "-a b.MP4", start: Fraction = Fraction(0)) -> MediaInfo:
    return MediaInfo(path=Path(name), demuxer="mov", size=1, streams=1, video=video, audio=None, start=start)


def graph(command: commands.Command) -> str:
    return command[command.index("-filter_complex") + 1]


def test_describing_a_file_names_demuxer_and_protocols() -> None:
    assert commands.describe(Path("/in/-x.mov"), "mov") == (
        *("ffprobe", "-hide_banner", "-loglevel", "error", "-f", "mov", "-protocol_whitelist", "file,pipe"),
        *("-show_format", "-show_streams", "-of", "json", "-i", "file:/in/-x.mov"),
    )


def test_the_last_packets_are_read_from_a_time_on() -> None:
    assert commands.last_packets(Path("a.mkv"), "matroska", since=12.5)[7:] == (
        *("file,pipe", "-read_intervals", "12.500%", "-show_entries", "packet=stream_index,pts_time,dts_time,duration_time"),
        *("-of", "json", "-i", "file:a.mkv"),
    )


def test_frames_in_order_are_decoded_from_the_first() -> None:
    assert commands.decode_frames(info(CLIP)) == (
        *("ffmpeg", "-f", "mov", "-copyts", "-protocol_whitelist", "file,pipe", "-i", "file:-a b.MP4", "-filter_complex"),
        "[0:0]setpts=PTS-3000[s0];[s0]fps=30000/1001:start_time=0[s1];[s1]scale=1920:1080[s2]",
        *("-map", "[s2]", "-f", "rawvideo", "-fps_mode", "passthrough", "pipe:1", *QUIET),
    )


def test_frames_from_the_middle_are_decoded_from_a_little_before() -> None:
    command = commands.decode_frames(info(CLIP), start=33, stop=40)
    assert command == (
        *("ffmpeg", "-f", "mov", "-copyts", "-noaccurate_seek", "-protocol_whitelist", "file,pipe", "-ss", "1.101000"),
        *("-i", "file:-a b.MP4", "-filter_complex"),
        "[0:0]setpts=PTS-3000[s0];[s0]fps=30000/1001[s1];[s1]trim=start_pts=33[s2];[s2]scale=1920:1080[s3]",
        *("-map", "[s3]", "-f", "rawvideo", "-fps_mode", "passthrough", "-frames:v", "7", "pipe:1", *QUIET),
    )
    assert "-ss" not in commands.decode_frames(info(CLIP), start=33, seek=False)
    assert "-ss" not in commands.decode_frames(info(replace(CLIP, is_seekable=False)), start=33)


def test_each_kind_of_video_gets_its_filters() -> None:
    ten_bit = graph(commands.decode_frames(info(replace(CLIP, pixel_format="yuv422p10le"))))
    assert "scale=flags=bicubic+accurate_rnd+full_chroma_int:in_range=limited:out_range=limited[s2];[s2]format=yuv420p" in ten_bit
    interlaced = graph(commands.decode_frames(info(replace(CLIP, is_interlaced=True))))
    assert "setpts=PTS-3000[s0];[s0]bwdif=deint=interlaced:mode=send_frame[s1];[s1]fps" in interlaced
    pq = Colour(primaries="bt2020", transfer="smpte2084", matrix="bt2020nc")
    hdr = graph(commands.decode_frames(info(replace(CLIP, pixel_format="yuv420p10le", source_colour=pq, colour=BT709))))
    assert "transferin=smpte2084" in hdr
    assert "tonemap=hable" in hdr
    still = graph(commands.decode_frames(info(replace(CLIP, pixel_format="rgba", is_still=True, colour=BT709), name="a.png")))
    assert "fps" not in still
    assert "premultiply" in still
    assert "out_color_matrix=bt709" in still


def test_speech_is_decoded_to_one_channel() -> None:
    assert commands.decode_speech(RECORDING, rate=16000) == (
        *("ffmpeg", "-f", "wav", "-protocol_whitelist", "file,pipe", "-i", "file:a.wav", "-map", "0:0"),
        *("-f", "s16le", "-ac", "1", "-acodec", "pcm_s16le", "-ar", "16000", "pipe:1", *QUIET),
    )


def test_the_result_is_encoded_once_and_labelled() -> None:
    command = commands.encode(
        Path("out.mp4"),
        like=replace(CLIP, colour=BT709, sample_aspect=Fraction(4, 3)),
        recording=RECORDING,
        audio=AUDIO,
        frames=300,
        pad_audio=True,
        quality=16,
        preset="veryfast",
    )
    assert command == (
        *("ffmpeg", "-f", "rawvideo", "-framerate", "30000/1001", "-pix_fmt", "yuv420p", "-s", "1920x1080", "-i", "pipe:0"),
        *("-f", "wav", "-protocol_whitelist", "file,pipe", "-i", "file:a.wav", "-filter_complex"),
        "[0:v:0]setsar=4/3[s0];[1:0]aresample=44100[s1];[s1]asetpts=N/SR/TB[s2];[s2]apad=whole_len=441441[s3]",
        *("-map", "[s0]", "-map", "[s3]", "-f", "mp4", "-acodec", "aac", "-b:a", "192000"),
        *("-color_primaries", "bt709", "-color_range", "tv", "-color_trc", "bt709", "-colorspace", "bt709"),
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
