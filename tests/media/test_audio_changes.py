"""Recordings whose sample rate or channels change within: files that were joined byte by byte, calls, broadcasts."""

import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heygem_daemon.core.errors import TransientError
from heygem_daemon.media.frame import Frame, YuvSpace
from heygem_daemon.media.probe import check_recording
from heygem_daemon.media.speech import decoded_speech, frame_count
from heygem_daemon.media.types import MediaInfo, VideoStream
from heygem_daemon.media.verify import verify_result
from heygem_daemon.media.writer import VideoWriter
from tests.media.audio_signals import find, likeness, mux, voice, write_audio
from tests.media.conftest import Decode

Samples = npt.NDArray[np.float32]
Join = Callable[..., Path]
Part = tuple[int, int]  # channels, Hz

PARTS = [voice(seed, 1.5) for seed in (1, 2, 3)]
RATE = Fraction(25)
ENCODER_DELAY = 0.13
"""s of silence that an encoder writes around a part at most: two frames of 1024 samples at 16 kHz."""
LOST_BY_RESAMPLER = 40
"""Samples at 16 kHz of a change of format that stay in the resampler of ffmpeg, at most: 2.5 ms."""


@pytest.fixture(scope="module")
def join(tmp_path_factory: pytest.TempPathFactory) -> Join:
    """Join encoded parts byte by byte: join("a.mp3", ((1, 44100), (2, 48000)), "-c:a", "libmp3lame")."""
    folder = tmp_path_factory.mktemp("joined")

    def make(name: str, parts: tuple[Part, ...], *options: object) -> Path:
        data = b""
        for number, (channels, rate) in enumerate(parts):
            path = folder / f"part{Path(name).suffix}"
            data += write_audio(path, *[PARTS[number]] * channels, options=(*options, "-ar", rate)).read_bytes()
        (folder / name).write_bytes(data)
        return folder / name

    return make


def write_result(path: Path, info: MediaInfo, seconds: Fraction) -> int:
    """Write a grey video with the recording; return its number of frames."""
    shape = VideoStream(width=64, height=64, frame_rate=RATE, frames=1, seconds=1, codec="h264", pixel_format="yuv420p")
    frames, space = frame_count(seconds, RATE), YuvSpace(matrix="bt709", full_range=False)
    with VideoWriter(path, like=shape, recording=info, frames=frames, fit="audio", quality=40) as writer:
        for index in range(frames):
            writer.write(Frame.from_i420(np.full(64 * 96, 128, np.uint8), width=64, height=64, index=index, space=space))
    return frames


FAMILY = [
    ("mono then stereo.mp3", ((1, 44100), (2, 44100)), ("-c:a", "libmp3lame")),
    ("stereo then mono.mp3", ((2, 44100), (1, 44100)), ("-c:a", "libmp3lame")),
    ("other rate.mp3", ((2, 44100), (2, 48000), (1, 32000)), ("-c:a", "libmp3lame")),
    ("low then high.mp3", ((1, 22050), (2, 48000)), ("-c:a", "libmp3lame")),
    ("call.aac", ((1, 16000), (2, 48000)), ("-c:a", "aac")),
    ("there and back.aac", ((2, 48000), (1, 24000), (2, 48000)), ("-c:a", "aac")),
    ("chained.opus", ((1, 48000), (2, 48000)), ("-c:a", "libopus")),
    ("chained.ogg", ((1, 22050), (2, 44100)), ("-c:a", "libvorbis")),
    ("film and news.ac3", ((6, 48000), (2, 48000)), ("-c:a", "ac3")),
    ("news and film.ac3", ((2, 48000), (6, 48000), (2, 48000)), ("-c:a", "ac3")),
    ("appended.mka", ((2, 48000), (1, 48000)), ("-c:a", "libopus")),
]


@pytest.mark.family(6)
@pytest.mark.parametrize(("name", "parts", "options"), FAMILY, ids=[row[0] for row in FAMILY])
def test_all_of_a_recording_that_changes_is_heard_and_written(
    join: Join, tmp_path: Path, decoded: Decode, name: str, parts: tuple[Part, ...], options: tuple[object, ...]
) -> None:
    with decoded_speech(check_recording(join(name, parts, *options)), tmp_path) as speech:
        heard = np.concatenate(list(speech.blocks()))
        frames = write_result(tmp_path / "o.mp4", speech.info, speech.measure.seconds)
        size = (64, 64)
        verify_result(tmp_path / "o.mp4", frames=frames, frame_rate=RATE, seconds=float(speech.measure.seconds), size=size)
    played = decoded(tmp_path / "o.mp4", "-ac", 1, "-ar", 16000, "-f", "f32le").view(np.float32)
    changes = len(parts) - 1
    assert 0 <= len(heard) / 16000 - 1.5 * len(parts) < ENCODER_DELAY * len(parts)
    assert 0 <= len(played) - len(heard) < 16000 * 2048 / parts[0][1] + LOST_BY_RESAMPLER * changes
    for number in range(len(parts)):
        place, correlation = find(heard, PARTS[number])
        place_in_result, correlation_in_result = find(played, PARTS[number])
        assert min(correlation, correlation_in_result) > 0.97
        assert 0 <= place / 16000 - 1.5 * number < ENCODER_DELAY * (number + 1)
        assert 0 <= place_in_result - place <= LOST_BY_RESAMPLER * number


def test_the_audio_of_the_result_has_the_length_of_the_recording_to_the_sample(tmp_path: Path, decoded: Decode) -> None:
    """Float, 96 kHz: neither cut nor resampled nor rounded to 16 bit on its way to the encoder."""
    path = write_audio(tmp_path / "a.wav", voice(4, 1.2345), options=("-c:a", "pcm_f32le", "-ar", 96000))
    info = check_recording(path)
    write_result(tmp_path / "o.mp4", info, Fraction(12345, 10000))
    played = decoded(tmp_path / "o.mp4", "-f", "f32le").view(np.float32)
    original = decoded(path, "-f", "f32le").view(np.float32)
    assert 0 <= len(played) - len(original) < 2048
    assert np.corrcoef(played[: len(original)], original)[0, 1] > 0.999
    command = ["ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "stream=duration_ts", "-of", "csv=p=0"]
    listed = subprocess.run([*command, str(tmp_path / "o.mp4")], capture_output=True, text=True, check=True)
    assert 0 <= int(listed.stdout) - len(original) < 96  # the edit list of an mp4 counts in ms


def test_a_recording_that_vanishes_is_no_error_of_the_encoder(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", PARTS[0])
    info = check_recording(path)
    path.unlink()
    with pytest.raises(TransientError, match="no longer exists") as caught:
        write_result(tmp_path / "o.mp4", info, Fraction(3, 2))
    assert caught.value.code == "io_error"
    assert not (tmp_path / "o.mp4").exists()


def test_tracks_of_other_kinds_do_not_disturb_the_audio(tmp_path: Path) -> None:
    """A late track: silence is not added before it, its samples are what is spoken."""
    path = mux(tmp_path / "late.mkv", write_audio(tmp_path / "a.wav", PARTS[0]), options=("-output_ts_offset", 3))
    with decoded_speech(check_recording(path), tmp_path) as speech:
        heard = np.concatenate(list(speech.blocks()))
    assert likeness(heard, PARTS[0]) > 0.97
