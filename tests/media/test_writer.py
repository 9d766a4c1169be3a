"""Write results: the given frames and the given audio, nothing cut, everything tagged."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from heygem_daemon.core.errors import EngineError, TransientError
from heygem_daemon.media.frame import Frame, YuvSpace
from heygem_daemon.media.label import SOURCE_TYPE
from heygem_daemon.media.probe import check_recording, check_video, probe
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.speech import frame_count, measure_speech, speech_blocks
from heygem_daemon.media.types import BT709, Colour, VideoStream
from heygem_daemon.media.verify import verify_result
from heygem_daemon.media.writer import FONTS, VideoWriter
from tests.media.conftest import MakeFile

Json = dict[str, Any]


def like(rate: str = "25", width: int = 160, height: int = 120, **fields: Any) -> VideoStream:
    return VideoStream(
        width=width, height=height, frame_rate=Fraction(rate), frames=1, seconds=1, codec="h264", pixel_format="yuv420p", **fields
    )


def some_frames(count: int, width: int = 160, height: int = 120, full_range: bool = False) -> list[Frame]:
    space, low, high = YuvSpace(matrix="bt709", full_range=full_range), 0 if full_range else 16, 255 if full_range else 235
    ramp = np.linspace(low, high, width * height * 3 // 2)
    return [Frame.from_i420(np.roll(ramp, 97 * i).astype(np.uint8), width=width, height=height, index=i, space=space) for i in range(count)]


def write(path: Path, recording: Path, frames: Iterable[Frame], shape: VideoStream, *, declared: int | None = None, **options: Any) -> Path:
    count = len(frames) if declared is None and isinstance(frames, list) else declared or 1
    with VideoWriter(
        path, like=shape, recording=check_recording(recording), frames=count, **{"fit": "audio", "quality": 16, **options}
    ) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def probed(path: Path) -> Json:
    command = ("ffprobe", "-v", "error", "-export_xmp", "1", "-show_streams", "-show_format", "-of", "json", "-i", f"file:{path}")
    report: Json = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    return report


def stream(path: Path, kind: str) -> Json:
    found: Json = next(s for s in probed(path)["streams"] if s["codec_type"] == kind)
    return found


@pytest.mark.family(6)
@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001", "60", "15", "10000/333"])
def test_frame_rate_count_and_start_are_exact(tone: MakeFile, tmp_path: Path, rate: str) -> None:
    recording = tone("plain.wav")
    count = frame_count(measure_speech(check_recording(recording)).seconds, Fraction(rate))
    path = write(tmp_path / "out.mp4", recording, some_frames(count), like(rate))
    video, audio = stream(path, "video"), stream(path, "audio")
    assert (Fraction(video["r_frame_rate"]), int(video["nb_frames"])) == (Fraction(rate), count)
    assert float(video["start_time"]) == float(audio["start_time"]) == 0
    verify_result(path, frames=count, frame_rate=Fraction(rate), seconds=2.0, size=(160, 120))


@pytest.mark.family(3)
@pytest.mark.parametrize("rate", [44100, 96000, 8000])
def test_the_audio_of_a_trial_ends_with_it(tone: MakeFile, tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "out.mp4", tone(f"plain{rate}.wav", rate=rate), some_frames(30), like(), audio_seconds=Fraction(6, 5))
    frame = 1024 / int(stream(path, "audio")["sample_rate"])
    assert 1.2 - 0.001 <= float(stream(path, "audio")["duration"]) <= 1.2 + frame
    verify_result(path, frames=30, frame_rate=Fraction(25), seconds=1.2, size=(160, 120))


@pytest.mark.parametrize("full_range", [False, True])
def test_what_is_written_is_what_was_given(tone: MakeFile, tmp_path: Path, full_range: bool) -> None:
    """At quality 0 x264 is lossless: every byte must come back, in order, whatever the tags."""
    colour = replace(BT709, full_range=full_range)
    frames = some_frames(10, full_range=full_range)
    path = write(tmp_path / "out.mp4", tone("plain.wav"), frames, like(colour=colour), quality=0)
    back = list(VideoReader(check_video(path)).frames())
    assert [np.array_equal(a.i420(), b.i420()) for a, b in zip(frames, back, strict=True)] == [True] * 10
    assert back[0].space.full_range == full_range


def test_the_default_quality_keeps_untouched_pixels_above_40_db(clip: MakeFile, tone: MakeFile, tmp_path: Path) -> None:
    source = check_video(clip("plain.mp4"))
    assert source.video is not None
    frames = list(VideoReader(source).frames())
    path = write(tmp_path / "out.mp4", tone("plain.wav"), frames, source.video)
    back = VideoReader(check_video(path)).frames()
    error = np.mean([np.square(a.y.astype(float) - b.y).mean() for a, b in zip(frames, back, strict=True)])
    assert 10 * np.log10(255**2 / error) > 40


@pytest.mark.parametrize(
    "colour",
    [
        BT709,
        Colour(primaries="smpte170m", transfer="smpte170m", matrix="smpte170m"),
        Colour(primaries="bt2020", transfer="bt2020-10", matrix="bt2020nc"),
        Colour(),
    ],
    ids=lambda colour: str(colour.matrix),
)
def test_colour_and_pixel_shape_are_tagged_as_in_the_source(tone: MakeFile, tmp_path: Path, colour: Colour) -> None:
    path = write(tmp_path / "out.mp4", tone("plain.wav"), some_frames(5), like(colour=colour, sample_aspect=Fraction(16, 15)))
    again = check_video(path).video
    assert again is not None
    assert (again.colour, again.sample_aspect) == (colour, Fraction(16, 15))


CLICKS = "aevalsrc=.8*lt(mod(t\\,.5)\\,.01)*sin(6000*t):s={rate}:d={seconds}"


@pytest.mark.family(9)
@pytest.mark.parametrize(
    ("name", "options", "rate"),
    [
        ("clicks.wav", (), 44100),
        ("clicks8k.wav", (), 8000),
        ("clicks192k.wav", (), 192000),
        ("clicks.mp3", ("-c:a", "libmp3lame"), 44100),
        ("clicks.m4a", ("-c:a", "aac"), 48000),
        ("clicks.aac", ("-c:a", "aac"), 22050),
        ("clicks.opus", ("-c:a", "libopus"), 48000),
        ("clicks.wma", (), 44100),
        ("clicks51.flac", ("-af", "pan=5.1|c0=c0|c1=c0|c2=c0|c3=0*c0|c4=c0|c5=c0"), 48000),
        ("clicks.mp4", ("-c:a", "aac", "-output_ts_offset", 0.4), 48000),
    ],
)
def test_audio_stays_in_its_place_from_beginning_to_end(
    tone: MakeFile, tmp_path: Path, name: str, options: tuple[object, ...], rate: int
) -> None:
    """The speech driver and the result have the same samples at the same times."""
    recording = tone(name, *options, seconds=5, rate=rate, source=CLICKS)
    decoded = np.concatenate(list(speech_blocks(probe(recording))))
    count = frame_count(Fraction(len(decoded), 16000), Fraction(25))
    path = write(tmp_path / "out.mp4", recording, some_frames(count), like())
    played = np.concatenate(list(speech_blocks(probe(path))))
    assert 0 <= len(played) - len(decoded) <= 16000 * 2048 / min(rate, 96000)  # whole AAC frames
    for start in (0, len(decoded) - 24000):  # the first and the last one and a half seconds
        assert lag(played[start : start + 24000], decoded[start : start + 24000]) == 0


def lag(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> int:
    """Samples by which `a` comes later than `b`."""
    size = 2 * len(a)
    spectrum = np.fft.rfft(a, size) * np.fft.rfft(b, size).conj()
    place = int(np.fft.irfft(spectrum).argmax())
    return place - size if place > size // 2 else place


@pytest.mark.parametrize(("name", "rate", "channels"), [("plain.wav", 44100, 1), ("five.flac", 48000, 6), ("high.wav", 96000, 2)])
def test_audio_keeps_its_rate_and_its_channels_where_it_should(tone: MakeFile, tmp_path: Path, name: str, rate: int, channels: int) -> None:
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    recording = tone(name, rate=rate, source=f"anoisesrc=a=.1:r={{rate}}:d={{seconds}},aformat=channel_layouts={layout}")
    audio = stream(write(tmp_path / "out.mp4", recording, some_frames(50), like(), channels="keep"), "audio")
    assert (audio["codec_name"], int(audio["sample_rate"]), audio["channels"]) == ("aac", rate, channels)


def test_silence_follows_the_speech_when_the_video_keeps_its_length(tone: MakeFile, tmp_path: Path) -> None:
    recording = tone("plain.wav")
    path = write(tmp_path / "out.mp4", recording, some_frames(90), like(), fit="video")
    audio = np.concatenate(list(speech_blocks(probe(path))))
    assert len(audio) / 16000 == pytest.approx(90 / 25, abs=0.03)
    assert np.abs(audio[int(2.1 * 16000) :]).max() < 1e-3
    verify_result(path, frames=90, frame_rate=Fraction(25), seconds=2.0, size=(160, 120))


def test_speech_is_not_cut_where_the_video_is_shorter(tone: MakeFile, tmp_path: Path) -> None:
    for fit in ("audio", "video"):
        path = write(tmp_path / f"{fit}.mp4", tone("plain.wav"), some_frames(25), like(), fit=fit)
        assert sum(len(block) for block in speech_blocks(probe(path))) >= 32000


def test_the_result_is_tagged_as_generated(tone: MakeFile, tmp_path: Path) -> None:
    tags = probed(write(tmp_path / "out.mp4", tone("plain.wav"), some_frames(5), like()))["format"]["tags"]
    assert "AI-generated" in tags["comment"]
    assert SOURCE_TYPE in tags["description"]
    assert SOURCE_TYPE in tags["xmp"]
    assert "creation_time" not in tags


def test_the_index_comes_first_and_the_same_input_gives_the_same_file(tone: MakeFile, tmp_path: Path) -> None:
    data = [write(tmp_path / name, tone("plain.wav"), some_frames(25), like()).read_bytes() for name in ("a.mp4", "b.mp4")]
    assert data[0].index(b"moov") < data[0].index(b"mdat")
    assert data[0] == data[1]


def test_a_visible_label_touches_the_bottom_left_only(tone: MakeFile, tmp_path: Path) -> None:
    if not any(font.is_file() for font in FONTS):
        pytest.skip("no font on this machine")
    lumas = []
    for label in (None, "100% AI: it's \\ new"):
        shape = like(width=320, height=240)
        path = write(tmp_path / "out.mp4", tone("plain.wav"), some_frames(2, 320, 240), shape, quality=0, visible_label=label)
        lumas.append(next(VideoReader(check_video(path)).frames()).y)
    changed = np.argwhere(lumas[0] != lumas[1])
    assert len(changed) > 100
    assert changed[:, 0].min() > 210
    assert changed[:, 1].max() < 200


def test_without_a_font_the_label_is_left_out_with_a_warning(tone: MakeFile, tmp_path: Path) -> None:
    writer = VideoWriter(
        tmp_path / "o.mp4",
        like=like(),
        recording=check_recording(tone("plain.wav")),
        frames=1,
        fit="audio",
        quality=16,
        visible_label="AI",
        fonts=(),
    )
    with writer:
        writer.write(some_frames(1)[0])
    assert "no font" in writer.warnings[0]


@pytest.mark.family(2)
@pytest.mark.parametrize("name", ["-y.mp4", "教师 'a'\nb.mp4", "http:x.mp4"])
def test_odd_output_names_are_only_names(tone: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    recording = tmp_path / f"rec {name}.wav"
    shutil.copy(tone("plain.wav"), recording)
    monkeypatch.chdir(tmp_path)
    assert write(Path(name), recording, some_frames(3), like()).stat().st_size > 1000


# -- failures -----------------------------------------------------------------------------------------------------------


def test_too_few_frames_give_no_result(tone: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(EngineError, match="3 of 5") as caught:
        write(path, tone("plain.wav"), some_frames(3), like(), declared=5)
    assert caught.value.code == "encode_failed"
    assert not path.exists()


def test_an_error_while_rendering_leaves_no_file(tone: MakeFile, tmp_path: Path) -> None:
    def rendered() -> Iterator[Frame]:
        yield from some_frames(2)
        raise ZeroDivisionError

    path = tmp_path / "out.mp4"
    with pytest.raises(ZeroDivisionError):
        write(path, tone("plain.wav"), rendered(), like(), declared=5)
    assert not path.exists()


def test_a_frame_of_another_size_is_refused(tone: MakeFile, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="80x60"):
        write(tmp_path / "out.mp4", tone("plain.wav"), some_frames(1, 80, 60), like())


def test_a_full_disk_is_reported(tone: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.symlink_to("/dev/full")
    with pytest.raises(TransientError) as caught:
        write(path, tone("plain.wav"), some_frames(40, 640, 480), like(width=640, height=480), quality=0)
    assert caught.value.code == "disk_full"
    assert Path("/dev/full").exists()


def test_outputs_that_vanished_are_a_transient_error(tone: MakeFile, tmp_path: Path) -> None:
    with pytest.raises(TransientError) as caught:
        write(tmp_path / "gone" / "out.mp4", tone("plain.wav"), some_frames(40, 640, 480), like(width=640, height=480))
    assert caught.value.code == "outputs_offline"


def test_the_error_output_of_the_encoder_is_kept(tone: MakeFile, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="hurry-up") as caught:
        write(tmp_path / "out.mp4", tone("plain.wav"), some_frames(40, 640, 480), like(width=640, height=480), preset="hurry-up")
    assert caught.value.code == "encode_failed"
