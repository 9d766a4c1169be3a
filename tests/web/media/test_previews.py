"""Faces, stills, waveforms and playable copies over HTTP, made by the real child process."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

import httpx
import pytest
from fastapi import FastAPI

from heygem_daemon.media.probe import check_video
from heygem_daemon.settings import Settings
from heygem_daemon.web.app import create_app
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.context import WebContext, caller_of
from heygem_daemon.web.media import preview_client, preview_process
from heygem_daemon.web.media.preview_cache import FileIdentity, PreviewCache, default_folder
from heygem_daemon.web.media.preview_client import PreviewClient, PreviewSource
from heygem_daemon.web.problems import WebProblem
from tests.web.finished_job import archive_inputs, await_job, put_job
from tests.web.serving import serving
from tests.web.uploading import Uploading

JPEG = {"Content-Type": "image/jpeg"}
JOB = "20261122-231500-lesson-01-k3f9"


@pytest.fixture
def settings(settings: Settings, weights: Path) -> Settings:
    """The settings of the site, with the model files."""
    return settings.model_copy(update={"weights": weights})


@pytest.fixture
def uploading(client: httpx.Client) -> Uploading:
    return Uploading(client)


@pytest.fixture
def context(app: FastAPI) -> WebContext:
    return cast(WebContext, app.state.context)


@pytest.fixture(scope="module")
def jpeg(portrait: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("jpeg") / "portrait.jpg"
    subprocess.run(("ffmpeg", "-v", "error", "-i", str(portrait), str(path)), check=True, timeout=60)
    return path.read_bytes()


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video whose copy takes many seconds: one second, forty times."""
    second, path = (tmp_path_factory.mktemp("long") / name for name in ("second.mp4", "long.mp4"))
    source = ("-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=25:d=1")
    subprocess.run(("ffmpeg", "-v", "error", *source, "-c:v", "libx264", "-preset", "ultrafast", str(second)), check=True, timeout=120)
    subprocess.run(("ffmpeg", "-v", "error", "-stream_loop", "39", "-i", str(second), "-c", "copy", str(path)), check=True, timeout=60)
    return path


def until(holds: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def upload_id(location: str) -> str:
    return location.rpartition("/")[2]


def uploaded(uploading: Uploading, path: Path, role: str = "video") -> str:
    """Upload a file and return the id of its upload."""
    return upload_id(uploading.put(uploading.draft(), path.name, path.read_bytes(), role))


def dropped(outputs: Path, inbox: Path, client: httpx.Client, video: Path) -> str:
    """Put a finished job with this video into the site; return the address of its source."""
    put_job(outputs, JOB, files={"teacher.mp4": b"result"}, inbox=str(inbox))
    archive_inputs(inbox, JOB, files={"teacher.mov": video.read_bytes()})
    await_job(client, JOB)
    return f"/api/v1/jobs/{JOB}/sources/teacher"


# -- uploads ---------------------------------------------------------------------------------------------------------------


def test_the_face_check_of_an_upload_has_a_still_that_shows_it(client: httpx.Client, uploading: Uploading, portrait_clip: Path) -> None:
    upload = uploaded(uploading, portrait_clip)
    check = client.get(f"/api/v1/uploads/{upload}/faces").json()
    assert (check["verdict"], check["width"], check["height"]) == ("good", 384, 384)
    assert (check["faces"][0]["number"], check["faces"][0]["verdict"]) == (0, "good")
    assert check["still_url"] == f"/api/v1/uploads/{upload}/still"
    still = client.get(check["still_url"])
    assert (still.status_code, still.headers["content-type"], still.content[:3]) == (200, "image/jpeg", b"\xff\xd8\xff")


@pytest.mark.slow
def test_what_was_made_once_is_not_made_again(client: httpx.Client, context: WebContext, uploading: Uploading, portrait_clip: Path) -> None:
    upload = uploaded(uploading, portrait_clip)
    first = client.get(f"/api/v1/uploads/{upload}/faces").json()
    pid = context.previews.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: context.previews.process.pid is None)
    assert client.get(f"/api/v1/uploads/{upload}/faces").json() == first
    assert client.get(f"/api/v1/uploads/{upload}/still").status_code == 200
    assert context.previews.process.pid is None


