"""The engines by name: which driver hears, which renderer draws. Nothing heavy is imported before one is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from heygem_daemon.core.errors import error
from heygem_daemon.lipsync.ports import Driver, Renderer
from heygem_daemon.lipsync.wav2lip.options import NO_OPTIONS, RESEARCH_ONLY, Wav2LipOptions


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What drivers and renderers are made with: the directory of the model files, and a torch device."""

    models: Path
    device: str
    wav2lip: Wav2LipOptions = NO_OPTIONS


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A driver and a renderer. `models`: names of the model files it needs (lipsync.models); `presenter_version`: part of the cache
    key of what the renderer learns of a presenter; uses_style: what the presenter's own sound teaches applies to what the driver says;
    licence: of the weights, where it restricts their use."""

    driver: Callable[[Surroundings], Driver]
    renderer: Callable[[Surroundings], Renderer[Any]]
    presenter_version: Callable[[], str]
    models: tuple[str, ...] = ("face_detector", "face_mesh")
    uses_style: bool = True
    licence: str = ""


def _phonetic(surroundings: Surroundings) -> Driver:
    from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver  # noqa: PLC0415  (torch is slow to import)
    from heygem_daemon.lipsync.speech.weights import load_weights  # noqa: PLC0415

    return PhoneticDriver(load_weights(surroundings.models))


def _atlas(surroundings: Surroundings) -> Renderer[Any]:
    from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer  # noqa: PLC0415  (torch is slow to import)

    return AtlasRenderer(surroundings.device, surroundings.models)


def _atlas_version() -> str:
    from heygem_daemon.lipsync.atlas.store import VERSION  # noqa: PLC0415  (OpenCV is slow to import)

    return VERSION


def _wav2lip_pictures(surroundings: Surroundings) -> Driver:
    from heygem_daemon.lipsync.wav2lip.loading import load_driver  # noqa: PLC0415  (torch is slow to import)

    return load_driver(surroundings.models, surroundings.device, surroundings.wav2lip, reads_lips=False)


def _wav2lip_lips(surroundings: Surroundings) -> Driver:
    from heygem_daemon.lipsync.wav2lip.loading import load_driver  # noqa: PLC0415  (torch is slow to import)

    return load_driver(surroundings.models, surroundings.device, surroundings.wav2lip, reads_lips=True)


def _paste(surroundings: Surroundings) -> Renderer[Any]:
    from heygem_daemon.lipsync.wav2lip.renderer import PasteRenderer  # noqa: PLC0415  (torch is slow to import)

    return PasteRenderer(surroundings.device, has_detail=surroundings.wav2lip.detail)


ENGINES: Final[Mapping[str, Engine]] = {
    "rewrite": Engine(driver=_phonetic, renderer=_atlas, presenter_version=_atlas_version),
    "wav2lip": Engine(driver=_wav2lip_pictures, renderer=_paste, presenter_version=_atlas_version, uses_style=False, licence=RESEARCH_ONLY),
    "wav2lip+atlas": Engine(
        driver=_wav2lip_lips, renderer=_atlas, presenter_version=_atlas_version, uses_style=False, licence=RESEARCH_ONLY
    ),
}


WAV2LIP_ENGINES: Final = frozenset(name for name, engine in ENGINES.items() if engine.licence)
"""The engines that need a checkpoint of the user's."""


def engine_names() -> tuple[str, ...]:
    return tuple(ENGINES)


def engine(name: str) -> Engine:
    """Return the engine called `name`. Raises InputError (`unknown_engine`)."""
    try:
        return ENGINES[name]
    except KeyError:
        raise error("unknown_engine", name=name, known=", ".join(ENGINES)) from None
