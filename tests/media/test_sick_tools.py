"""What ails the machine is never the error of a file: programs that are killed, crash, starve, wait, or do not start."""

import itertools
import resource
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from heygem_daemon.core.errors import EngineError, HeygemError, InputError, SetupError, TransientError
from heygem_daemon.intake.file_check import FileChecks
from heygem_daemon.media import run, writer
from heygem_daemon.media.audio_decoder import mono_blocks
from heygem_daemon.media.probe import check_recording, check_video
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.run import FfmpegReader, capture, stream_error
from heygem_daemon.media.speech import measure_speech
from heygem_daemon.media.tool_ends import Completed, end_error
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaLimits
from heygem_daemon.media.verify import verify_result
from heygem_daemon.media.writer import VideoWriter, check_encoder
from tests.media import sick_tools
from tests.media.conftest import MakeFile
from tests.media.sick_tools import Sicken, SickTool

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
ENDINGS: Final = {
    "killed": sick_tools.KILLED.format(signal="KILL"),
    "terminated": sick_tools.KILLED.format(signal="TERM"),
    "killed in a shell": sick_tools.CHILD_KILLED.format(signal="KILL"),
    "killed in between": sick_tools.KILLED_IN_BETWEEN.format(size=300, signal="KILL"),
    "crashed once": sick_tools.KILLED.format(signal="SEGV"),
    "no memory": sick_tools.SAYS.format(words="Cannot allocate memory"),
    "no threads": sick_tools.SAYS.format(words="Resource temporarily unavailable"),
    "no descriptors": sick_tools.SAYS.format(words="Too many open files"),
    "share gone": sick_tools.SAYS.format(words="Stale file handle"),
    "unlinked": sick_tools.UNLINKED,
}
ENDED_IN_BETWEEN: Final = "ended in between"
SHORT: Final = {("mp4", "killed"), ("mp4", "killed in a shell"), ("wav", "no memory"), ("wav", ENDED_IN_BETWEEN)}
"""What is tried in the ordinary suite of KINDS x ENDINGS."""
KINDS: Final = ("mp4", "mkv", "mp3", "flac", "wav")
MATRIX: Final = [
    pytest.param(kind, ending, marks=() if (kind, ending) in SHORT else pytest.mark.prove)
    for kind in KINDS
    for ending in (*ENDINGS, ENDED_IN_BETWEEN)
]
RESULT: Final[dict[str, Any]] = {"frames": 50, "frame_rate": Fraction(25), "seconds": 2.0, "size": (160, 120)}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_PAUSE_SECONDS", 0.0)


@pytest.fixture
def sicken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sicken:
    folder = tmp_path / "sick"
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def make(program: str, action: str, *, at: str = "true") -> SickTool:
        return sick_tools.sicken(folder, program, action, at=at)

    return make


@pytest.fixture
def good_file(clip: MakeFile, tone: MakeFile) -> Callable[[str], Callable[[], object]]:
    """Return the check of a good file of a kind, as it is made when a drop comes in."""

    def make(kind: str) -> Callable[[], object]:
        if kind in {"mp4", "mkv"}:
            path = clip(f"sick.{kind}", *X264, audio=True)
            return lambda: check_video(path)
        path = tone(f"sick.{kind}", "-ac", "2")
        return lambda: measure_speech(check_recording(path))

    return make


@pytest.mark.parametrize(("kind", "ending"), MATRIX)
def test_whatever_happens_to_a_program_is_no_verdict_on_a_good_file(
    sicken: Sicken, good_file: Callable[[str], Callable[[], object]], kind: str, ending: str
) -> None:
    """From the n-th call on, for each n: the file waits, or is found to be what it is."""
    check = good_file(kind)
    healthy = check()
    for program in ("ffprobe", "ffmpeg"):
        interrupted = sick_tools.ENDED_IN_BETWEEN if program == "ffmpeg" else sick_tools.KILLED
        action = ENDINGS.get(ending) or interrupted.format(size=300, signal="TERM")
        for number in itertools.count(1):
            tool = sicken(program, action, at=f"[ $n -eq {number} ]" if ending == "crashed once" else f"[ $n -ge {number} ]")
            try:
                found = check()
            except TransientError:
                assert ending != "crashed once"
            except EngineError as problem:  # of a stream: intake and the dispatcher try again
                assert (ending, problem.code) == ("crashed once", "tool_crashed")  # noqa: PT017
            else:
                assert found == healthy
            if tool.calls < number:
                break
        (tool.folder / program).unlink()


