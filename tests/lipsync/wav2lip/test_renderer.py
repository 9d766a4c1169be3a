"""The renderer `paste` keeps the contract of renderers, fades where a mouth must not be drawn, and does not flicker."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer, PreparedAtlas
from heygem_daemon.lipsync.geometry.landmarks import LIP_AREA
from heygem_daemon.lipsync.geometry.mouth_model import opening_of
from heygem_daemon.lipsync.geometry.pose import FaceReader
from heygem_daemon.lipsync.motion import MouthMotion
from heygem_daemon.lipsync.ports import RenderedFrame
from heygem_daemon.lipsync.wav2lip.renderer import PasteRenderer, reduce_flicker
from heygem_daemon.media.frame import Frame
from heygem_daemon.media.probe import probe
from tests.lipsync.conftest import Clip
from tests.lipsync.renderer_contract import RendererContract, Stage, same, syllables
from tests.lipsync.wav2lip.fake_generator import SHOWN, MouthImages
from tests.lipsync.wav2lip.tracked import write_tracks


@pytest.fixture(scope="module")
def renderer() -> PasteRenderer:
    return PasteRenderer(AtlasRenderer().prepare)


@pytest.fixture(scope="module")
def with_images(mouths: MouthImages) -> Callable[[MouthMotion], MouthMotion]:
    """Add mouth images to motion."""
    return lambda motion: replace(motion, mouth_images=mouths.showing(motion.opening))


class TestPasteIsARenderer(RendererContract):
    @pytest.fixture(scope="class")
    @classmethod
    def stage(
        cls, clip: Clip, renderer: PasteRenderer, prepared: PreparedAtlas, with_images: Callable[[MouthMotion], MouthMotion]
    ) -> Stage:
        points = clip.tracks.landmarks(0, clip.tracks.frames)[..., :2]
        (x0, y0), (x1, y1) = np.nanmin(points, (0, 1)).astype(int), np.nanmax(points, (0, 1)).astype(int)
        below = int(y0 + 0.4 * (y1 - y0))
        return Stage(
            renderer=renderer,
            prepared=prepared,
            frames=clip.frames[clip.gap.start - 12 : clip.gap.stop + 10],
            faceless=frozenset(range(12, 12 + len(clip.gap))),
            face=(int(x0), below, int(x1), int(y1) + 12),
            completed=with_images,
        )


def wide(count: int) -> MouthMotion:
    return replace(syllables(count), opening=np.ones(count, np.float32))


def rendered(renderer: PasteRenderer, prepared: PreparedAtlas, frames: list[Frame], mouth_images: np.ndarray) -> list[RenderedFrame]:
    return list(renderer.render(prepared, frames, [replace(wide(len(frames)), mouth_images=mouth_images)]))


# -- fading --------------------------------------------------------------------------------------------------------------------------------


def test_without_mouth_images_the_frames_are_not_changed(clip: Clip, renderer: PasteRenderer, prepared: PreparedAtlas) -> None:
    done = list(renderer.render(prepared, clip.frames[:12], [wide(12)]))
    assert all(same(one.frame, frame) and not one.is_drawn for one, frame in zip(done, clip.frames, strict=False))
    assert len(done) == 12


def test_the_mouth_fades_out_before_a_gap_and_in_after_it(clip: Clip, renderer: PasteRenderer, prepared: PreparedAtlas) -> None:
    around = list(clip.frames[clip.gap.start - 10 : clip.gap.stop + 10])
    done = rendered(renderer, prepared, around, np.repeat(flickering(1, 30.0), 24, 0))
    change = [np.abs(after.frame.y.astype(int) - before.y).mean() for before, after in zip(around, done, strict=True)]
    assert change[2] > 2 * change[8] > change[9] > change[10] == 0
    assert change[13] == 0 < change[14] < change[22] / 2
    assert change[4:10] == sorted(change[4:10], reverse=True)
    assert change[14:19] == sorted(change[14:19])
    assert change[16] < 0.75 * change[22]


def test_after_the_last_mouth_image_the_mouth_fades_out(
    clip: Clip, renderer: PasteRenderer, prepared: PreparedAtlas, with_images: Callable[[MouthMotion], MouthMotion]
) -> None:
    done = list(renderer.render(prepared, clip.frames[:20], [with_images(wide(10))]))
    assert [one.is_drawn for one in done] == [True] * 10 + [False] * 10
    assert done[2].target_opening > done[6].target_opening > done[9].target_opening


def test_the_target_is_the_opening_of_the_motion_in_the_presenters_range(
    clip: Clip, renderer: PasteRenderer, prepared: PreparedAtlas, mouths: MouthImages
) -> None:
    openings = np.linspace(0, 1, 12, dtype=np.float32)
    motion = replace(syllables(12), opening=openings, mouth_images=mouths.showing(openings))
    shut, open_wide = prepared.presenter.mouth.openings
    targets = [one.target_opening for one in renderer.render(prepared, clip.frames[5:17], [motion])]
    assert targets[:6] == pytest.approx(shut + (open_wide - shut) * openings[:6], abs=1e-6)


def test_the_target_of_a_fading_mouth_is_between_the_motion_and_the_frame(
    clip: Clip, renderer: PasteRenderer, prepared: PreparedAtlas, with_images: Callable[[MouthMotion], MouthMotion]
) -> None:
    done = list(renderer.render(prepared, clip.frames[14:26], [with_images(wide(12))]))
    face = FaceReader(clip.tracks, prepared.presenter.reference)(21)
    assert face is not None
    own, target = float(opening_of(face.canonical)), prepared.presenter.mouth.openings[1]
    assert done[7].target_opening == pytest.approx(own + 0.5 * (target - own), abs=1e-6)


def test_a_video_without_a_face_is_refused(clip: Clip, renderer: PasteRenderer, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        renderer.prepare(probe(clip.path), write_tracks(tmp_path / "none", [None] * 50), tmp_path / "atlas", lambda _: None)
    assert refused.value.code == "no_face"


# -- flicker -------------------------------------------------------------------------------------------------------------------------------


def flickering(count: int, deviation: float = 1.5) -> np.ndarray:
    """Return grey images [count, 52, 96, 3] with noise of their own."""
    return np.random.default_rng(0).normal(128, deviation, (count, 52, 96, 3)).astype(np.float32)


def test_still_skin_flickers_less() -> None:
    before, now, after = flickering(3)
    assert (reduce_flicker(before, now, after) - 128).std() < 0.75 * (now - 128).std()


def test_a_still_image_is_not_changed(mouths: MouthImages) -> None:
    image = mouths.lower[3]
    np.testing.assert_allclose(reduce_flicker(image, image, image), image, atol=1e-4)


def test_a_mouth_that_opens_is_not_smeared(mouths: MouthImages) -> None:
    shut, between, wide_open = mouths.lower[0], mouths.lower[4], mouths.lower[-1]
    moving = np.maximum(np.abs(between - shut), np.abs(between - wide_open)).max(2) > 60
    change = np.abs(reduce_flicker(shut, between, wide_open) - between).max(2)
    assert moving.sum() > 30
    assert change[moving].max() < 0.5


def test_an_edge_that_moves_stays_sharp_while_the_skin_beside_it_flickers_less() -> None:
    noisy = flickering(3)
    for number, image in enumerate(noisy):
        image[:, : 40 + 4 * number] -= 80
    done = reduce_flicker(*noisy)
    np.testing.assert_allclose(done[:, 38:50], noisy[1, :, 38:50], atol=0.1)
    assert (done - 128)[:, 60:].std() < 0.75 * (noisy[1] - 128)[:, 60:].std()


def test_a_flickering_network_does_not_make_a_flickering_face(
    clip: Clip, renderer: PasteRenderer, prepared: PreparedAtlas, mouths: MouthImages
) -> None:
    points = clip.tracks.landmarks(SHOWN, SHOWN + 1)[0, list(LIP_AREA), :2].astype(int)
    rows, columns = (slice(points[:, axis].min(), points[:, axis].max()) for axis in (1, 0))
    noise = flickering(12) - 128

    def shown(mouth_images: np.ndarray) -> np.ndarray:
        done = rendered(renderer, prepared, [clip.frames[SHOWN]] * len(mouth_images), mouth_images)
        return np.stack([one.frame.y[rows, columns] for one in done]).astype(float)

    alone = np.concatenate([shown(mouths.lower[:1] + one) for one in noise[1:-1, None]])  # no neighbours to smooth with
    assert shown(mouths.lower[:1] + noise)[1:-1].std(0).mean() < 0.85 * alone.std(0).mean()


def test_nothing_is_smoothed_across_a_cut(clip: Clip, renderer: PasteRenderer, prepared: PreparedAtlas, mouths: MouthImages) -> None:
    """The frames after a jump, four grey levels brighter, do not change those before it."""
    frames = [*clip.frames[5:12], *clip.frames[35:42]]
    mouth_images = np.concatenate([np.repeat(mouths.lower[:1], 7, 0), np.repeat(mouths.lower[:1] + 4, 7, 0)])
    whole = rendered(renderer, prepared, frames, mouth_images)
    parts = [rendered(renderer, prepared, frames[part], mouth_images[part]) for part in (slice(7), slice(7, 14))]
    for one, alone in zip(whole, [*parts[0], *parts[1]], strict=True):
        assert same(one.frame, alone.frame)


def test_two_faces_at_once_do_not_disturb_each_other(
    clip: Clip, renderer: PasteRenderer, prepared: PreparedAtlas, with_images: Callable[[MouthMotion], MouthMotion]
) -> None:
    """One renderer may draw two videos, a frame of each in turn."""
    one, other = (renderer.render(prepared, clip.frames[start : start + 10], [with_images(wide(10))]) for start in (0, 30))
    mixed = [pair[0] for pair in zip(one, other, strict=True)]
    alone = renderer.render(prepared, clip.frames[:10], [with_images(wide(10))])
    assert all(same(a.frame, b.frame) for a, b in zip(mixed, alone, strict=True))
