"""Several persons, one at a time, in videos made of real clips: one of them is the presenter."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.face.image_view import ImageView
from heygem_daemon.lipsync.face.likeness import Likeness, read_texture
from heygem_daemon.lipsync.face.mesh import FaceMesh, region_of
from heygem_daemon.lipsync.face.selection import Tracklet, _presenter_tracks
from heygem_daemon.lipsync.face.track_parts import Part
from heygem_daemon.lipsync.face.track_video import track_video, track_video_in_parts
from heygem_daemon.lipsync.face.tracker import FaceTracker
from heygem_daemon.lipsync.face_tracks import FaceSelection, FaceTracks
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.reader import VideoReader
from tests.disk_cache import cached

HER: Final = "vr_face4_700_30_h264.mp4"
HIM: Final = "vr_face2_844_25_h264.mp4"
WEBCAM: Final = "softcatala_webcam_1080x720_30.mp4"
GRID: Final = ("grid_bbaf2n_360x288_25.mpg", "grid_lbbc2a_360x288_25.mpg", "grid_sbwe5n_360x288_25.mpg")
SQUARE: Final = "crop='min(iw,ih)':'min(iw,ih)',scale=320:320,setsar=1,fps=25"
TURNS: Final = (30, 25, 30, 25)
"""Frames of the shots: her, him, her, him."""
Sight = tuple[Image, Float32]
"""A frame, BGR, and the landmarks of the face in it."""


def encode(name: str, sources: tuple[Path, ...], graph: str) -> Path:
    def build(folder: Path) -> None:
        inputs = [argument for source in sources for argument in ("-i", str(source))]
        options = ("-an", "-r", "25", "-crf", "16", "-preset", "veryfast", "-g", "12")
        subprocess.run(
            ("ffmpeg", "-v", "error", *inputs, "-filter_complex", graph, *options, str(folder / "v.mp4")), check=True, timeout=60
        )

    return cached(name, build, is_of_product=False) / "v.mp4"


@pytest.fixture(scope="module")
def turns(shared_media: Path) -> Path:
    """Her and him in close-up by turns, by hard cuts; he is larger in the frame."""
    graph = (
        f"[0:v]{SQUARE},split[a][b];[1:v]{SQUARE},split[c][d];[a]trim=end_frame=30[e];[c]trim=end_frame=25[f];"
        "[b]trim=start_frame=40:end_frame=70,setpts=PTS-STARTPTS[g];[d]trim=start_frame=30:end_frame=55,setpts=PTS-STARTPTS[h];"
        "[e][f][g][h]concat=n=4"
    )
    return encode("turns", (shared_media / HER, shared_media / HIM), graph)


@pytest.fixture(scope="module")
def dissolve(shared_media: Path) -> Path:
    """Her, from frame 40 on in a dissolve of twelve frames into him, and from frame 92 on back again."""
    graph = (
        f"[0:v]{SQUARE},split[a][b];[1:v]{SQUARE},trim=end_frame=64[c];[a]trim=end_frame=52[d];"
        "[b]trim=start_frame=60:end_frame=112,setpts=PTS-STARTPTS[e];"
        "[d][c]xfade=duration=0.48:offset=1.6[f];[f][e]xfade=duration=0.48:offset=3.68"
    )
    return encode("dissolve", (shared_media / HER, shared_media / HIM), graph)


def track(path: Path, weights: Path, directory: Path, selection: FaceSelection = "largest") -> FaceTracks:
    info = check_video(path)
    assert info.video is not None
    size = (info.video.width, info.video.height)
    frames = VideoReader(info).frames()
    return track_video(frames, size=size, frame_rate=Fraction(25), models=weights, selection=selection, directory=directory)


def stretches(tracks: FaceTracks) -> list[tuple[int, int]]:
    """Return (start, stop) of the frames with a face."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], tracks.valid.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def test_of_two_persons_in_close_up_by_turns_one_is_the_presenter(turns: Path, weights: Path, tmp_path: Path) -> None:
    tracks = track(turns, weights, tmp_path)
    assert tracks.shot.tolist() == [shot for shot, frames in enumerate(TURNS) for _ in range(frames)]
    assert stretches(tracks) == [(30, 55), (85, 110)], "he is larger"


def test_in_a_dissolve_no_face_is_used_and_between_two_is_somebody_else(dissolve: Path, weights: Path, tmp_path: Path) -> None:
    tracks = track(dissolve, weights, tmp_path)
    (first, last), (start, stop) = stretches(tracks)
    assert (first, stop) == (0, 144)
    assert 39 <= last <= 42
    assert 103 <= start <= 112
    assert not tracks.shot.any(), "a drawn mouth fades out and in"