def test_a_program_that_crashes_at_one_file_only_is_a_verdict_that_names_it(sicken: Sicken, clip: MakeFile, tone: MakeFile) -> None:
    only, film, speech = '[[ "$*" == *guilty* ]]', clip("guilty.mp4"), tone("guilty.mp3", "-ac", "2")
    tool = sicken("ffprobe", sick_tools.KILLED.format(signal="SEGV"), at=only)
    with pytest.raises(InputError, match=r"ffprobe crashed 3 times while it read guilty.mp4 .SIGSEGV., and works otherwise") as caught:
        check_video(film)
    assert (caught.value.code, tool.calls) == ("file_crashes_tool", 4)
    check_video(clip("innocent.mp4"))
    (tool.folder / "ffprobe").unlink()
    sicken("ffmpeg", sick_tools.KILLED.format(signal="ABRT"), at=only)
    with pytest.raises(InputError, match=r"guilty.mp3") as caught:
        FileChecks(tool.folder / "cache").seconds(speech, DEFAULT_LIMITS, is_video=False)
    assert caught.value.code == "file_crashes_tool"


def test_a_program_that_crashes_at_every_file_is_broken_itself(sicken: Sicken, clip: MakeFile) -> None:
    sicken("ffprobe", sick_tools.KILLED.format(signal="SEGV"))
    with pytest.raises(SetupError, match=r"ffprobe does not work on the server: it was ended by SIGSEGV"):
        check_video(clip("innocent.mp4"))


def test_a_program_that_fails_at_every_file_is_broken_itself(sicken: Sicken, clip: MakeFile) -> None:
    sicken("ffprobe", "echo unknown option >&2; exit 1")
    with pytest.raises(SetupError, match="ffprobe does not work on the server: unknown option"):
        check_video(clip("innocent.mp4"))


def test_what_only_one_file_makes_a_program_say_is_the_files(sicken: Sicken, clip: MakeFile) -> None:
    for words in ("Input/output error", "Cannot allocate memory"):
        sicken("ffprobe", sick_tools.SAYS.format(words=words), at='[[ "$*" == *guilty* ]]')
        with pytest.raises(InputError):
            check_video(clip("guilty.mp4"))


def test_a_file_that_is_named_like_an_error_of_the_system_is_judged_all_the_same(tmp_path: Path) -> None:
    for words in ("Stale file handle", "Input/output error".replace("/", "-"), "Cannot allocate memory"):
        path = tmp_path / f"{words}.mp4"
        path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40)
        with pytest.raises(InputError):
            check_video(path)


def test_a_check_of_a_result_that_is_killed_says_nothing_about_the_result(sicken: Sicken, clip: MakeFile) -> None:
    path = clip("result.mp4", *X264, audio=True)
    for ending in ("killed", "killed in a shell", "killed in between", "no memory", "share gone", "unlinked"):
        sicken("ffprobe", ENDINGS[ending])
        with pytest.raises(TransientError):
            verify_result(path, **RESULT)
    sicken("ffprobe", ENDINGS["crashed once"])
    with pytest.raises(EngineError) as caught:
        verify_result(path, **RESULT)
    assert caught.value.code == "tool_crashed"


ANSWERS: Final = {
    "nothing": "exit 0",
    "rubbish": "echo '{rubbish'; exit 0",
    "another object": "echo '[1]'; exit 0",
    "an empty object": "echo '{}'; exit 0",
    "a failure without a word": "exit 1",
    "half of it": '"$real" "$@" 2>/dev/null | head -c 100; exit 0',
}


