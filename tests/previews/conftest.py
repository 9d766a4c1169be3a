"""Clips with one, two and no face, and a child process that looks into them."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.previews.protocol import PreviewAnswer, PreviewRequest, encode_cancel


def ffmpeg(*arguments: object) -> None:
    subprocess.run(("ffmpeg", "-v", "error", "-y", *map(str, arguments)), check=True, timeout=120)


@pytest.fixture(scope="session")
def two_faces(portrait: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of the portrait, on the left, beside its smaller mirror image."""
    path = tmp_path_factory.mktemp("faces") / "two.mp4"
    graph = "[0]split[a][b];[a]scale=360:360[l];[b]hflip,scale=300:300,pad=300:360:0:40[r];[l][r]hstack,format=yuv420p"
    ffmpeg("-loop", 1, "-framerate", 25, "-t", 1, "-i", portrait, "-filter_complex", graph, "-c:v", "libx264", "-crf", 12, path)
    return path


@pytest.fixture(scope="session")
def two_people(shared_media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of two real people who speak beside each other, the right one larger."""
    path = tmp_path_factory.mktemp("people") / "two.mp4"
    graph = "[0]scale=420:420,pad=420:560:0:60,fps=25[l];[1]scale=560:560,fps=25[r];[l][r]hstack,format=yuv420p"
    clips = (shared_media / "vr_face4_700_30_h264.mp4", shared_media / "vr_face2_844_25_h264.mp4")
    ffmpeg("-t", 1, "-i", clips[0], "-t", 1, "-i", clips[1], "-filter_complex", graph, "-t", 1, "-c:v", "libx264", "-crf", 14, "-an", path)
    return path


@pytest.fixture(scope="session")
def faceless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faceless") / "faceless.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-pix_fmt", "yuv420p", path)
    return path


@pytest.fixture(scope="session")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video whose copy takes many seconds: one second, forty times."""
    second, path = (tmp_path_factory.mktemp("long") / name for name in ("second.mp4", "long.mp4"))
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=25:d=1", "-c:v", "libx264", "-preset", "ultrafast", second)
    ffmpeg("-stream_loop", 39, "-i", second, "-c", "copy", path)
    return path


@dataclass(kw_only=True)
class Child:
    """A running `python -m heygem_daemon.previews`."""

    process: "subprocess.Popen[bytes]"
    number: int = 0

    def send(self, **fields: Any) -> int:
        self.number += 1
        assert self.process.stdin is not None
        self.process.stdin.write(PreviewRequest(number=self.number, **fields).encode())
        self.process.stdin.flush()
        return self.number

    def cancel(self, number: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(encode_cancel(number))
        self.process.stdin.flush()

    def read(self) -> PreviewAnswer:
        assert self.process.stdout is not None
        return PreviewAnswer.decode(self.process.stdout.readline())

    def ask(self, **fields: Any) -> PreviewAnswer:
        number = self.send(**fields)
        answer = self.read()
        assert answer.number == number
        return answer


def start_child(weights: Path, *options: str) -> Child:
    command = (sys.executable, "-P", "-m", "heygem_daemon.previews", "--models", str(weights), "--limits", "{}", *options)
    return Child(process=subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True))


@pytest.fixture(scope="module")
def child(weights: Path) -> Iterator[Child]:
    started = start_child(weights)
    yield started
    end_child(started)


def end_child(child: Child) -> None:
    child.process.kill()
    child.process.wait(10)
    for pipe in (child.process.stdin, child.process.stdout):
        assert pipe is not None
        pipe.close()
