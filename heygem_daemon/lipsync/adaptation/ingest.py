"""Videos in, clips in the corpus out: each video watched, its sync tested, its stretches kept; or refused, with the reason."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.corpus import Corpus
from heygem_daemon.lipsync.adaptation.footage import Footage, watch
from heygem_daemon.lipsync.adaptation.segments import Stretch
from heygem_daemon.lipsync.cache import Cache, VideoCache, content_key
from heygem_daemon.lipsync.ports import Driver
from heygem_daemon.lipsync.progress import OnProgress
from heygem_daemon.lipsync.style.av_sync import MouthTrack, SyncEvidence, agreement, sync_evidence
from heygem_daemon.lipsync.style.speech_track import SPEECH_TRACK_RATE, SpeechTrack, run_driver, speech_track
from heygem_daemon.media.formats import VIDEO_EXTENSIONS, display_name
from heygem_daemon.media.speech import SPEECH_RATE
from heygem_daemon.media.types import DEFAULT_LIMITS, MediaLimits

LEAST_AGREEMENT: Final = 0.0
"""Correlation of one stretch at the offset of its video; below, somebody else is heard (a voice over a listener's face)."""
_STRANGERS: Final = 24
"""Clips of the corpus that serve as sound of others."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """One video: its place, and either the stretches to learn from or the reason why there are none.

    video: its id in the corpus; evidence: None where it did not come to the test
    """

    path: Path
    video: str = ""
    person: str = ""
    evidence: SyncEvidence | None = None
    stretches: tuple[Stretch, ...] = ()
    refusal: HeygemError | None = None

    @property
    def seconds(self) -> float:
        return sum(stretch.seconds for stretch in self.stretches)

    def clips(self) -> list[AvClip]:
        """Return what training takes, named as the corpus will name the files."""
        lag = self.evidence.lag if self.evidence else 0.0
        return [s.clip(name=f"{self.video}-{i:04d}", person=self.person, lag=lag) for i, s in enumerate(self.stretches)]


@dataclass(frozen=True, kw_only=True)
class Gatherer:
    """What gathering needs. driver: hears; models: directory of the model files; face: see face.tracks.parse_selection."""

    driver: Driver
    models: Path
    cache_dir: Path
    cache_bytes: int
    corpus: Corpus
    face: str = "largest"
    limits: MediaLimits = DEFAULT_LIMITS

    def gather(
        self, paths: Sequence[Path], *, person: str = "", same_person: bool = False, on_progress: Callable[[Path], OnProgress]
    ) -> Iterator[Gathered]:
        """Yield one result per video, those first that cannot be used at all.

        person: who is seen in all of them, an id of the corpus; same_person: they all show one new person; else each video shows a
        person of its own. All videos are watched before the first one is tested: the sound of the others is what is not its own.
        """
        watched: dict[str, Footage] = {}
        with Cache(self.cache_dir, self.cache_bytes) as cache:
            for path in paths:
                try:
                    video = self.corpus.video_id(path)
                    if video in watched:
                        raise error("footage_twice", name=display_name(path), other=display_name(watched[video].info.path))
                    watched[video] = self._watched(path, cache, on_progress(path))
                except HeygemError as refusal:
                    yield Gathered(path=path, refusal=refusal)
                except OSError as problem:
                    yield Gathered(path=path, refusal=error("io_error", problem=f"{display_name(path)}: {problem.strerror}"))
            strangers = self._strangers(set(watched))
            everybody = person or (min(watched, default="") if same_person else "")
            for video, footage in watched.items():
                others = [other.heard for name, other in watched.items() if name != video]
                yield replace(_tested(footage, [*others, *strangers]), video=video, person=everybody or video)

    def keep(self, gathered: Gathered) -> None:
        """Write the stretches into the corpus, which is locked."""
        if gathered.evidence is not None and gathered.stretches:
            self.corpus.add(gathered.video, gathered.stretches, person=gathered.person, lag=gathered.evidence.lag)

    def _watched(self, path: Path, cache: Cache, on_progress: OnProgress) -> Footage:
        video_cache = VideoCache(cache=cache, key=content_key(path))
        return watch(
            path,
            driver=self.driver,
            video_cache=video_cache,
            models=self.models,
            face=self.face,
            limits=self.limits,
            on_progress=on_progress,
        )

    def _strangers(self, videos: set[str]) -> list[SpeechTrack]:
        """Return what is heard in some clips of the corpus, none of them of the videos given."""
        clips = [clip for clip in self.corpus.clips() if clip.name.partition("-")[0] not in videos]
        chosen = np.unique(np.linspace(0, len(clips) - 1, min(_STRANGERS, len(clips))).astype(int))
        return [
            speech_track(run_driver([clips[i].audio], round(len(clips[i].audio) / SPEECH_RATE * SPEECH_TRACK_RATE), self.driver))
            for i in chosen
        ]


def videos_in(paths: Sequence[Path]) -> list[Path]:
    """Return the files given, and the videos in and below the folders given, each once."""
    found: dict[Path, None] = {}
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        found |= {each: None for each in below if each == path or (each.is_file() and each.suffix.lower() in VIDEO_EXTENSIONS)}
    return list(found)


def _tested(footage: Footage, others: Sequence[SpeechTrack]) -> Gathered:
    path = footage.info.path
    seen = [MouthTrack(times=footage.times[span], opening=footage.opening[span], speech=footage.heard) for span in footage.spans]
    evidence = sync_evidence(seen, others)
    agrees = [evidence.is_in_sync and agreement(each, evidence.lag) > LEAST_AGREEMENT for each in seen]
    if not any(agrees):
        return Gathered(path=path, evidence=evidence, refusal=error("sound_not_in_sync", name=display_name(path), evidence=evidence))
    stretches = tuple(stretch for stretch, keeps in zip(footage.stretches(), agrees, strict=True) if keeps)
    return Gathered(path=path, evidence=evidence, stretches=stretches)