@pytest.mark.family(2)
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_program_that_answers_what_it_never_does_is_no_verdict_on_a_file(sicken: Sicken, clip: MakeFile, answer: str) -> None:
    path = clip("sick.mkv", *X264, audio=True)
    healthy = check_video(path)
    for number in (1, 2):
        sicken("ffprobe", ANSWERS[answer], at=f"[ $n -eq {number} ]")
        assert check_video(path) == healthy
    sicken("ffprobe", ANSWERS[answer])
    with pytest.raises(SetupError, match="ffprobe does not work on the server"):
        check_video(path)


@pytest.mark.parametrize("answer", ["nothing", "rubbish", "an empty object"])
def test_a_check_of_a_result_without_an_answer_says_nothing_about_the_result(sicken: Sicken, clip: MakeFile, answer: str) -> None:
    path = clip("result.mp4", *X264, audio=True)
    sicken("ffprobe", ANSWERS[answer])
    with pytest.raises(SetupError):
        verify_result(path, **RESULT)


def test_a_decoder_that_writes_nothing_at_all_is_no_verdict_on_a_file(sicken: Sicken, clip: MakeFile, tone: MakeFile) -> None:
    video, recording = check_video(clip("sick.mp4", *X264, audio=True)), check_recording(tone("sick.mp3", "-ac", "2"))
    sicken("ffmpeg", "exit 0")
    with pytest.raises(SetupError):
        measure_speech(recording)
    with pytest.raises(SetupError):
        next(VideoReader(video).frames())


@pytest.mark.parametrize("action", [sick_tools.KILLED_IN_BETWEEN, sick_tools.ENDED_IN_BETWEEN], ids=["killed", "interrupted"])
def test_a_decoder_that_is_ended_in_mid_video_does_not_make_it_shorter(sicken: Sicken, clip: MakeFile, action: str) -> None:
    info = check_video(clip("sick.mp4", *X264, audio=True))
    sicken("ffmpeg", action.format(size=100_000, signal="KILL"))
    with pytest.raises(TransientError) as caught:
        list(VideoReader(info).frames())
    assert caught.value.code == "tool_killed"


def test_a_decoder_that_used_all_its_time_is_not_asked_again_for_what_it_gave(sicken: Sicken, clip: MakeFile, tone: MakeFile) -> None:
    video, recording = check_video(clip("sick.mp4", *X264, audio=True)), check_recording(tone("sick.wav", "-ac", "2"))
    tool = sicken("ffmpeg", sick_tools.KILLED_IN_BETWEEN.format(size=30_000, signal="XCPU"))
    limits = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (100_000, limits[1]))
    given: list[object] = []
    try:
        for stream in (VideoReader(video).frames(), mono_blocks(recording, 16_000, 1000)):
            calls = tool.calls
            with pytest.raises(InputError) as caught:
                given.extend(stream)
            assert (caught.value.code, tool.calls - calls, bool(given)) == ("file_too_costly", 1, True)
            given.clear()
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, limits)


@pytest.mark.parametrize("which", ["the encoder", "the decoder of the recording"])
def test_an_encoder_or_its_source_that_is_ended_costs_no_attempt(
    sicken: Sicken, clip: MakeFile, tone: MakeFile, tmp_path: Path, which: str
) -> None:
    video, recording = check_video(clip("sick.mp4", *X264, audio=True)), check_recording(tone("long.wav", seconds=20))
    frames = list(VideoReader(video).frames())
    assert video.video is not None
    action = "exit 255" if which == "the encoder" else sick_tools.ENDED_IN_BETWEEN.format(size=100_000)
    sicken("ffmpeg", action, at=f'{"!" if which != "the encoder" else ""} [[ "$*" == *libx264* ]]')
    out = tmp_path / "out.mp4"
    result = VideoWriter(out, like=video.video, recording=recording, frames=50, fit="audio", quality=30)

    def write() -> None:
        with result:
            for frame in frames:
                result.write(frame)

    with pytest.raises(TransientError) as caught:
        write()
    assert caught.value.code == "tool_killed"
    assert not out.exists()


