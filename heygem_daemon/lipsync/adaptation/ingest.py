"""Take videos into the corpus: analyse each, test the sync of audio and mouth, keep its segments; or refuse it with the reason."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.core.file_types import VIDEO_SUFFIXES, suffix_of
from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.corpus import Corpus
from heygem_daemon.lipsync.adaptation.footage import Footage, analyse_video
from heygem_daemon.lipsync.adaptation.segments import SpeechSegment
from heygem_daemon.lipsync.cache import Cache, VideoCache, content_key
from heygem_daemon.lipsync.ports import Driver
from heygem_daemon.lipsync.progress import OnProgress
from heygem_daemon.lipsync.style.av_sync import MouthTrack, SyncEvidence, agreement, sync_evidence
from heygem_daemon.lipsync.style.speech_track import SPEECH_TRACK_RATE, SpeechTrack, run_driver, speech_track
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.speech import SPEECH_RATE
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaLimits

LEAST_AGREEMENT: Final = 0.0
"""Correlation of one segment at the offset of its video; below, somebody else speaks (a voice over a listener's face)."""
_MOST_NEGATIVES: Final = 24
"""Clips of the corpus whose audio serves as mismatched speech, at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class IngestResult:
    """One video: its path, and either the segments to learn from or the reason why there are none.

    video: its id in the corpus; evidence: None where it was refused before its sync was tested
    """

    path: Path
    video: str = ""
    person: str = ""
    evidence: SyncEvidence | None = None
    segments: tuple[SpeechSegment, ...] = ()
    refusal: HeygemError | None = None

    @property
    def seconds(self) -> float:
        return sum(segment.seconds for segment in self.segments)

    def clips(self) -> list[AvClip]:
        """Return the segments as training reads them, named as the corpus will name the files."""
        lag = self.evidence.lag if self.evidence else 0.0
        return [s.clip(name=f"{self.video}-{i:04d}", person=self.person, lag=lag) for i, s in enumerate(self.segments)]


@dataclass(frozen=True, kw_only=True)
class FootageIngest:
    """Analyses videos for the corpus. driver: predicts the mouth from audio; models: directory of the model files;
    face: see face_tracks.parse_selection."""

    driver: Driver
    models: Path
    cache_dir: Path
    cache_bytes: int
    corpus: Corpus
    face: str = "largest"
    limits: MediaLimits = DEFAULT_LIMITS

    def ingest(
        self, paths: Sequence[Path], *, person: str = "", same_person: bool = False, on_progress: Callable[[Path], OnProgress]
    ) -> Iterator[IngestResult]:
        """Yield one result per video, those first that cannot be used at all.

        person: who speaks in all of them, an id of the corpus; same_person: they all show one new person; else each video shows a
        person of its own. All videos are analysed before the first one is tested: the audio of the others is its mismatched speech.
        """
        analysed: dict[str, Footage] = {}
        with Cache(self.cache_dir, self.cache_bytes) as cache:
            for path in paths:
                try:
                    video = self.corpus.video_id(path)
                    if video in analysed:
                        raise error("footage_twice", name=display_name(path), other=display_name(analysed[video].info.path))
                    analysed[video] = self._analyse(path, cache, on_progress(path))
                except HeygemError as refusal:
                    yield IngestResult(path=path, refusal=refusal)
                except OSError as problem:
                    yield IngestResult(path=path, refusal=error("io_error", problem=f"{display_name(path)}: {problem.strerror}"))
            negatives = self._negatives(set(analysed))
            common = person or (min(analysed, default="") if same_person else "")
            for video, footage in analysed.items():
                others = [other.speech for name, other in analysed.items() if name != video]
                yield replace(_check_sync(footage, [*others, *negatives]), video=video, person=common or video)

    def save(self, result: IngestResult) -> None:
        """Write the segments into the corpus, which is locked."""
        if result.evidence is not None and result.segments:
            self.corpus.add(result.video, result.segments, person=result.person, lag=result.evidence.lag)

    def _analyse(self, path: Path, cache: Cache, on_progress: OnProgress) -> Footage:
        video_cache = VideoCache(cache=cache, key=content_key(path))
        return analyse_video(
            path,
            driver=self.driver,
            video_cache=video_cache,
            models=self.models,
            face=self.face,
            limits=self.limits,
            on_progress=on_progress,
        )

    def _negatives(self, videos: set[str]) -> list[SpeechTrack]:
        """Return the speech of some clips of the corpus, none of them of the videos given."""
        clips = [clip for clip in self.corpus.clips() if clip.name.partition("-")[0] not in videos]
        chosen = np.unique(np.linspace(0, len(clips) - 1, min(_MOST_NEGATIVES, len(clips))).astype(int))
        return [
            speech_track(run_driver([clips[i].audio], round(len(clips[i].audio) / SPEECH_RATE * SPEECH_TRACK_RATE), self.driver))
            for i in chosen
        ]


def videos_in(paths: Sequence[Path]) -> list[Path]:
    """Return the files given, and the videos in and below the folders given, each once."""
    found: dict[Path, None] = {}
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        found |= {each: None for each in below if each == path or (each.is_file() and suffix_of(each.name) in VIDEO_SUFFIXES)}
    return list(found)


def _check_sync(footage: Footage, others: Sequence[SpeechTrack]) -> IngestResult:
    path = footage.info.path
    mouths = [MouthTrack(times=footage.times[span], opening=footage.opening[span], speech=footage.speech) for span in footage.spans]
    evidence = sync_evidence(mouths, others)
    agrees = [evidence.is_in_sync and agreement(each, evidence.lag) > LEAST_AGREEMENT for each in mouths]
    if not any(agrees):
        return IngestResult(path=path, evidence=evidence, refusal=error("sound_not_in_sync", name=display_name(path), evidence=evidence))
    segments = tuple(segment for segment, keeps in zip(footage.segments(), agrees, strict=True) if keeps)
    return IngestResult(path=path, evidence=evidence, segments=segments)
