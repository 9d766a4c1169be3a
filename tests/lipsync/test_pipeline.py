"""A recording and a video become one verified result, with real ffmpeg, real models and a real face."""

import json
import subprocess
import time
import wave
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.render_options import DEFAULT_OPTIONS, Fit, RenderOptions
from heygem_daemon.lipsync import evaluation, pipeline
from heygem_daemon.lipsync.arrays import Bool, Float32, Image
from heygem_daemon.lipsync.evaluation import SyncMetrics
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.lipsync.ports import Driver, PersonalDriver
from heygem_daemon.lipsync.progress import Progress
from heygem_daemon.lipsync.render_loop import RenderInputs, RenderStats, render_frames
from heygem_daemon.lipsync.render_request import RenderReport, RenderRequest
from heygem_daemon.lipsync.style.speaking_style import SpeakingStyle
from heygem_daemon.media import run
from heygem_daemon.media.probe import check_recording, probe
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.verify import verify_result
from tests.lipsync.driver_contract import RATE, talk
from tests.synthetic_speech import synthesise

pytestmark = pytest.mark.usefixtures("_equal_speech_is_encoded_once")

SECONDS = Fraction(23, 10)
SENTENCE = "Good evening. My father says that they have a new map of the bay."
Still = tuple[RenderRequest, RenderReport, list[tuple[str, ...]]]
Made = tuple[RenderRequest, RenderReport, list[tuple[float, Progress]]]


def write_wav(path: Path, samples: npt.NDArray[np.floating[Any]]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="module")
def session(place: Path, weights: Path) -> RenderSession:
    return RenderSession(weights, place / "cache", device="cpu", threads=1)


@pytest.fixture(scope="module")
def recording(place: Path) -> Path:
    """The first SECONDS of a spoken sentence, not a sample more or less."""
    spoken, _ = synthesise(SENTENCE, "en-us")
    return write_wav(place / "speech.wav", 0.5 * spoken[: round(SECONDS * RATE)])


@pytest.fixture(scope="module")
def clip(place: Path, portrait_clip: Path) -> Path:
    """The portrait clip at 24000/1001 frames per second."""
    path = place / "presenter.mp4"
    command = (
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(portrait_clip),
        "-vf",
        "setpts=N*1001/24000/TB",
        "-r",
        "24000/1001",
        "-crf",
        "14",
        str(path),
    )
    subprocess.run(command, check=True, timeout=60)
    return path


def request_in(
    folder: Path, recording: Path, video: Path, *, explain: Path | None = None, options: RenderOptions = DEFAULT_OPTIONS
) -> RenderRequest:
    """Return a request whose files are written into `folder`. explain: where the diagnostic image goes."""
    folder.mkdir(exist_ok=True)
    chosen = replace(options, explain=explain is not None)
    output, thumbnail = folder / "result.mp4", folder / "result.jpg"
    return RenderRequest(recording=recording, video=video, output=output, thumbnail=thumbnail, explain=explain, options=chosen)


@pytest.fixture(scope="module")
def compared() -> Iterator[list[SyncMetrics]]:
    """How the mouths of the results follow their targets, in the order of the renders."""
    found: list[SyncMetrics] = []
    compare = evaluation.compare

    def kept(target: Float32, measured: Float32, shut: Bool, frame_rate: Fraction) -> SyncMetrics:
        found.append(compare(target, measured, shut, frame_rate))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "compare", kept)
        yield found


@pytest.fixture(scope="module")
def made(place: Path, session: RenderSession, recording: Path, clip: Path, compared: list[SyncMetrics]) -> Made:
    """The request, the report and the progress of a first, uncached render."""
    assert not compared
    request = request_in(place / "made", recording, clip, explain=place / "made" / "result.explain.png")
    steps: list[tuple[float, Progress]] = []
    report = session.render(request, lambda step: steps.append((time.monotonic(), step)))
    return request, report, steps