def test_a_trial_of_the_encoder_that_is_killed_is_no_verdict_on_the_video(sicken: Sicken, clip: MakeFile) -> None:
    video = check_video(clip("sick.mp4", *X264, audio=True)).video
    assert video is not None
    sicken("ffmpeg", ENDINGS["killed"])
    with pytest.raises(TransientError):
        check_encoder(video, quality=16, name="sick.mp4")


AT_THE_TRIAL: Final = '[[ "$*" == *libx264* && "$*" == *160x120* ]]'
AT_EVERY_TRIAL: Final = '[[ "$*" == *libx264* ]]'


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        (ENDINGS["crashed once"], "the encoder crashes"),
        (sick_tools.BUSY, "one frame takes more than 60 s"),
        ("echo 'no such size' >&2; exit 1", "no such size"),
    ],
    ids=["crashes", "takes too long", "refuses"],
)
def test_a_video_that_the_encoder_cannot_take_is_named_and_never_for_how_it_was_read(
    sicken: Sicken, clip: MakeFile, monkeypatch: pytest.MonkeyPatch, action: str, problem: str
) -> None:
    video = check_video(clip("sick.mp4", *X264, audio=True)).video
    assert video is not None
    monkeypatch.setattr(writer, "TRIAL_SECONDS", 0.5)
    sicken("ffmpeg", action, at=AT_THE_TRIAL)
    with pytest.raises(InputError, match=f"in the format of sick.mp4 .160x120 .*{problem}") as caught:
        check_encoder(video, quality=16, name="sick.mp4")
    assert caught.value.code == "video_not_encodable"
    sicken("ffmpeg", action, at=AT_EVERY_TRIAL)
    with pytest.raises(EngineError, match=problem) as failed:
        check_encoder(video, quality=16, name="sick.mp4")
    assert failed.value.code == "encode_failed"


# -- streams: they cannot be read again -------------------------------------------------------------------------------


@pytest.mark.family(3)
@pytest.mark.parametrize("words", ["Cannot allocate memory", "Resource temporarily unavailable", "Input/output error"])
def test_a_stream_that_starves_at_one_file_only_costs_an_attempt_and_does_not_wait_for_ever(
    sicken: Sicken, clip: MakeFile, tone: MakeFile, words: str
) -> None:
    video, speech = check_video(clip("guilty.mp4", *X264, audio=True)), tone("guilty.mp3", "-ac", "2")
    recording = check_recording(speech)
    only = '[[ "$*" == *guilty* ]]'
    tool = sicken("ffmpeg", sick_tools.SAYS.format(words=words), at=only)
    with pytest.raises(EngineError, match=words) as caught:
        list(VideoReader(video).frames())
    assert caught.value.code == "tool_crashed"
    with pytest.raises(EngineError, match=words) as caught:
        measure_speech(recording)
    assert caught.value.code == "tool_crashed"
    with pytest.raises(InputError, match=r"guilty.mp3") as refused:
        FileChecks(tool.folder / "cache").seconds(speech, DEFAULT_LIMITS, is_video=False)
    assert refused.value.code == "file_crashes_tool"
    sicken("ffmpeg", sick_tools.SAYS.format(words=words))
    for look in (lambda: list(VideoReader(video).frames()), lambda: measure_speech(recording)):
        with pytest.raises(TransientError):
            look()


def test_a_check_that_starves_at_one_result_only_costs_an_attempt(sicken: Sicken, clip: MakeFile) -> None:
    path = clip("result.mp4", *X264, audio=True)
    sicken("ffprobe", ENDINGS["no memory"], at='[[ "$*" == *result* ]]')
    with pytest.raises(EngineError) as caught:
        verify_result(path, **RESULT)
    assert caught.value.code == "tool_crashed"


