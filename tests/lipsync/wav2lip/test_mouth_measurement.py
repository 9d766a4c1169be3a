"""The mouth of a face of 96 pixels is measured as if it were in the video."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.face.track_video import track_video
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.mouth_model import opening_of, width_of
from heygem_daemon.lipsync.geometry.pose import mean_face
from heygem_daemon.lipsync.wav2lip.framing import Framing
from heygem_daemon.lipsync.wav2lip.generator import TOP
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurement, MouthMeasurer
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from tests.lipsync.conftest import Clip
from tests.lipsync.wav2lip.fake_generator import SHOWN, MouthImages


def measured_again(measurer: MouthMeasurer, frames: Iterable[Frame], tracks: FaceTracks) -> tuple[np.ndarray, np.ndarray]:
    """Return (measured, tracked), each [n, 2]: opening and width of the framed lower face of each frame, and of the track."""
    reference = mean_face(tracks)
    framing, measured, tracked = Framing(tracks, reference), [], []
    for frame in frames:
        box, face = framing(frame.index), framing.face_of(frame.index)
        if box is None or face is None:
            continue
        landmarks = tracks.landmarks(frame.index, frame.index + 1)[0]
        measurement = measurer.measure(frame, landmarks, box, box.face(frame)[TOP:].astype(np.float32), reference)
        assert measurement.score > 0.9
        measured.append((measurement.opening, measurement.width))
        tracked.append((float(opening_of(face.canonical)), float(width_of(face.canonical))))
    return np.array(measured), np.array(tracked)


def test_the_lower_face_of_a_frame_has_the_lips_of_the_frame(measurer: MouthMeasurer, clip: Clip) -> None:
    measured, tracked = measured_again(measurer, clip.frames[::4], clip.tracks)
    assert len(measured) > 10
    np.testing.assert_allclose(measured[:, 0], tracked[:, 0], atol=0.02)
    np.testing.assert_allclose(measured[:, 1], tracked[:, 1], atol=0.03)
    np.testing.assert_allclose(measured.mean(0), tracked.mean(0), atol=0.01)


@pytest.mark.slow  # the clip above is a real face too
def test_the_lips_of_a_real_talker_are_measured_as_they_are_tracked(
    measurer: MouthMeasurer, shared_media: Path, weights: Path, tmp_path: Path
) -> None:
    info = probe(shared_media / "vr_face2_844_25_h264.mp4")
    assert info.video is not None
    frames = list(VideoReader(info).frames(0, 60))
    size = (info.video.width, info.video.height)
    tracks = track_video(frames, size=size, frame_rate=info.video.frame_rate, models=weights, directory=tmp_path)
    measured, tracked = measured_again(measurer, frames, tracks)
    assert np.corrcoef(measured[:, 0], tracked[:, 0])[0, 1] > 0.97
    assert np.corrcoef(measured[:, 1], tracked[:, 1])[0, 1] > 0.9
    assert 0.9 < np.polyfit(tracked[:, 0], measured[:, 0], 1)[0] < 1.1


def of_generated(measurer: MouthMeasurer, clip: Clip, reference: np.ndarray, lower: np.ndarray, index: int = SHOWN) -> MouthMeasurement:
    """Return the measurement of `lower`, float32 [n, 96, 3], on a frame of the clip."""
    box = Framing(clip.tracks, reference)(index)
    assert box is not None
    landmarks = clip.tracks.landmarks(index, index + 1)[0]
    return measurer.measure(clip.frames[index], landmarks, box, lower, reference)


def test_the_measured_opening_grows_with_that_of_the_image(
    measurer: MouthMeasurer, clip: Clip, reference: np.ndarray, mouths: MouthImages
) -> None:
    opening = [of_generated(measurer, clip, reference, lower).opening for lower in mouths.lower]
    assert opening[-1] > opening[0] + 0.06
    assert np.corrcoef(opening, np.arange(len(opening)))[0, 1] > 0.97


def test_the_generated_mouth_is_measured_and_not_that_of_the_frame(
    measurer: MouthMeasurer, clip: Clip, reference: np.ndarray, mouths: MouthImages
) -> None:
    """The same mouth on frames in which the head is elsewhere."""
    on = [of_generated(measurer, clip, reference, mouths.lower[-1], index) for index in (0, SHOWN, 35, 49)]
    assert np.ptp([measurement.opening for measurement in on]) < 0.02
    assert np.ptp([measurement.width for measurement in on]) < 0.03


def test_fewer_rows_are_pasted_in_their_place(measurer: MouthMeasurer, clip: Clip, reference: np.ndarray, mouths: MouthImages) -> None:
    whole, less = (of_generated(measurer, clip, reference, mouths.lower[12][skipped:]) for skipped in (0, 6))
    assert abs(whole.opening - less.opening) < 0.01
    assert abs(whole.width - less.width) < 0.02


def test_neither_frame_nor_mouth_image_is_changed(measurer: MouthMeasurer, clip: Clip, reference: np.ndarray, mouths: MouthImages) -> None:
    lower, planes = mouths.lower[5].copy(), clip.frames[SHOWN].i420().copy()
    of_generated(measurer, clip, reference, lower)
    assert np.array_equal(lower, mouths.lower[5])
    assert np.array_equal(planes, clip.frames[SHOWN].i420())