@pytest.mark.parametrize("start", [50, 100], ids=["within-a-dissolve", "behind-one"])
def test_parts_find_the_presenter_and_the_dissolves_of_one_pass(dissolve: Path, weights: Path, tmp_path: Path, start: int) -> None:
    info, parts = check_video(dissolve), (Part(first=0, start=0, stop=start), Part(first=max(0, start - 60), start=start, stop=None))
    assert info.video is not None
    wanted = track(dissolve, weights, tmp_path / "one")
    found = track_video_in_parts(info, info.video, parts, models=weights, selection="largest", directory=tmp_path / "parts")
    assert found.valid.tolist() == wanted.valid.tolist()
    assert found.shot.tolist() == wanted.shot.tolist()


def test_a_presenter_keeps_every_frame_in_shots_of_other_sizes_and_light(shared_media: Path, weights: Path, tmp_path: Path) -> None:
    shots = (
        ("trim=0:0.8", "crop=720:720:180:0", "null"),
        ("trim=2:2.6", "crop=480:480:420:60", "eq=brightness=-0.15:saturation=0.5"),
        ("trim=3.5:4.3", "hflip,crop=600:600:100:60", "colorbalance=rs=0.2:bs=-0.2"),
        ("trim=5:5.8", "crop=720:720:300:0", "curves=preset=lighter,vignette=PI/3"),
        ("trim=7:7.8", "crop=500:500:420:80", "hue=s=0"),
    )
    names = [f"s{i}" for i in range(len(shots))]
    graph = f"[0:v]fps=25,split={len(shots)}" + "".join(f"[{name}]" for name in names)
    for name, (part, place, light) in zip(names, shots, strict=True):
        graph += f";[{name}]{part},setpts=PTS-STARTPTS,{place},scale=320:320,setsar=1,{light},format=yuv420p[{name}x]"
    graph += ";" + "".join(f"[{name}x]" for name in names) + f"concat=n={len(shots)}"
    clip = encode("one-presenter", (shared_media / WEBCAM,), graph)
    tracks = track(clip, weights, tmp_path)
    assert tracks.shot[-1] == len(shots) - 1
    assert tracks.valid.all()


def test_a_fast_zoom_is_one_shot(shared_media: Path, weights: Path, tmp_path: Path) -> None:
    """From frame 25 on she is 8 % larger in every frame, as after a cut; at frame 45 there is one."""
    zoom = "zoompan=z='if(lt(in,25),1,if(lt(in,45),min(1.8,1+(in-25)/12),1))':x='(iw-iw/zoom)/2':y='(ih-ih/zoom)*0.3':d=1:s=320x320:fps=25"
    graph = f"[0:v]fps=25,trim=end_frame=60,crop=600:600:80:0,scale=960:960,{zoom},setsar=1"
    clip = encode("zoom", (shared_media / HER,), graph)
    tracks = track(clip, weights, tmp_path)
    assert tracks.valid.all()
    assert tracks.shot.tolist() == [0] * 45 + [1] * 15
    tracker, cuts = FaceTracker(weights), []
    for frame in VideoReader(check_video(clip)).frames():
        before = tracker.shot
        tracker.follow(frame)
        cuts += [frame.index] if tracker.shot != before else []
    assert len(cuts) > 4, "neighbouring frames alone do not show it"


@pytest.mark.parametrize(("selection", "wanted"), [("largest", 1), ("left", 0)])
def test_the_presenter_is_found_again_beside_others(
    shared_media: Path, weights: Path, tmp_path: Path, selection: FaceSelection, wanted: int
) -> None:
    """Both of them, then him, then her: who is selected shot by shot in more of the video is not driven with the other's mouth."""
    graph = (
        f"[0:v]{SQUARE},split[a][b];[1:v]{SQUARE},split[c][d];[a]trim=end_frame=20[e];[c]trim=end_frame=20[f];[e][f]hstack[w];"
        f"[{'d' if wanted else 'b'}]trim=start_frame=20:end_frame=60,setpts=PTS-STARTPTS,pad=640:320:160:0[l];"
        f"[{'b' if wanted else 'd'}]trim=start_frame=20:end_frame=35,setpts=PTS-STARTPTS,pad=640:320:160:0[s];[w][l][s]concat=n=3"
    )
    clip = encode(f"interview-{wanted}", (shared_media / HER, shared_media / HIM), graph)
    tracks = track(clip, weights, tmp_path, selection)
    assert stretches(tracks) == [(0, 60)]
    assert (np.nanmean(tracks.landmarks(0, 20)[:, 1, 0]) > 320) == bool(wanted)