def test_a_stream_of_a_file_that_cannot_be_read_waits(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    end = Completed(code=0, stdout=b"", stderr="file:/x: Input/output error", program="another")
    with pytest.raises(TransientError) as caught:
        stream_error(end, "a.mp4", path)
    assert caught.value.code == "io_error"
    path.write_bytes(b"whatever")
    found = stream_error(end, "a.mp4", path)
    assert found is not None
    assert found.code == "tool_crashed"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Cannot allocate memory", "tool_crashed"),
        ("Input/output error", "disk_failing"),
        ("Read-only file system", "read_only"),
        ("Disk quota exceeded", "quota_full"),
        ("Invalid argument", "encode_failed"),
    ],
)
def test_what_an_encoder_says_of_the_disk_is_of_the_one_it_writes_on(
    sicken: Sicken, clip: MakeFile, tone: MakeFile, tmp_path: Path, words: str, code: str
) -> None:
    video, recording = check_video(clip("sick.mp4", *X264, audio=True)), check_recording(tone("sick.mp3", "-ac", "2"))
    assert video.video is not None
    folder = tmp_path / "No space left on device"
    folder.mkdir()
    frame = next(VideoReader(video).frames())
    sicken("ffmpeg", f'echo "{folder}/out.mp4: {words}" >&2; exit 1', at=AT_EVERY_TRIAL)
    result = VideoWriter(folder / "out.mp4", like=video.video, recording=recording, frames=1, fit="audio", quality=30)

    def write() -> None:
        with result:
            result.write(frame)

    with pytest.raises(HeygemError) as caught:
        write()
    assert caught.value.code == code


# -- machines that are short: what decoders say then is what they say of damaged files --------------------------------

SHORT_OF_THREADS: Final = (
    "echo 'Error while opening encoder for output stream #0:0 - maybe incorrect parameters such as bit_rate' >&2; exit 1"
)
WITH_VIDEO: Final = '[[ "$*" == *rawvideo* ]]'
"""At each call that decodes or encodes a video, one of our own too, but not at the WAV of the control."""


@pytest.mark.parametrize("limit", ["-v 250000", "-v 350000", "-v 450000", "-n 6"])
def test_no_good_video_is_condemned_on_a_machine_that_is_short(sicken: Sicken, clip: MakeFile, limit: str) -> None:
    info = check_video(clip("sick.mp4", *X264, audio=True))
    assert info.video is not None
    healthy = len(list(VideoReader(info).frames()))
    sicken("ffmpeg", f'ulimit {limit}; exec "$real" "$@"')
    for look in (lambda: len(list(VideoReader(info).frames())), lambda: check_encoder(info.video, quality=16, name="sick.mp4")):
        try:
            assert look() in {healthy, None}
        except HeygemError as problem:
            assert not isinstance(problem, InputError)  # noqa: PT017


def test_a_video_of_which_no_frame_comes_is_judged_with_one_of_our_own(sicken: Sicken, clip: MakeFile) -> None:
    info = check_video(clip("guilty.mp4", *X264, audio=True))
    healthy = len(list(VideoReader(info).frames()))
    sicken("ffmpeg", SHORT_OF_THREADS, at=WITH_VIDEO)
    with pytest.raises(TransientError, match="a video of the server itself, 160x120, cannot be decoded either") as caught:
        next(VideoReader(info).frames())
    assert caught.value.code == "server_short"
    sicken("ffmpeg", SHORT_OF_THREADS, at='[[ "$*" == *guilty* ]]')
    with pytest.raises(InputError) as refused:
        next(VideoReader(info).frames())
    assert refused.value.code == "video_undecodable"
    sicken("ffmpeg", SHORT_OF_THREADS, at="[ $n -eq 1 ]")
    assert len(list(VideoReader(info).frames())) == healthy


