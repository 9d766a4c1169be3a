"""The atlas renderer keeps the contract of renderers, and more."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.lipsync.atlas import store
from heygem_daemon.lipsync.atlas.draw_plan import DrawSpec
from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer, PreparedAtlas
from heygem_daemon.lipsync.atlas.retrieval import CandidateIndex
from heygem_daemon.lipsync.face.track_video import track_video
from heygem_daemon.lipsync.face.tracker import FaceTracker
from heygem_daemon.lipsync.face_tracks import TracksWriter
from heygem_daemon.lipsync.geometry.mouth_metrics import lip_opening
from heygem_daemon.lipsync.geometry.mouth_model import opening_of
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.progress import Progress
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from tests.lipsync.atlas.conftest import THREADS
from tests.lipsync.conftest import Clip
from tests.lipsync.renderer_contract import RendererContract, Stage, same, syllables


class TestAtlasIsARenderer(RendererContract):
    @pytest.fixture(scope="class")
    @classmethod
    def stage(cls, clip: Clip, renderer: AtlasRenderer, prepared: PreparedAtlas) -> Stage:
        points = clip.tracks.landmarks(0, clip.tracks.frames)[..., :2]
        (x0, y0), (x1, y1) = np.nanmin(points, (0, 1)), np.nanmax(points, (0, 1))
        margin = 0.6 * (x1 - x0)
        box = (max(0, int(x0 - margin / 2)), int(y0), min(384, int(x1 + margin / 2)), min(384, int(y1 + margin)))
        return Stage(renderer=renderer, prepared=prepared, frames=clip.frames, faceless=frozenset(clip.gap), face=box, at_once=THREADS + 1)


def test_the_mouth_fades_out_before_a_gap_and_in_after_it(clip: Clip, renderer: AtlasRenderer, prepared: PreparedAtlas) -> None:
    wide = replace(syllables(50), opening=np.ones(50, np.float32))
    done = list(renderer.render(prepared, clip.frames, [wide]))
    change = [np.abs(after.frame.y.astype(int) - before.y.astype(int)).mean() for before, after in zip(clip.frames, done, strict=True)]
    assert change[10] > 2 * change[22] > change[23] > change[24] == 0
    assert change[27] == 0 < change[28] < change[40] / 2


def test_shut_lips_overlap_where_their_source_mouth_is_open(
    clip: Clip, renderer: AtlasRenderer, prepared: PreparedAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = replace(syllables(20), opening=np.zeros(20, np.float32))

    def openings(shown: float) -> list[float]:
        monkeypatch.setattr(store.Presenter, "shown_opening", lambda *_: shown)
        specs = [task.spec for task in renderer.tasks(prepared, clip.frames[:20], [shut])]
        return [float(opening_of(spec.target)) for spec in specs if spec is not None]

    assert max(openings(0.2)) < -0.015
    assert min(openings(0.0)) > -0.001


def specs_of(clip: Clip, renderer: AtlasRenderer, prepared: PreparedAtlas, motion: MouthMotion) -> list[DrawSpec]:
    return [task.spec for task in renderer.tasks(prepared, clip.frames, [motion]) if task.spec is not None]


def test_no_two_frames_show_through_each_other_where_teeth_are_seen(
    clip: Clip, renderer: AtlasRenderer, prepared: PreparedAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CandidateIndex, "is_jump", lambda *_: True)
    monkeypatch.setattr(store.Presenter, "shown_opening", lambda *_: 0.0)
    opening = np.repeat([0.0, 0.6, 0.0, 0.6], 5).astype(np.float32)
    specs = specs_of(clip, renderer, prepared, replace(syllables(20), opening=opening))
    opened = [float(opening_of(spec.target)) > 0.031 for spec in specs]
    assert {len(spec.rows) for spec, is_open in zip(specs, opened, strict=True) if is_open} == {1}
    assert {len(spec.rows) for spec, is_open in zip(specs, opened, strict=True) if not is_open} == {2}
    monkeypatch.setattr(store.Presenter, "shown_opening", lambda *_: 0.1)
    specs = specs_of(clip, renderer, prepared, replace(syllables(20), opening=opening))
    assert {len(spec.rows) for spec in specs} == {1}, "nor is an open mouth between shut lips"


def test_a_mouth_far_wider_open_than_its_source_shows_another_interior_and_else_its_own(
    clip: Clip, renderer: AtlasRenderer, prepared: PreparedAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = replace(syllables(20), opening=np.full(20, 0.9, np.float32))
    apart = prepared.presenter.lips_apart
    monkeypatch.setattr("heygem_daemon.lipsync.atlas.renderer.SHOWS_INTERIOR", float(np.sort(apart)[-2]))
    monkeypatch.setattr(CandidateIndex, "opening", lambda *_: 0.02)
    specs = specs_of(clip, renderer, prepared, wide)[:14]
    assert {(spec.interior, spec.interior_row) for spec in specs} == {(1.0, int(apart.argmax()))}
    monkeypatch.setattr(CandidateIndex, "opening", lambda *_: 1.0)
    assert {spec.interior for spec in specs_of(clip, renderer, prepared, wide)[:14]} == {0.0}


def test_closed_lips_are_not_apart_however_open_they_measure(prepared: PreparedAtlas) -> None:
    presenter = prepared.presenter
    measured, wide = opening_of(presenter.faces.canonical), presenter.mouth.openings[1]
    lips = replace(presenter, mouth=replace(presenter.mouth, is_talking=True)).lips_apart
    closed = min(presenter.closed_opening, store.LARGEST_CLOSED)
    assert closed > 0
    assert lips[measured <= closed].max(initial=0) == 0
    assert (np.diff(lips[np.argsort(measured)]) >= 0).all()
    assert (lips <= measured.clip(0) + 1e-9).all()
    assert lips[measured > wide] == pytest.approx(measured[measured > wide])


def test_a_mouth_does_not_snap_open(clip: Clip, renderer: AtlasRenderer, prepared: PreparedAtlas) -> None:
    snapping = replace(syllables(20), opening=np.repeat([0.0, 0.62], 10).astype(np.float32))
    found = [task.target_opening for task in renderer.tasks(prepared, clip.frames[:20], [snapping])]
    shut, first, second, last = found[9], found[10], found[11], found[15]
    assert shut < 0.025
    assert (first - shut) / (last - shut) == pytest.approx(0.36 / 0.62, abs=0.05)
    assert second == pytest.approx(last, abs=1e-3)


def test_a_prepared_workspace_is_used_again(
    clip: Clip, renderer: AtlasRenderer, prepared: PreparedAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the video was read again")

    monkeypatch.setattr(VideoReader, "frames", fail)
    again = renderer.prepare(probe(clip.path), clip.tracks, prepared.presenter.workspace, lambda _: None)
    assert np.array_equal(again.presenter.faces.points, prepared.presenter.faces.points)
    assert again.presenter.mouth.openings == prepared.presenter.mouth.openings


@pytest.mark.parametrize("damage", ["absent", "older", "crops", "garbage"])
def test_a_damaged_workspace_is_not_trusted(prepared: PreparedAtlas, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    presenter = prepared.presenter
    crops = tmp_path / "mouths.bin"
    crops.write_bytes((presenter.workspace / "mouths.bin").read_bytes())
    if damage != "absent":
        store.save(replace(presenter, workspace=tmp_path))
        assert store.load(tmp_path) is not None
    if damage == "older":
        monkeypatch.setattr(store, "VERSION", "atlas 999")
    elif damage == "crops":
        crops.write_bytes(crops.read_bytes()[:-1])
    elif damage == "garbage":
        (tmp_path / "presenter.npz").write_bytes(b"PK\x03\x04 no archive")
    assert store.load(tmp_path) is None


def test_crops_are_the_pixels_of_their_frames(clip: Clip, prepared: PreparedAtlas) -> None:
    presenter = prepared.presenter
    crop, frame = presenter.crop(3), clip.frames[int(presenter.faces.index[3])]
    x, y = presenter.origins[3]
    assert (x % 2, y % 2, crop.width % 2, crop.height % 2) == (0, 0, 0, 0)
    assert np.array_equal(crop.y, frame.y[y : y + crop.height, x : x + crop.width])
    assert np.array_equal(crop.v, frame.v[y // 2 : (y + crop.height) // 2, x // 2 : (x + crop.width) // 2])


def test_threads_draw_what_one_draws(clip: Clip, prepared: PreparedAtlas) -> None:
    one, three = (
        [done.frame for done in AtlasRenderer(threads=threads).render(prepared, clip.frames, [syllables(50)])] for threads in (1, 3)
    )
    assert all(same(a, b) for a, b in zip(one, three, strict=True))


def test_a_video_without_a_face_is_refused(clip: Clip, renderer: AtlasRenderer, tmp_path: Path) -> None:
    with TracksWriter(tmp_path / "none", size=(384, 384), frame_rate=Fraction(25)) as writer:
        for _ in range(50):
            writer.append(None, score=0.0, shot=0)
        tracks = writer.finish()
    with pytest.raises(InputError) as refused:
        renderer.prepare(probe(clip.path), tracks, tmp_path / "atlas", lambda _: None)
    assert refused.value.code == "no_face"


def test_the_progress_of_the_harvest_runs_to_its_end(clip: Clip, renderer: AtlasRenderer, tmp_path: Path) -> None:
    steps: list[Progress] = []
    renderer.prepare(probe(clip.path), clip.tracks, tmp_path, steps.append)
    assert (steps[-1].stage, steps[-1].done) == ("harvest", steps[-1].total)


def test_a_still_portrait_speaks(portrait: Path, weights: Path, tmp_path: Path) -> None:
    info = probe(portrait)
    frames = list(VideoReader(info).frames())
    (found,) = FaceTracker(weights).follow(frames[0])
    with TracksWriter(tmp_path / "tracks", size=(512, 512), frame_rate=Fraction(25)) as writer:
        writer.append(found.landmarks, score=1.0, shot=0)
        tracks = writer.finish()
    renderer = AtlasRenderer("cpu", models=weights)
    ready = renderer.prepare(info, tracks, tmp_path / "atlas", lambda _: None)
    done = list(renderer.render(ready, frames * 24, [syllables(24)]))
    tracker = FaceTracker(weights)
    measured = [float(lip_opening(tracker.follow(one.frame)[0].landmarks[None])[0]) for one in done]
    assert np.corrcoef(measured, [one.target_opening for one in done])[0, 1] > 0.9
    assert max(measured) > min(measured) + 0.05
    assert not same(done[0].frame, frames[0])


def test_a_real_presenter_shows_the_target_opening(shared_media: Path, weights: Path, tmp_path: Path) -> None:
    info = probe(shared_media / "vr_face2_844_25_h264.mp4")
    frames = list(VideoReader(info).frames(0, 60))
    size = (frames[0].width, frames[0].height)
    tracks = track_video(frames, size=size, frame_rate=Fraction(25), models=weights, directory=tmp_path / "tracks")
    renderer = AtlasRenderer("cpu", models=weights)
    ready = renderer.prepare(info, tracks, tmp_path / "atlas", lambda _: None)
    done = list(renderer.render(ready, frames, [syllables(60)]))
    tracker = FaceTracker(weights)
    measured = [float(lip_opening(tracker.follow(one.frame)[0].landmarks[None])[0]) for one in done]
    target = [one.target_opening for one in done]
    assert np.corrcoef(measured, target)[0, 1] > 0.93
    assert 0.7 < np.polyfit(target, measured, 1)[0] < 1.2


def test_the_mouth_rests_after_the_motion_ended(clip: Clip, renderer: AtlasRenderer, prepared: PreparedAtlas) -> None:
    done = list(renderer.render(prepared, clip.frames[:12], [syllables(3)]))
    assert done[-1].target_opening == pytest.approx(float(opening_of(prepared.presenter.mouth.rest)), abs=0.02)


def test_the_keys_of_the_stored_arrays_stay_so_that_older_caches_are_read(prepared: PreparedAtlas) -> None:
    with np.load(prepared.presenter.workspace / "presenter.npz") as arrays:
        stored = sorted(arrays.files)
    presenter = ["reference", "sharpness", "interiors", "origins", "sizes", "skins", "is_clear", "covers", "correction"]
    mouth, faces = ["rest", "weight", "open_basis", "width_basis"], ["index", "picture", "canonical", "angles", "scale"]
    assert stored == sorted(["head", *presenter, *mouth, *faces])


def without_colour(frame: Frame) -> Frame:
    return replace(frame, u=np.full_like(frame.u, 128), v=np.full_like(frame.v, 128), packed=None)


def one_hue(frame: Frame) -> Frame:
    """Return the frame in night-vision green: chroma is a function of brightness."""
    brightness = frame.y[::2, ::2].astype(float) - 16
    u, v = (np.round(128 + slope * brightness).astype(np.uint8) for slope in (-0.2, -0.3))
    return replace(frame, u=u, v=v, packed=None)


@pytest.mark.parametrize(("grade", "tolerance"), [(without_colour, 0), (one_hue, 16)])
def test_the_mouth_has_the_colour_of_a_video_of_one_colour(
    clip: Clip, renderer: AtlasRenderer, tmp_path: Path, grade: Callable[[Frame], Frame], tolerance: int
) -> None:
    frames = [grade(frame) for frame in clip.frames]
    prepared = renderer.prepare_from(lambda start, stop: frames[start:stop], clip.tracks, tmp_path / "atlas", lambda _: None)
    assert prepared.presenter.grading.saturation == 0
    wide = replace(syllables(20), opening=np.ones(20, np.float32))
    drawn = list(renderer.render(prepared, frames[:20], [wide]))[10].frame
    assert np.abs(drawn.y.astype(int) - frames[10].y).max() > 30
    expected = grade(drawn)
    for plane in ("u", "v"):
        assert np.abs(getattr(drawn, plane).astype(int) - getattr(expected, plane)).max() <= tolerance


def test_the_mouth_of_a_video_in_colours_is_painted_in_its_own(prepared: PreparedAtlas) -> None:
    assert prepared.presenter.grading.saturation == 1