@pytest.mark.parametrize(("is_alone", "wanted"), [(True, {0, 1, 2}), (False, {0, 1})])
def test_in_doubt_a_shot_is_the_presenters_where_nobody_else_is_in_the_video(
    sights: dict[str, list[Sight]], is_alone: bool, wanted: set[int]
) -> None:
    def person(track: int, name: str, frames: int, *, is_turned: bool = False) -> Tracklet:
        result = Tracklet([track])
        for number, (image, landmarks) in enumerate(sights[name][:frames]):
            result.add(number, landmarks, (2000, 2000), None if is_turned else read_texture(ImageView(image), landmarks))
        return result

    shots = [[person(0, WEBCAM, 10)], [person(1, WEBCAM, 4)], [person(2, WEBCAM, 4, is_turned=True)]]
    others = [] if is_alone else [[person(3, HER, 4)]]
    assert _presenter_tracks([*shots, *others], "largest", (2000, 2000)) == wanted


# -- likeness ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sights(shared_media: Path, weights: Path) -> dict[str, list[Sight]]:
    """Some frames of six persons, BGR, each with its landmarks."""
    found = {}
    for name in (HER, HIM, WEBCAM, *GRID):
        tracker = FaceTracker(weights)
        frames = VideoReader(check_video(shared_media / name)).frames(0, 30)
        found[name] = [(frame.bgr(), tracker.follow(frame)[0].landmarks) for frame in frames][::3]
    return found


def likeness(sights: list[Sight]) -> Likeness:
    looks = Likeness()
    for image, landmarks in sights:
        looks.add(landmarks, read_texture(ImageView(image), landmarks))
    return looks


def changed(sights: list[Sight], weights: Path, change: Callable[[Image, Float32], Image], scale: float = 1.0) -> list[Sight]:
    """Return the sights changed in their pixels, their landmarks read anew."""
    mesh, result = FaceMesh(weights), []
    for image, landmarks in sights:
        other = change(image, landmarks)
        found, score = mesh.refine(ImageView(other), region_of(landmarks * np.float32(scale)))
        assert score > 0.5
        result.append((other, found))
    return result


def lit_from_the_side(image: Image, landmarks: Float32) -> Image:
    eyes = np.linalg.norm(landmarks[33] - landmarks[263])
    light = np.exp(0.5 * (np.arange(image.shape[1]) - landmarks[:, 0].mean()) / eyes)
    return np.asarray(np.clip(image * np.clip(light, 0.2, 4)[None, :, None], 0, 255), np.uint8)


def test_persons_differ_and_each_is_like_itself(sights: dict[str, list[Sight]]) -> None:
    """The three of GRID, under one light and small, are too similar to be told apart for sure."""
    looks = {name: likeness(seen) for name, seen in sights.items()}
    for name, seen in sights.items():
        first, second = likeness(seen[:5]), likeness(seen[5:])
        assert first.distance(second) < 0.2, name
        for other in set(looks) - {name}:
            assert looks[name].distance(looks[other]) > 0.24, (name, other)
            assert looks[name].differs(looks[other]) or {name, other} <= {*GRID} | {HIM}, (name, other)


@pytest.mark.parametrize("name", [HER, WEBCAM])
def test_other_light_and_size_and_a_mirror_leave_a_person_the_same(sights: dict[str, list[Sight]], weights: Path, name: str) -> None:
    half = changed(sights[name], weights, lambda image, _: np.asarray(cv2.resize(image, None, fx=0.25, fy=0.25), np.uint8), 0.25)
    lit = changed(sights[name], weights, lit_from_the_side)
    mesh, turned = FaceMesh(weights), []
    for image, landmarks in sights[name]:  # mirrored
        other, region = np.ascontiguousarray(image[:, ::-1]), region_of(landmarks)
        region = replace(region, x=image.shape[1] - region.x, angle=-region.angle)
        turned.append((other, mesh.refine(ImageView(other), region)[0]))
    versions = [likeness(seen) for seen in (sights[name], half, lit, turned)]
    assert max(a.distance(b) for a in versions for b in versions) < 0.33
    stranger = likeness(sights[HIM])
    assert all(version.differs(stranger) for version in versions)


def test_who_is_seen_too_little_may_be_anybody(sights: dict[str, list[Sight]]) -> None:
    her, glimpse = likeness(sights[HER]), likeness(sights[HIM][:2])
    assert not glimpse.is_known
    assert not her.differs(glimpse)
    assert not her.differs(Likeness())
    assert likeness(sights[HIM][:3]).differs(her)
    dark = [
        (np.asarray(image * (np.arange(image.shape[1]) < landmarks[4, 0])[:, None], np.uint8), landmarks)
        for image, landmarks in sights[HIM]
    ]
    assert not likeness(dark).is_known, "half of the face is black"


def test_looks_of_several_shots_are_kept_together(sights: dict[str, list[Sight]]) -> None:
    both = reduce(Likeness.merge, [likeness(sights[name]) for name in (HER, HIM)] * 20)
    assert all(both.distance(likeness(sights[name][3:])) < 0.2 for name in (HER, HIM))
    assert both.differs(likeness(sights[WEBCAM]))
