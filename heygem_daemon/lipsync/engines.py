"""The engines by name: the driver and the renderer of each. Nothing heavy is imported before one is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from heygem_daemon.core.errors import error

if TYPE_CHECKING:
    from heygem_daemon.lipsync.ports import Driver, Renderer  # numpy is slow to import

RESEARCH_ONLY: Final = "research and other non-commercial use only; confirmed in the configuration"
"""The licence in the report of a result made with a Wav2Lip checkpoint. Without the confirmation none is made."""


@dataclass(frozen=True, kw_only=True)
class Wav2LipOptions:
    """The options of the Wav2Lip engines.

    checkpoint: its name, "" = the one added last; licence_confirmed: somebody has confirmed that the use here complies with its licence;
    detail: the engine `wav2lip` adds the presenter's own skin texture to the generated mouth.
    """

    checkpoint: str = ""
    licence_confirmed: bool = False
    detail: bool = True


NO_OPTIONS: Final = Wav2LipOptions()


@dataclass(frozen=True, kw_only=True)
class EngineContext:
    """The context in which drivers and renderers are made. models: the directory of the model files; device: a torch device; threads: of
    the CPU, 0 = as many as this process may run on."""

    models: Path
    device: str
    threads: int = 0
    wav2lip: Wav2LipOptions = NO_OPTIONS


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A driver and a renderer.

    presenter_version: part of the cache key of what the renderer learns of a presenter; models: names of the model files it needs (see
    model_files); uses_style: the presenter's speaking style is applied to the motion of the driver; licence: of the weights, where it
    restricts their use.
    """

    driver: "Callable[[EngineContext], Driver]"
    renderer: "Callable[[EngineContext], Renderer[Any]]"
    presenter_version: Callable[[], str]
    models: tuple[str, ...] = ("face_detector", "face_mesh")
    uses_style: bool = True
    licence: str = ""


def _phonetic_driver(context: EngineContext) -> "Driver":
    from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver  # noqa: PLC0415  (torch is slow to import)
    from heygem_daemon.lipsync.speech.weights import load_weights  # noqa: PLC0415

    model = load_weights(context.models)
    return PhoneticDriver(model.for_cpu() if context.device == "cpu" else model, context.device)


def _wav2lip_driver(context: EngineContext, *, measures_mouth: bool) -> "Driver":
    from heygem_daemon.lipsync.wav2lip.loading import load_driver  # noqa: PLC0415  (torch is slow to import)

    options = context.wav2lip
    return load_driver(
        context.models, context.device, options.checkpoint, licence_confirmed=options.licence_confirmed, measures_mouth=measures_mouth
    )


def _image_driver(context: EngineContext) -> "Driver":
    return _wav2lip_driver(context, measures_mouth=False)


def _lip_driver(context: EngineContext) -> "Driver":
    return _wav2lip_driver(context, measures_mouth=True)


def _atlas_renderer(context: EngineContext) -> "Renderer[Any]":
    from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer  # noqa: PLC0415  (torch is slow to import)

    return AtlasRenderer(context.device, context.models, threads=context.threads)


def _paste_renderer(context: EngineContext) -> "Renderer[Any]":
    from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer  # noqa: PLC0415  (torch is slow to import)
    from heygem_daemon.lipsync.wav2lip.renderer import PasteRenderer  # noqa: PLC0415

    return PasteRenderer(AtlasRenderer(context.device).prepare, context.device, has_detail=context.wav2lip.detail)


def _atlas_version() -> str:
    from heygem_daemon.lipsync.atlas.store import VERSION  # noqa: PLC0415  (OpenCV is slow to import)

    return VERSION


ENGINES: Final[Mapping[str, Engine]] = {
    "rewrite": Engine(driver=_phonetic_driver, renderer=_atlas_renderer, presenter_version=_atlas_version),
    "wav2lip": Engine(
        driver=_image_driver, renderer=_paste_renderer, presenter_version=_atlas_version, uses_style=False, licence=RESEARCH_ONLY
    ),
    "wav2lip+atlas": Engine(
        driver=_lip_driver, renderer=_atlas_renderer, presenter_version=_atlas_version, uses_style=False, licence=RESEARCH_ONLY
    ),
}
WAV2LIP_ENGINES: Final = frozenset(name for name, engine in ENGINES.items() if engine.licence)
"""The engines that need a checkpoint of the user's."""


def engine_names() -> tuple[str, ...]:
    """Return the names of all engines, the default first."""
    return tuple(ENGINES)


def engine(name: str) -> Engine:
    """Return the engine called `name`. Raises InputError (`unknown_engine`)."""
    try:
        return ENGINES[name]
    except KeyError:
        raise error("unknown_engine", name=name, known=", ".join(ENGINES)) from None