def test_the_waveform_of_an_uploaded_recording(client: httpx.Client, uploading: Uploading, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    source = "aevalsrc=.5*sin(2*PI*440*t)*gte(t\\,1):s=16000:d=2"
    subprocess.run(("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, str(path)), check=True, timeout=60)
    upload = uploaded(uploading, path, "recording")
    peaks = client.get(f"/api/v1/uploads/{upload}/peaks", params={"count": 10}).json()
    assert (peaks["seconds"], [peak > 0.3 for peak in peaks["peaks"]]) == (2.0, [False] * 5 + [True] * 5)
    assert len(client.get(f"/api/v1/uploads/{upload}/peaks").json()["peaks"]) == 200  # one for each 10 ms
    assert client.get(f"/api/v1/uploads/{upload}/peaks", params={"count": 0}).status_code == 422


def test_an_upload_that_is_not_finished_or_not_there_or_of_somebody_else_has_no_preview(
    app: FastAPI, client: httpx.Client, uploading: Uploading, portrait_clip: Path
) -> None:
    draft = uploading.draft()
    begun = upload_id(uploading.begun(draft, "half.mp4", 1000))
    finished = upload_id(uploading.put(draft, "clip.mp4", portrait_clip.read_bytes()))
    for what in ("faces", "still", "peaks"):
        assert client.get(f"/api/v1/uploads/{begun}/{what}").json()["code"] == "draft_incomplete"
        assert client.get(f"/api/v1/uploads/{'0' * 32}-{'0' * 16}/{what}").status_code == 404
    app.dependency_overrides[caller_of] = lambda: Caller(name="ben", is_admin=False)
    for what in ("faces", "still", "peaks"):
        assert client.get(f"/api/v1/uploads/{finished}/{what}").status_code == 404


def test_a_link_put_in_the_place_of_an_upload_is_not_followed(
    client: httpx.Client, uploading: Uploading, inbox: Path, portrait_clip: Path, faceless_image: Path
) -> None:
    upload = uploaded(uploading, faceless_image)
    (path,) = (inbox / ".heygem-uploads").rglob(faceless_image.name)
    path.unlink()
    path.symlink_to(portrait_clip)
    assert client.get(f"/api/v1/uploads/{upload}/faces").status_code in {404, 409}


@pytest.fixture
def faceless_image(tmp_path: Path) -> Path:
    path = tmp_path / "faceless.png"
    source = ("-f", "lavfi", "-i", "testsrc2=s=320x240:d=1", "-frames:v", "1")
    subprocess.run(("ffmpeg", "-v", "error", *source, str(path)), check=True, timeout=60)
    return path


@pytest.mark.family(3)
@pytest.mark.parametrize(
    ("name", "content"),
    [("list.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"), ("noise.mp4", bytes(range(256)) * 40), ("note.mp4", b"hello")],
)
def test_a_hostile_upload_is_answered_with_an_error_in_words(client: httpx.Client, uploading: Uploading, name: str, content: bytes) -> None:
    upload = upload_id(uploading.put(uploading.draft(), name, content))
    for what in ("faces", "still", "peaks"):
        answer = client.get(f"/api/v1/uploads/{upload}/{what}")
        assert (answer.status_code, answer.json()["code"]) == (422, "preview_failed")
        assert name in answer.json()["message"]
        chinese = client.get(f"/api/v1/uploads/{upload}/{what}", headers={"Accept-Language": "zh-CN"}).json()["message"]
        assert chinese.startswith("无法预览该文件。")
        assert len(chinese) > len("无法预览该文件。")


@pytest.mark.slow
def test_missing_models_are_named_with_what_the_administrator_does(
    settings: Settings, portrait_clip: Path, jpeg: bytes, tmp_path: Path
) -> None:
    without = settings.model_copy(update={"weights": tmp_path / "none"})
    with serving(create_app(without)) as address, httpx.Client(base_url=address, timeout=60) as other:
        upload = uploaded(Uploading(other), portrait_clip)
        for answer in (other.get(f"/api/v1/uploads/{upload}/faces"), other.post("/api/v1/faces", content=jpeg, headers=JPEG)):
            assert (answer.status_code, answer.json()["code"]) == (424, "preview_models_missing")
            assert "heygem models fetch" in answer.json()["hint"]
        assert other.get(f"/api/v1/uploads/{upload}/still").status_code == 200


# -- stills of the browser ---------------------------------------------------------------------------------------------------


@pytest.mark.slow  # the broken stills below are followed by a good one
def test_the_faces_of_a_still_are_found(client: httpx.Client, portrait: Path, jpeg: bytes) -> None:
    for content, kind in ((jpeg, "image/jpeg"), (portrait.read_bytes(), "image/png")):
        check = client.post("/api/v1/faces", content=content, headers={"Content-Type": kind}).json()
        assert (check["verdict"], check["still_url"], len(check["faces"])) == ("good", None, 1)


@pytest.mark.family(3)
@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 half", b"GIF89a nothing", b"#EXTM3U\nfile:///etc/passwd\n"])
def test_a_broken_still_is_an_error_and_the_next_is_checked(client: httpx.Client, jpeg: bytes, content: bytes) -> None:
    answer = client.post("/api/v1/faces", content=content, headers=JPEG)
    assert (answer.status_code, answer.json()["code"]) == (422, "preview_failed")
    assert client.post("/api/v1/faces", content=jpeg, headers=JPEG).json()["verdict"] == "good"


def test_another_type_and_a_body_that_is_too_large_are_refused(client: httpx.Client, context: WebContext) -> None:
    assert client.post("/api/v1/faces", content=b"<svg/>", headers={"Content-Type": "image/svg+xml"}).status_code == 415
    assert client.post("/api/v1/faces", content=bytes(8 * 2**20 + 1), headers=JPEG).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(2**20)

    with suppress(httpx.TransportError):  # the answer may come, and the connection be cut, in the middle of the body
        assert client.post("/api/v1/faces", content=endless(), headers=JPEG).status_code == 413
    assert context.previews.process.pid is None
    assert not list((context.previews.cache.folder / "scratch").iterdir())


def test_nothing_of_a_still_is_kept(client: httpx.Client, context: WebContext, jpeg: bytes) -> None:
    client.post("/api/v1/faces", content=jpeg, headers=JPEG)
    folder = context.previews.cache.folder
    assert [path.name for path in folder.rglob("*") if path.is_file()] == []
    assert oct((folder / "scratch").stat().st_mode & 0o777) == "0o700"


# -- copies of sources -------------------------------------------------------------------------------------------------------


def test_the_copy_of_a_source_plays_everywhere_and_is_served_in_parts(
    client: httpx.Client, outputs: Path, inbox: Path, portrait_clip: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source.mov"
    subprocess.run(("ffmpeg", "-v", "error", "-i", str(portrait_clip), "-c:v", "prores_ks", str(source)), check=True, timeout=60)
    address = dropped(outputs, inbox, client, source)
    assert client.get(address).headers["content-type"] == "video/quicktime"
    copy = client.get(f"{address}/preview")
    assert (copy.status_code, copy.headers["content-type"]) == (200, "video/mp4")
    (tmp_path / "copy.mp4").write_bytes(copy.content)
    video = check_video(tmp_path / "copy.mp4").video
    assert video is not None
    assert (video.codec, video.frames, video.pixel_format) == ("h264", 50, "yuv420p")
    part = client.get(f"{address}/preview", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, copy.content[10:20])
    assert int(client.head(f"{address}/preview").headers["content-length"]) == len(copy.content)


@pytest.mark.slow
def test_a_copy_for_which_nobody_waits_any_more_is_given_up(
    client: httpx.Client, context: WebContext, outputs: Path, inbox: Path, long_video: Path
) -> None:
    address = dropped(outputs, inbox, client, long_video)
    with pytest.raises(httpx.ReadTimeout):
        client.get(f"{address}/preview", timeout=2.5)
    pid = context.previews.process.pid
    assert pid is not None
    children = Path(f"/proc/{pid}/task/{pid}/children")
    until(lambda: not children.read_text())
    until(lambda: not list((context.previews.cache.folder / "scratch").iterdir()))
    assert not list(context.previews.cache.folder.glob("*.mp4"))


def test_the_source_of_a_job_that_is_not_there_has_no_copy(client: httpx.Client) -> None:
    assert client.get("/api/v1/jobs/nothing/sources/teacher/preview").status_code == 404


# -- the child ---------------------------------------------------------------------------------------------------------------


def test_a_killed_child_is_started_again_and_the_request_is_answered(
    client: httpx.Client, context: WebContext, jpeg: bytes, uploading: Uploading, portrait_clip: Path
) -> None:
    client.post("/api/v1/faces", content=jpeg, headers=JPEG)
    pid = context.previews.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    upload = uploaded(uploading, portrait_clip)
    os.kill(pid, signal.SIGKILL)
    assert client.get(f"/api/v1/uploads/{upload}/faces").json()["verdict"] == "good"
    assert context.previews.process.pid not in {None, pid}


def test_a_child_that_hangs_is_killed_and_the_page_goes_on(
    client: httpx.Client, context: WebContext, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/api/v1/faces", content=jpeg, headers=JPEG)
    monkeypatch.setattr(preview_process, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(preview_client, "QUICK_SECONDS", 0.5)
    pid = context.previews.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    hung = client.post("/api/v1/faces", content=jpeg, headers=JPEG)
    assert (hung.status_code, hung.json()["code"]) == (422, "preview_failed")
    until(lambda: context.previews.process.pid is None)
    monkeypatch.undo()
    assert client.post("/api/v1/faces", content=jpeg, headers=JPEG).json()["verdict"] == "good"


def test_with_too_many_waiting_one_more_is_told_to_come_back(client: httpx.Client, jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview_process, "MOST_WAITING", 0)
    answer = client.post("/api/v1/faces", content=jpeg, headers=JPEG)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "preview_busy", "3")


def source_of(path: Path) -> tuple[PreviewSource, list[int]]:
    """Return an open file as a source, and the list of the descriptors that were closed."""
    closed: list[int] = []

    def close(descriptor: int) -> None:
        os.close(descriptor)
        closed.append(descriptor)

    descriptor = os.open(path, os.O_RDONLY)
    return PreviewSource(descriptor=descriptor, identity=FileIdentity.of(descriptor), close=close), closed


def test_two_who_ask_at_once_share_one_check_and_one_may_leave(settings: Settings, portrait_clip: Path) -> None:
    async def scenario() -> None:
        previews = PreviewClient(settings)
        source, closed = source_of(portrait_clip)
        first, second = (asyncio.create_task(previews.faces(source)) for _ in range(2))
        await asyncio.sleep(0.3)
        first.cancel()
        os.close(source.descriptor)
        assert (await second).verdict == "good"
        assert previews.process._number == 1
        assert len(closed) == 1
        await previews.close()
        assert previews.process.pid is None

    asyncio.run(scenario())


def test_without_the_models_the_still_is_there_and_the_check_names_what_is_missing(
    settings: Settings, portrait_clip: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        previews = PreviewClient(settings.model_copy(update={"weights": tmp_path / "none"}))
        source, _ = source_of(portrait_clip)
        with pytest.raises(WebProblem) as caught:
            await previews.faces(source)
        assert (caught.value.code, caught.value.fields["error"]) == ("preview_failed", "models_missing")
        still = await previews.still(source)
        assert still.read_bytes()[:3] == b"\xff\xd8\xff"
        assert await previews.still(source) == still
        os.close(source.descriptor)
        await previews.close()

    asyncio.run(scenario())


# -- the cache ---------------------------------------------------------------------------------------------------------------


def keep(cache: PreviewCache, name: str, size: int) -> Path:
    with cache.scratch() as folder:
        (folder / "made").write_bytes(bytes(size))
        return cache.keep(folder / "made", name)


def test_the_cache_deletes_what_was_used_longest_ago_beyond_its_size(tmp_path: Path) -> None:
    cache = PreviewCache(tmp_path / "cache", most_bytes=350)
    for number in range(3):
        path = keep(cache, f"{number}.mp4", 100)
        os.utime(path, (time.time() - 100 + number,) * 2)
    assert cache.find("0.mp4") is not None  # and it is the newest now
    keep(cache, "3.mp4", 100)
    assert sorted(path.name for path in cache.folder.glob("*.mp4")) == ["0.mp4", "2.mp4", "3.mp4"]


def test_the_cache_deletes_what_is_too_old(tmp_path: Path) -> None:
    cache = PreviewCache(tmp_path / "cache", longest_seconds=60)
    os.utime(keep(cache, "old.mp4", 1), (time.time() - 61,) * 2)
    keep(cache, "new.mp4", 1)
    assert (cache.find("old.mp4"), cache.find("new.mp4")) == (None, cache.folder / "new.mp4")


def test_a_file_larger_than_the_cache_is_still_served_once(tmp_path: Path) -> None:
    cache = PreviewCache(tmp_path / "cache", most_bytes=10)
    assert keep(cache, "large.mp4", 100).stat().st_size == 100


def test_what_an_earlier_process_left_half_made_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "scratch" / "left").mkdir(parents=True)
    with PreviewCache(tmp_path).scratch() as folder:
        assert list((tmp_path / "scratch").iterdir()) == [folder]


def test_another_content_under_the_same_name_is_another_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    keys = set()
    for content in (b"one", b"two!"):
        path.write_bytes(content)
        with path.open("rb") as file:
            keys.add(FileIdentity.of(file.fileno()).key("faces"))
    assert len(keys) == 2


def test_the_service_keeps_its_cache_where_systemd_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    assert default_folder(tmp_path) == tmp_path / "cache" / "previews"
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/heygem-web")
    assert default_folder(tmp_path) == Path("/var/cache/heygem-web/previews")