def test_the_result_is_as_long_as_the_recording_at_the_exact_rate_of_the_source(made: Made) -> None:
    request, report, _ = made
    frames = round(SECONDS * Fraction(24000, 1001))
    assert (report.frames, report.frame_rate, report.seconds) == (frames, "24000/1001", float(SECONDS))
    size = (report.width, report.height)
    verify_result(request.output, frames=frames, frame_rate=Fraction(24000, 1001), seconds=float(SECONDS), size=size)


def test_the_mouth_follows_its_target_in_time(made: Made) -> None:
    _, report, _ = made
    assert report.mouth_correlation is not None
    assert report.sync_offset_ms is not None
    assert report.mouth_correlation > 0.85
    assert abs(report.sync_offset_ms) <= 10


def test_the_lips_meet_at_the_m_after_the_pause(made: Made, compared: list[SyncMetrics]) -> None:
    """The other closures are of one or two frames, in which the shut lips of this face are not always measured so."""
    assert made[1].closure_rate == compared[0].closure_rate
    longest = max(compared[0].closures, key=lambda closure: closure.stop - closure.start)
    assert longest.stop - longest.start >= 3
    assert longest.is_shut


def test_only_the_lower_face_differs_from_the_source(made: Made) -> None:
    """Frame 5 of the result, after its lossy encode, against frame 5 of the source."""
    request, _, _ = made
    source, result = (next(VideoReader(probe(path)).frames(5, 6)).y.astype(float) for path in (request.video, request.output))
    top = np.abs(source - result)[: source.shape[0] // 4]
    assert 10 * np.log10(255**2 / (top**2).mean()) > 38


def test_the_report_names_what_was_used_and_how_long_it_took(made: Made) -> None:
    _, report, _ = made
    assert (report.engine, report.driver, report.renderer, report.device) == ("rewrite", "phonetic", "atlas", "cpu")
    assert set(report.models) == {"face_detector", "face_mesh", "phonetic"}
    assert set(report.stage_seconds) == {"measure", "analyse", "script", "prepare", "render", "verify", "explain"}
    assert sum(report.stage_seconds.values()) <= report.elapsed_s + 0.1
    assert report.speed == pytest.approx(report.frames / (24000 / 1001) / report.elapsed_s, rel=0.05)
    assert report.faces_drawn + report.faces_passed == report.frames
    assert report.faces_drawn > 0.9 * report.frames
    assert not report.cached


def test_progress_passes_through_the_stages_in_order_and_completes_them(made: Made) -> None:
    _, report, steps = made
    stages = list(dict.fromkeys(step.stage for _, step in steps))
    assert stages == [stage for stage in ("analyse", "harvest", "calibrate", "render", "verify") if stage in stages]
    assert {"analyse", "harvest", "render", "verify"} <= set(stages)
    last = {step.stage: step for _, step in steps}
    assert (last["render"].done, last["render"].total) == (report.frames, report.frames)
    assert len(steps) <= 3 * len(stages) + 5 * report.elapsed_s


def image(path: Path | None) -> Image:
    return np.asarray(cv2.imread(str(path)), np.uint8)


def test_only_the_requested_files_are_written(made: Made) -> None:
    request, report, _ = made
    assert sorted(path.name for path in request.output.parent.iterdir()) == ["result.explain.png", "result.jpg", "result.mp4"]
    assert image(request.thumbnail).shape[1] <= 1280
    assert image(request.explain).shape[1] == 2000
    assert report.explained


def test_the_second_time_the_presenter_is_known_and_fit_video_keeps_the_length_of_the_video(
    made: Made, place: Path, session: RenderSession, recording: Path
) -> None:
    request, first, _ = made
    again = request_in(place / "again", recording, request.video, options=RenderOptions(fit="video"))
    report = session.render(again)
    assert report.cached
    assert (report.explained, sorted(path.name for path in again.output.parent.iterdir())) == (False, ["result.jpg", "result.mp4"])
    assert (
        report.stage_seconds["analyse"] + report.stage_seconds["prepare"] < first.stage_seconds["analyse"] + first.stage_seconds["prepare"]
    )
    frames = VideoReader(probe(request.video)).frame_count()
    assert report.frames == frames
    verify_result(again.output, frames=frames, frame_rate=Fraction(24000, 1001), seconds=report.seconds, size=(report.width, report.height))


Trial = Callable[[Fit, float], tuple[RenderRequest, RenderReport]]


@pytest.fixture(scope="module")
def trial(place: Path, session: RenderSession, recording: Path, clip: Path) -> Trial:
    """Render the first seconds, with a transcript: trial(fit, first_seconds). The same ones are rendered once."""

    @cache
    def render(fit: Fit, first_seconds: float) -> tuple[RenderRequest, RenderReport]:
        options = RenderOptions(fit=fit, first_seconds=first_seconds, text=SENTENCE, language="en-us", undriven_limit=1)
        request = request_in(place / f"trial {fit} {first_seconds}", recording, clip, options=options)
        return request, session.render(request)

    return render


@pytest.mark.parametrize(
    ("fit", "first_seconds", "seconds", "is_trial"),
    [
        ("audio", 1.2, Fraction(6, 5), True),
        ("audio", 9.0, SECONDS, False),
        pytest.param("video", 0.8, Fraction(4, 5), True, marks=pytest.mark.slow),
    ],
)
def test_a_trial_is_as_long_as_its_first_seconds_and_says_what_it_is(
    trial: Trial, fit: Fit, first_seconds: float, seconds: Fraction, is_trial: bool
) -> None:
    request, report = trial(fit, first_seconds)
    frames = round(seconds * Fraction(24000, 1001))
    assert (report.frames, "trial" in report.warnings) == (frames, is_trial)
    verify_result(
        request.output, frames=frames, frame_rate=Fraction(24000, 1001), seconds=report.seconds, size=(report.width, report.height)
    )
    audio = check_recording(request.output).audio
    assert audio is not None
    assert audio.seconds == pytest.approx(float(seconds), abs=0.07)  # an AAC frame of 16 kHz
    if is_trial:
        assert report.warning_details["trial"] == f"It lasts {report.seconds:.1f} s. The script was not used."
        assert "script_mismatch" not in report.warnings


def test_a_trial_begins_as_the_whole_result_does(trial: Trial, made: Made) -> None:
    whole, part = (list(VideoReader(probe(request.output)).frames(0, 12)) for request in (made[0], trial("audio", 1.2)[0]))
    assert np.mean([np.abs(a.y.astype(int) - b.y).mean() for a, b in zip(whole, part, strict=True)]) < 1.5


@pytest.fixture(scope="module")
def still(place: Path, session: RenderSession, portrait: Path) -> Still:
    """The request, the report and every external command of a render of a still image, with a transcript and a diagnostic image."""
    recording = write_wav(place / "short.wav", talk(1.0))
    options = RenderOptions(fit="video", text=SENTENCE, language="en-us")
    request = request_in(place / "still", recording, portrait, explain=place / "still" / "result.explain.png", options=options)
    commands: list[tuple[str, ...]] = []
    start = run._start

    def recorded(command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        commands.append(tuple(command))
        return start(command, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_start", recorded)
        return request, session.render(request), commands


def test_a_still_image_speaks_too(still: Still) -> None:
    request, report, _ = still
    assert report.frames == round(Fraction(report.frame_rate))
    assert report.mouth_correlation is None or report.mouth_correlation > 0.5
    frames = list(VideoReader(probe(request.output)).frames())
    assert np.abs(frames[0].y.astype(int) - frames[len(frames) // 2].y).max() > 20


def test_the_recording_is_decoded_twice_at_most_for_measuring_transcript_motion_image_and_result(still: Still) -> None:
    request, report, commands = still
    decodings = [
        command for command in commands if command[0] == "ffmpeg" and any(word.endswith(str(request.recording)) for word in command)
    ]
    assert len(decodings) == 2
    assert report.explained
    assert report.stage_seconds["script"] > 0


@pytest.fixture(scope="module")
def faceless(place: Path) -> Path:
    path = place / "faceless.mp4"
    subprocess.run(
        ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-pix_fmt", "yuv420p", str(path)), check=True
    )
    return path


def failure(session: RenderSession, request: RenderRequest) -> str:
    with pytest.raises(HeygemError) as caught:
        session.render(request)
    assert list(request.output.parent.iterdir()) == []
    return caught.value.code


def test_a_video_without_a_face_is_refused_and_leaves_nothing(place: Path, session: RenderSession, recording: Path, faceless: Path) -> None:
    assert failure(session, request_in(place / "bad", recording, faceless)) == "no_face"


def test_a_text_file_called_mp4_is_refused(place: Path, session: RenderSession, recording: Path) -> None:
    (place / "text.mp4").write_text("hello", encoding="ascii")
    assert failure(session, request_in(place / "bad", recording, place / "text.mp4")) == "not_a_video"


def test_a_video_whose_result_cannot_be_encoded_is_refused_before_it_is_analysed(
    place: Path, session: RenderSession, recording: Path, tmp_path: Path
) -> None:
    wide = tmp_path / "wide.mkv"
    source = ("-f", "lavfi", "-i", "testsrc=s=17000x64:d=0.2")
    subprocess.run(("ffmpeg", "-v", "error", *source, "-c:v", "ffv1", "-pix_fmt", "yuv420p", str(wide)), check=True, timeout=60)
    assert failure(session, request_in(place / "bad", recording, wide)) == "video_not_encodable"


def test_a_silent_recording_is_refused(place: Path, session: RenderSession, clip: Path) -> None:
    silence = write_wav(place / "silence.wav", np.zeros(RATE))
    assert failure(session, request_in(place / "bad", silence, clip)) == "audio_silent"


def test_an_unknown_engine_is_refused(place: Path, session: RenderSession, recording: Path, clip: Path) -> None:
    assert failure(session, request_in(place / "bad", recording, clip, options=RenderOptions(engine="magic"))) == "unknown_engine"


def test_an_unknown_face_is_refused(place: Path, session: RenderSession, recording: Path, clip: Path) -> None:
    assert failure(session, request_in(place / "bad", recording, clip, options=RenderOptions(face="the tall one"))) == "bad_job_toml"


def test_a_failure_leaves_the_diagnostic_image_of_an_earlier_run_that_was_not_requested_again(
    place: Path, session: RenderSession, recording: Path, clip: Path
) -> None:
    earlier = place / "again" / "result.explain.png"
    request = replace(request_in(place / "again", recording, clip, options=RenderOptions(engine="magic")), explain=earlier)
    earlier.write_bytes(b"an image")
    with pytest.raises(HeygemError):
        session.render(request)
    assert earlier.read_bytes() == b"an image"


def test_missing_models_are_named(place: Path, recording: Path, clip: Path, tmp_path: Path) -> None:
    assert failure(RenderSession(tmp_path, place / "cache", device="cpu"), request_in(place / "bad", recording, clip)) == "models_missing"


def test_an_interruption_in_the_middle_leaves_no_file_and_no_process(
    place: Path, session: RenderSession, recording: Path, clip: Path
) -> None:
    class StopRenderError(BaseException):
        pass

    def stop(step: Progress) -> None:
        if step.stage == "render" and step.done > 3:
            raise StopRenderError

    request = request_in(place / "bad", recording, clip)
    with pytest.raises(StopRenderError):
        session.render(request, stop)
    assert list(request.output.parent.iterdir()) == []
    children = subprocess.run(["pgrep", "-f", str(place)], capture_output=True, text=True, check=False).stdout
    assert children == ""


class StopError(Exception):
    """Ends a render before its first frame."""


class PlainDriver:
    """A driver that is the same for everybody."""

    name = "plain"
    model_hashes: Mapping[str, str] = MappingProxyType({})

    def motion(self, speech: Iterable[Float32], frame_rate: Fraction, frames: int) -> Iterator[MouthMotion]:
        raise NotImplementedError


class AdaptableDriver(PlainDriver):
    """A driver that is told how often the lips of a presenter are shut."""

    def __init__(self, shut_share: float | None = None) -> None:
        self.shut_share = shut_share

    def for_presenter(self, shut_share: float) -> "AdaptableDriver":
        return AdaptableDriver(shut_share)


DriverFor = Callable[[Driver, SpeakingStyle], Driver]
"""Returns the driver that the frames of a presenter of this style are rendered with."""


@pytest.fixture
def driver_for(
    session: RenderSession, recording: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Made
) -> DriverFor:
    loaded = session.load("rewrite")
    assert made[1].engine == "rewrite"  # the presenter is known already

    def used(driver: Driver, style: SpeakingStyle) -> Driver:
        inputs: list[RenderInputs] = []

        def stop(given: RenderInputs, *_: object) -> None:
            inputs.append(given)
            raise StopError

        monkeypatch.setitem(session._loaded, "rewrite", replace(loaded, driver=driver))
        monkeypatch.setattr(pipeline, "presenter_style", lambda *_: style)
        monkeypatch.setattr(pipeline, "render_frames", stop)
        with pytest.raises(StopError):
            session.render(request_in(tmp_path / "stopped", recording, clip))
        return inputs[0].driver

    return used


def test_the_next_video_with_a_recording_costs_no_process_before_it_is_rendered(
    session: RenderSession, recording: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Made
) -> None:
    """The recording is decoded already, the video inspected, the encoder tried and the presenter known; a transcript is aligned once."""
    commands: list[tuple[str, ...]] = []
    start, options = run._start, RenderOptions(text=SENTENCE, language="en-us")

    def recorded(command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        commands.append(tuple(command))
        return start(command, **options)

    used: list[RenderInputs] = []

    def stop(inputs: RenderInputs, *_: object) -> None:
        used.append(inputs)
        raise StopError

    monkeypatch.setattr(run, "_start", recorded)
    monkeypatch.setattr(pipeline, "render_frames", stop)
    counts: list[int] = []
    for _ in range(2):
        with pytest.raises(StopError):
            session.render(request_in(tmp_path / "stopped", recording, clip, options=options))
        counts.append(len(commands))
    assert made[1].engine == "rewrite"  # the presenter is known already
    assert {command[0] for command in commands} == {"espeak-ng"}
    assert counts[0] == counts[1]
    first, second = used
    assert first.speech is second.speech
    assert first.alignment is not None
    assert first.alignment is second.alignment


def test_a_driver_is_told_how_often_the_lips_of_the_presenter_are_shut(driver_for: DriverFor) -> None:
    driver = AdaptableDriver()
    used = driver_for(driver, SpeakingStyle(shut_share=0.37, is_own=True))
    assert isinstance(used, AdaptableDriver)
    assert used.shut_share == 0.37
    assert driver.shut_share is None  # it is kept for the next presenter


def test_a_presenter_of_whom_nothing_is_known_is_driven_like_most_people(driver_for: DriverFor) -> None:
    driver = AdaptableDriver()
    assert driver_for(driver, SpeakingStyle(shut_share=0.37)) is driver


def test_a_driver_that_is_the_same_for_everybody_is_used_as_it_is(driver_for: DriverFor) -> None:
    driver = PlainDriver()
    assert driver_for(driver, SpeakingStyle(shut_share=0.37, is_own=True)) is driver


def test_the_shipped_driver_is_one_that_is_told(session: RenderSession) -> None:
    driver = session.load("rewrite").driver
    assert isinstance(driver, PersonalDriver)
    adapted = driver.for_presenter(0.37)
    assert (adapted.name, adapted.model_hashes) == (driver.name, driver.model_hashes)


def test_the_report_is_plain_enough_for_json(made: Made) -> None:
    from heygem_daemon.worker.session import result_of  # noqa: PLC0415  (belongs to the layer above)

    result = json.loads(json.dumps(result_of(made[1])))
    assert result["fps"] == pytest.approx(23.976)
    assert result["warnings"] == list(made[1].warnings)


# -- frames that are not driven ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def masked(place: Path, portrait: Path) -> Path:
    """The portrait with a blue mask from the nose to the chin, one second."""
    image = np.asarray(cv2.imread(str(portrait)))
    cv2.ellipse(image, (222, 154), (48, 28), 0, 0, 360, (190, 150, 90), -1)
    assert cv2.imwrite(str(place / "masked.png"), image)
    path = place / "masked.mp4"
    command = (
        "ffmpeg",
        "-v",
        "error",
        "-loop",
        "1",
        "-i",
        str(place / "masked.png"),
        "-t",
        "1",
        "-r",
        "25",
        "-pix_fmt",
        "yuv420p",
        str(path),
    )
    subprocess.run(command, check=True, timeout=60)
    return path


def test_a_presenter_whose_mouth_is_always_covered_is_refused_before_anything_is_rendered(
    place: Path, session: RenderSession, recording: Path, masked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "render_frames", None)
    request = request_in(place / "refused", recording, masked)
    with pytest.raises(HeygemError) as caught:
        session.render(request)
    assert caught.value.code == "too_few_frames_driven"
    assert "masked.mp4 would show its old mouth during 100% of the speech, mostly because the mouth is covered." in caught.value.message
    assert list(request.output.parent.iterdir()) == []


def test_without_the_limit_a_covered_mouth_is_left_untouched_and_reported(
    place: Path, session: RenderSession, recording: Path, masked: Path
) -> None:
    request = request_in(place / "untouched", recording, masked, options=RenderOptions(undriven_limit=1.0))
    report = session.render(request)
    assert (report.frames_not_driven, report.not_driven) == (1.0, {"no_face": 0.0, "turned": 0.0, "covered": 1.0})
    assert report.warnings == ("mouth_covered",)
    assert report.warning_details == {"mouth_covered": "100% of the frames."}
    assert (report.sync_offset_ms, report.mouth_correlation, report.closure_rate, report.measured_share) == (None, None, None, 0.0)
    source, result = (next(VideoReader(probe(path)).frames(5, 6)).y.astype(float) for path in (masked, request.output))
    assert 10 * np.log10(255**2 / ((source - result) ** 2).mean()) > 40


def test_what_is_driven_is_reported_too(made: Made) -> None:
    _, report, _ = made
    assert (report.frames_not_driven, set(report.not_driven.values())) == (0.0, {0.0})
    assert report.measured_share == 1


# -- one verdict with the daemon -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_verified", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_result_that_differs_from_its_report_is_an_error_unless_somebody_else_verifies(
    place: Path,
    session: RenderSession,
    recording: Path,
    clip: Path,
    made: Made,
    monkeypatch: pytest.MonkeyPatch,
    is_verified: bool,
) -> None:
    request = replace(request_in(place / f"verified {is_verified}", recording, clip), verify=is_verified)

    def cut_short(*inputs: Any) -> RenderStats:
        """Render, and lose the last frames of the file."""
        stats, whole = render_frames(*inputs), place / f"whole {is_verified}.mp4"
        request.output.rename(whole)
        frames = len(stats.target.opening) - 3
        command = ("ffmpeg", "-v", "error", "-i", str(whole), "-frames:v", str(frames), "-c", "copy", str(request.output))
        subprocess.run(command, check=True)
        return stats

    monkeypatch.setattr(pipeline, "render_frames", cut_short)
    if not is_verified:
        assert session.render(request).frames == made[1].frames
        return
    with pytest.raises(HeygemError) as caught:
        session.render(request)
    assert caught.value.code == "result_invalid"
    assert list(request.output.parent.iterdir()) == []


def test_files_that_cannot_be_used_are_refused_before_the_engine_is_loaded(place: Path, weights: Path, recording: Path, clip: Path) -> None:
    fresh = RenderSession(weights, place / "cache", device="cpu", threads=1)
    (place / "words.wav").write_text("hello", encoding="ascii")
    silence = write_wav(place / "still silence.wav", np.zeros(RATE))
    for audio, video in ((place / "words.wav", clip), (recording, place / "words.wav"), (silence, clip)):
        with pytest.raises(HeygemError):
            fresh.render(request_in(place / "bad", audio, video))
    assert fresh._loaded == {}
