"""Choose the track that is the video: the one that moves over the whole file, not a cover, a thumbnail, an intro or a depth map."""

from collections import defaultdict
from typing import Any, Final

from heygem_daemon.media import commands
from heygem_daemon.media.pixel_formats import is_grey
from heygem_daemon.media.run import capture
from heygem_daemon.media.streams import rational
from heygem_daemon.media.types import MediaLimits, Source

Json = dict[str, Any]

STILL_DISPOSITIONS: Final = ("attached_pic", "timed_thumbnails", "still_image", "dependent")
SAMPLES: Final = 16
"""Places of the file at which packets are looked at."""
SAMPLE_SECONDS: Final = 2.0
MOVING_FRACTION: Final = 1 / 8
"""A track with fewer frames than this part of the liveliest one's does not move: 3 frames/s beside 25."""
SPAN_FRACTION: Final = 0.5
"""A track seen at fewer places than this part is an intro or a thumbnail."""


def choose_video_track(source: Source, report: Json, seconds: float, limits: MediaLimits) -> Json | None:
    """Return the video track of ffprobe's report, None where there is none. Where there are several, their packets are looked at:
    those that move over the file come first, then the default one, one in colour, and the largest."""
    tracks: list[Json] = [each for each in report["streams"] if each.get("codec_type") == "video" and not _is_marked_still(each)]
    if len(tracks) < 2:
        return tracks[0] if tracks else None
    start = float(rational(report.get("format", {}).get("start_time")) or 0)
    seen = _packets_seen(source, [int(each["index"]) for each in tracks], start, seconds, limits)
    liveliest = max(len(packets) for packets in seen.values())
    widest = max(len({place for place, _ in packets}) for packets in seen.values())

    def rank(track: Json) -> tuple[bool, bool, bool, int]:
        packets = seen[int(track["index"])]
        places = len({place for place, _ in packets})
        is_moving = len(packets) > 1 and len(packets) >= MOVING_FRACTION * liveliest and places >= SPAN_FRACTION * widest
        is_default = bool(track.get("disposition", {}).get("default"))
        return is_moving, is_default, not is_grey(str(track.get("pix_fmt", ""))), track.get("width", 0) * track.get("height", 0)

    return max(tracks, key=rank)


def _is_marked_still(track: Json) -> bool:
    return any(track.get("disposition", {}).get(mark) for mark in STILL_DISPOSITIONS)


def _packets_seen(source: Source, indexes: list[int], start: float, seconds: float, limits: MediaLimits) -> dict[int, set[tuple[int, str]]]:
    """Return of each track the packets seen at SAMPLES places: number of the place and time stamp. A packet that every seek finds again,
    as that of a track with one frame, counts once, at the first place."""
    command = commands.sample_packets(source, start=start, seconds=seconds, places=SAMPLES, length=SAMPLE_SECONDS)
    answer = capture(command, seconds=limits.probe_seconds, path=source.path)
    seen: dict[int, set[tuple[int, str]]] = {index: set() for index in indexes}
    known: dict[int, set[str]] = defaultdict(set)
    width = max(seconds / SAMPLES, SAMPLE_SECONDS / SAMPLES)
    for line in answer.stdout.decode("ascii", "replace").splitlines():
        index, _, time = line.strip(",").partition(",")
        if index.isdigit() and int(index) in seen and time not in known[int(index)]:
            known[int(index)].add(time)
            seen[int(index)].add((_place(time, width), time))
    return seen


def _place(time: str, width: float) -> int:
    try:
        return int(float(time) / width)
    except ValueError:  # N/A
        return -1