def test_a_recording_of_which_no_sample_comes_is_judged_with_a_video_of_our_own(sicken: Sicken, tone: MakeFile) -> None:
    speech = tone("guilty.flac", "-ac", "2")
    info = check_recording(speech)
    healthy = measure_speech(info)
    starving = "echo 'Error while opening decoder for input stream #0:0 : Resource temporarily unavailable' >&2; exit 1"
    for action in (starving, SHORT_OF_THREADS):
        tool = sicken("ffmpeg", action, at='[[ "$*" == *guilty* || "$*" == *rawvideo* ]]')
        with pytest.raises(TransientError) as caught:
            FileChecks(tool.folder / "cache").seconds(speech, DEFAULT_LIMITS, is_video=False)
        assert caught.value.code == "server_short"
    sicken("ffmpeg", SHORT_OF_THREADS, at='[[ "$*" == *guilty* ]]')
    with pytest.raises(InputError) as refused:
        measure_speech(info)
    assert refused.value.code == "audio_unreadable"
    sicken("ffmpeg", SHORT_OF_THREADS, at="[ $n -eq 1 ]")
    assert measure_speech(info) == healthy


def test_a_control_that_takes_all_processor_time_is_no_verdict(sicken: Sicken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_CAPACITY_SECONDS", 0.2)
    for action in (sick_tools.BUSY, sick_tools.SLOW.format(seconds=60)):
        sicken("ffmpeg", action)
        with pytest.raises(TransientError) as caught:
            run.require_capacity()
        assert caught.value.code == "server_short"
    sicken("ffmpeg", sick_tools.KILLED.format(signal="KILL"))
    with pytest.raises(TransientError) as killed:
        run.require_capacity()
    assert killed.value.code == "tool_killed"


@pytest.mark.parametrize(
    "size", [(64, 64), (161, 121), pytest.param((64, 45_000), marks=pytest.mark.slow), pytest.param((7680, 4320), marks=pytest.mark.prove)]
)
def test_the_video_of_our_own_has_about_the_size_that_is_asked_for(size: tuple[int, int]) -> None:
    run.require_capacity(size)


def test_an_encoder_is_tried_again_and_judged_with_a_video_of_our_own(
    sicken: Sicken, clip: MakeFile, tone: MakeFile, tmp_path: Path
) -> None:
    video, recording = check_video(clip("sick.mp4", *X264, audio=True)), check_recording(tone("sick.mp3", "-ac", "2"))
    assert video.video is not None
    frame = next(VideoReader(video).frames())
    sicken("ffmpeg", SHORT_OF_THREADS, at="[ $n -eq 1 ]")
    check_encoder(video.video, quality=16, name="sick.mp4")
    sicken("ffmpeg", SHORT_OF_THREADS, at='[[ "$*" == *libx264* || "$*" == *mpeg4* ]]')
    with pytest.raises(TransientError):
        check_encoder(video.video, quality=16, name="sick.mp4")
    result = VideoWriter(tmp_path / "out.mp4", like=video.video, recording=recording, frames=1, fit="audio", quality=30)

    def write() -> None:
        with result:
            result.write(frame)

    with pytest.raises(TransientError) as caught:
        write()
    assert caught.value.code == "server_short"


def test_a_result_is_judged_only_where_a_video_of_our_own_can_be_decoded(sicken: Sicken, clip: MakeFile) -> None:
    path = clip("result.mp4", *X264, audio=True)
    sicken("ffprobe", "echo '[h264] get_buffer() failed' >&2; exit 1", at='[[ "$*" == *result* ]]')
    with pytest.raises(EngineError) as caught:
        verify_result(path, **RESULT)
    assert caught.value.code == "result_invalid"
    tool = sicken("ffmpeg", SHORT_OF_THREADS, at=WITH_VIDEO)
    (tool.folder / "ffprobe").unlink()
    sicken("ffprobe", "echo '[h264] get_buffer() failed' >&2; exit 1", at='[[ "$*" == *result* ]]')
    with pytest.raises(TransientError):
        verify_result(path, **RESULT)


# -- time -------------------------------------------------------------------------------------------------------------


def test_slow_storage_takes_its_time_and_is_no_error_at_all(sicken: Sicken, clip: MakeFile) -> None:
    healthy = check_video(clip("sick.mkv", *X264, audio=True))
    sicken("ffprobe", sick_tools.SLOW.format(seconds=0.7))
    assert check_video(healthy.path, MediaLimits(probe_seconds=0.3)) == healthy


def test_storage_that_takes_too_long_is_named_and_waits(sicken: Sicken, clip: MakeFile) -> None:
    path = clip("sick.mp4", *X264, audio=True)
    sicken("ffprobe", sick_tools.SLOW.format(seconds=60))
    with pytest.raises(TransientError, match=r"ffprobe has waited . s for data of sick.mp4: the storage answers slowly") as caught:
        check_video(path, MediaLimits(probe_seconds=0.05))
    assert caught.value.code == "storage_slow"
    assert "probe_seconds" not in caught.value.hint


def test_a_file_that_costs_too_much_processor_time_is_a_verdict_that_names_the_setting(sicken: Sicken, clip: MakeFile) -> None:
    path = clip("sick.mp4", *X264, audio=True)
    sicken("ffprobe", sick_tools.BUSY)
    with pytest.raises(InputError, match=r"sick.mp4 takes more than 0 s of processor time") as caught:
        check_video(path, MediaLimits(probe_seconds=0.3))
    assert (caught.value.code, caught.value.retryable) == ("file_too_costly", False)
    assert "limits.probe_seconds" in caught.value.hint


def test_processor_time_counts_of_the_whole_group() -> None:
    with pytest.raises(InputError):
        capture(("bash", "-c", "(while :; do :; done) & wait"), seconds=0.3)


@pytest.mark.parametrize(("command", "code"), [(("sleep", "60"), "storage_slow"), (("bash", "-c", "while :; do :; done"), "no_progress")])
def test_a_stream_that_stands_still_is_ended_and_judged_by_its_processor_time(command: tuple[str, ...], code: str) -> None:
    with FfmpegReader(command, stall_seconds=2.0, path=Path("a.mp4")) as child, pytest.raises(HeygemError, match=r"a.mp4") as caught:
        child.read_into(memoryview(bytearray(1)))
    assert caught.value.code == code


# -- how programs end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "stderr", "expected"),
    [
        (0, "", None),
        (1, "x.mp4: Invalid data found when processing input", None),
        (0, "[h264 @ 0x1] Cannot allocate memory", None),
        (-9, "", "tool_killed"),
        (137, "", "tool_killed"),
        (143, "", "tool_killed"),
        (255, "", "tool_killed"),
        (-24, "", "tool_killed"),
        (-11, "", "tool_crashed"),
        (139, "", "tool_crashed"),
        (-7, "", "tool_crashed"),
        (-6, "terminate called after throwing an instance of 'std::bad_alloc'", "tool_crashed"),
        (127, "ffmpeg: error while loading shared libraries: libx264.so", "tool_broken"),
        (1, "x.mp4: Cannot allocate memory", "server_short"),
        (1, "x.mp4: Too many open files", "server_short"),
        (1, "/tmp/x: No space left on device", "server_short"),
        (0, "x.mp4: Input/output error", "io_error"),
        (1, "x.mp4: Permission denied", "io_error"),
        (0, "x.mp4: Transport endpoint is not connected", "io_error"),
        (1, "Stale file handle.mp4: Invalid data found when processing input", None),
    ],
)
def test_an_end_is_put_down_to_the_machine_or_may_be_the_files(code: int, stderr: str, expected: str | None) -> None:
    problem = end_error(Completed(code=code, stdout=b"", stderr=stderr, program="ffmpeg"), "x.mp4")
    assert (problem.code if problem else None) == expected
