"""The configuration: one source of names, defaults and meanings.

Rising precedence: the defaults here, the TOML file, the environment (`HEYGEM_OUTPUTS`, `HEYGEM_ENGINE__DEVICE`), the command line.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from heygem_daemon.core.job_options import BACKGROUND
from heygem_daemon.core.render_options import BEST_QUALITY, DEFAULT_OPTIONS, WORST_QUALITY, Channels, Fit, RenderOptions
from heygem_daemon.core.users import Who

ENVIRONMENT_PREFIX: Final = "HEYGEM_"
CONFIG_VARIABLE: Final = "HEYGEM_CONFIG"
DEFAULT_CONFIG: Final = Path("/etc/heygem/heygem.toml")

GIB: Final = 2**30


class ConfigurationError(Exception):
    """The configuration cannot be used; the message is a list of plain sentences."""


def _home(system: str, variable: str, fallback: str, name: str = "heygem") -> Path:
    """Return the system directory where it exists and is writable, else the user's own."""
    if os.access(system, os.W_OK):
        return Path(system)
    return Path(os.environ.get(variable) or Path.home() / fallback) / name


def _weights() -> Path:
    checkout = Path(__file__).parent.parent / "weights"
    return checkout if (checkout / "README.md").is_file() else Path("/var/lib/heygem/weights")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_inbox(value: object) -> object:
    return {"path": value} if isinstance(value, str | Path) else value


class Inbox(_Section):
    """A watched folder. `priority` is that of every drop in it that names none itself."""

    path: Path
    priority: int = Field(0, ge=-100, le=100)


class Intake(_Section):
    settle_seconds: float = Field(3.0, ge=0.1, description="A drop is complete when nothing in it changed for this long (local disks).")
    network_settle_seconds: float = Field(10.0, ge=0.1, description="The same on network file systems, whose attributes lag.")
    incomplete_seconds: float = Field(
        120.0, ge=0, description="A drop that lacks something, or has an unreadable file, is refused after this."
    )
    scan_seconds: float = Field(2.0, ge=0.1, description="Scan every inbox at least this often; file system events only make it sooner.")
    network_scan_seconds: float = Field(5.0, ge=0.1, description="The same on network file systems.")
    answer_seconds: float = Field(10.0, ge=0.1, description="An inbox, or outputs, that does not answer for this long counts as offline.")


class Limits(_Section):
    recording_seconds: float = Field(3 * 3600, gt=0, description="Longest recording.")
    video_seconds: float = Field(3 * 3600, gt=0, description="Longest video.")
    megapixels: float = Field(40.0, gt=0, description="Largest frame of a video.")
    still_megapixels: float = Field(250.0, gt=0, description="Largest still image; it is decoded at a bounded size.")
    file_bytes: int = Field(64 * GIB, gt=0, description="Largest file.")
    streams: int = Field(256, gt=0, description="Most tracks of video and audio in one file.")
    items: int = Field(500, gt=0, description="Most results from one drop (recordings x videos).")
    drop_hours: float = Field(100.0, gt=0, description="Longest results of one drop, all of them together.")
    probe_seconds: float = Field(
        20.0,
        gt=0,
        description="Most processor time that it may take to recognise a file; slow storage has ten times as long, and more later.",
    )
    item_seconds: float = Field(6 * 3600, gt=0, description="Longest time one result may take before its worker is stopped.")


class Engine(_Section):
    name: str = Field(DEFAULT_OPTIONS.engine, description="The engine for drops that name none: rewrite, wav2lip, wav2lip+atlas.")
    device: str = Field("auto", description="auto, cpu, cuda, or cuda:N; several with commas.")
    items_at_once: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = Field(
        "auto", description="Results made at once on each device; auto: what its cores and its memory hold."
    )
    threads: int = Field(0, ge=0, description="CPU threads for each result; 0 = the cores divided among those made at once.")
    hardware_codecs: Literal["off", "auto", "all"] = Field(
        "auto",
        description="What the codecs of a graphics card do where the device is one. auto: decode, which changes no frame; all: encode too; "
        "off: nothing.",
    )
    fit: Fit = Field(DEFAULT_OPTIONS.fit, description="Length of the result: the speech's, or the video's.")
    face: str = Field(
        DEFAULT_OPTIONS.face, description="Which face speaks: largest, left, right, center, or a number counted from the left."
    )
    quality: int = Field(
        DEFAULT_OPTIONS.quality,
        ge=BEST_QUALITY,
        le=WORST_QUALITY,
        description="x264 constant rate factor; smaller is better and bigger.",
    )
    channels: Channels = Field(
        DEFAULT_OPTIONS.channels, description="Audio of the result where the recording has more than two channels: stereo, or keep them."
    )
    background: str = Field(
        DEFAULT_OPTIONS.background, pattern=f"^{BACKGROUND.pattern}$", description="The colour behind transparent videos and portraits."
    )
    visible_label: bool = Field(
        DEFAULT_OPTIONS.label, description="Write 'AI-generated' into the image. The label in the metadata is always there."
    )
    undriven_limit: float = Field(
        DEFAULT_OPTIONS.undriven_limit,
        ge=0,
        le=1,
        description="Largest part of the speech that may fall on frames whose mouth stays the old one (head turned away, mouth covered, "
        "no face) before a result is refused; 1 = never refuse.",
    )
    zip: bool = Field(False, description="Also write a ZIP of a job's results.")
    explain: bool = Field(
        DEFAULT_OPTIONS.explain, description="Also write a diagnostic image per result: audio, target and measured mouth."
    )

    def render_options(self) -> RenderOptions:
        """Return what is in force where a drop names nothing else."""
        return RenderOptions(
            engine=self.name,
            fit=self.fit,
            face=self.face,
            quality=self.quality,
            channels=self.channels,
            background=self.background.lower(),
            label=self.visible_label,
            explain=self.explain,
            undriven_limit=self.undriven_limit,
        )


class Wav2Lip(_Section):
    checkpoint: str = Field("", description="Name of the checkpoint (`heygem models list`); empty = the one that was added last.")
    licence_confirmed: bool = Field(
        False, description="true confirms that the use here keeps to the licence of the checkpoint: research and other non-commercial use."
    )
    detail: bool = Field(True, description="Engine wav2lip: add the presenter's own skin texture, which 96 pixels cannot show.")


class Retry(_Section):
    attempts: int = Field(3, ge=1, description="Starts of one result that may end with a dead worker.")
    backoff_seconds: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (30.0, 120.0, 600.0), min_length=1, description="Waits after a passing problem."
    )
    breaker_failures: int = Field(3, ge=1, description="Device failures in a row that pause the queue.")
    breaker_seconds: float = Field(300.0, gt=0, description="How long the queue then pauses.")


class Disk(_Section):
    reserve_bytes: int = Field(2 * GIB, ge=0, description="Nothing starts when less than this, plus what the job needs, is free.")


class Keep(_Section):
    done_days: float = Field(14.0, ge=0, description="Inputs in _done; 0 = for ever.")
    failed_days: float = Field(30.0, ge=0, description="Inputs in _failed; 0 = for ever.")
    staging_days: float = Field(1.0, ge=0, description="Unfinished results of attempts that died.")
    history_days: float = Field(365.0, ge=0, description="Finished jobs in the ledger; 0 = for ever.")
    cache_bytes: int = Field(20 * GIB, ge=0, description="Learned presenters (face tracks, mouth atlas); the oldest go first.")


class Log(_Section):
    format: Literal["auto", "journal", "json", "text"] = Field(
        "auto", description="auto: journald as a service, colours on a terminal, JSON lines elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = "info"


class Hooks(_Section):
    command: tuple[str, ...] = Field((), description="Program and arguments, run at the end of every job with its status as JSON on stdin.")
    webhook: str = Field("", pattern=r"^(https?://\S+)?$", description="Address that gets the same JSON by POST.")
    secret_file: str = Field("", description="File with the secret (whsec_...) that signs what is posted; empty = not signed.")
    timeout_seconds: float = Field(10.0, gt=0, le=600, description="Longest time that either may take.")


class Metrics(_Section):
    textfile: str = Field(
        "",
        pattern=r"^(.*\.prom)?$",
        description="File for Prometheus' node_exporter (its textfile collector), ending in .prom; empty = none.",
    )


class Web(_Section):
    address: str = Field(
        "127.0.0.1", description="Address that the page listens on. Any other than this machine's own needs users or a proxy_header."
    )
    port: int = Field(7860, ge=1, le=65535)
    hosts: tuple[str, ...] = Field((), description="Further names by which browsers may call the server; others are refused.")
    origins: tuple[str, ...] = Field(
        (), description="Further origins (https://portal.example) whose pages may make changes, e.g. that of a proxy."
    )
    proxy_header: str = Field(
        "", pattern=r"^([A-Za-z][A-Za-z0-9-]*)?$", description="Header in which a proxy in front names the user that it has let in."
    )
    proxy_addresses: tuple[str, ...] = Field(
        ("127.0.0.1", "::1"), description="Addresses of that proxy; from others the header is ignored."
    )
    admins: tuple[str, ...] = Field((), description="Users named by the proxy that are administrators.")
    certificate: str = Field("", description="TLS certificate (PEM); empty = plain HTTP.")
    key: str = Field("", description="Its private key (PEM).")
    state: Path = Field(
        default_factory=lambda: _home("/var/lib/heygem-web", "XDG_STATE_HOME", ".local/state", "heygem-web"),
        description="Users, tokens and the key of the sessions.",
    )
    session_hours: float = Field(12.0, gt=0, description="How long a login holds.")
    upload_bytes: int = Field(128 * GIB, gt=0, description="Largest drop that is uploaded, all its files together.")
    upload_files: int = Field(500, gt=0, description="Most files in one uploaded drop.")
    user_bytes: int = Field(256 * GIB, gt=0, description="Most bytes that one user may have in unfinished uploads.")
    user_drafts: int = Field(50, gt=0, description="Most unfinished uploads of one user.")
    draft_hours: float = Field(24.0, gt=0, description="An upload that nobody continues is deleted after this.")
    require_consent: bool = Field(True, description="A job of the page needs the consent of the people that it shows to be confirmed.")


class Users(_Section):
    highest_priority: int = Field(
        100,
        ge=-100,
        le=100,
        description="Highest priority that a user may give a drop; a higher one is lowered to it, with a warning.",
    )
    cancel: Who = Field(Who.ANYBODY, description="Who may cancel a job by a control file or the page: anybody, owner, admin.")
    hold: Who = Field(Who.ANYBODY, description="Who may hold a job back, resume it, or start it before its copy has settled.")
    retry: Who = Field(Who.ANYBODY, description="Who may have a finished job tried again.")
    prioritize: Who = Field(Who.ANYBODY, description="Who may change the priority of a job.")
    pause: Literal[Who.ANYBODY, Who.ADMIN] = Field(Who.ANYBODY, description="Who may pause an inbox by a file PAUSE: anybody, admin.")
    waiting_drops: int = Field(0, ge=0, description="Most drops of one owner in the queue; further ones wait in the inbox. 0 = no limit.")
    waiting_bytes: int = Field(0, ge=0, description="Most bytes of one owner's drops in the queue; further ones wait. 0 = no limit.")
    admins: tuple[str, ...] = Field((), description="Users of this machine, by name or number, for whom none of this holds; root always.")
    page_user: str = Field("heygem-web", description="The user that the page runs as; what it puts down is its users'.")


class Stop(_Section):
    grace_seconds: float = Field(20.0, ge=0, description="On SIGTERM, running results may take this long to finish.")


class Settings(BaseSettings):
    """Everything an administrator can set."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    inboxes: tuple[Annotated[Inbox, BeforeValidator(_as_inbox)], ...] = Field((Inbox(path=Path("inbox")),), min_length=1)
    outputs: Path = Path("outputs")
    state: Path = Field(default_factory=lambda: _home("/var/lib/heygem", "XDG_STATE_HOME", ".local/state"), description="The ledger.")
    cache: Path = Field(default_factory=lambda: _home("/var/cache/heygem", "XDG_CACHE_HOME", ".cache"), description="Learned presenters.")
    weights: Path = Field(default_factory=_weights, description="The model files.")
    corpus: Path = Field(
        default_factory=lambda given: Path(given["state"]) / "corpus", description="What `heygem learn` keeps: audio and numbers."
    )
    intake: Intake = Intake()
    limits: Limits = Limits()
    engine: Engine = Engine()
    wav2lip: Wav2Lip = Wav2Lip()
    retry: Retry = Retry()
    disk: Disk = Disk()
    keep: Keep = Keep()
    log: Log = Log()
    hooks: Hooks = Hooks()
    metrics: Metrics = Metrics()
    web: Web = Field(default_factory=Web)
    users: Users = Users()
    stop: Stop = Stop()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def load(config: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings of the file `config` (else $HEYGEM_CONFIG, else /etc/heygem), the environment and `overrides`.

    Raises ConfigurationError with a sentence for every mistake.
    """
    path = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    if path is None and DEFAULT_CONFIG.is_file():
        path = DEFAULT_CONFIG
    mistakes = [*_mistakes_in_file(path), *_mistakes_in_environment()]
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))

    class Configured(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return Configured(**(overrides or {}))
    except ValidationError as problem:
        raise ConfigurationError("\n".join(_sentence(e["loc"], e["msg"]) for e in problem.errors())) from None


def _sentence(location: tuple[str | int, ...], message: str) -> str:
    return f"{'.'.join(str(part) for part in location)}: {message}"


def _mistakes_in_file(path: Path | None) -> Iterator[str]:
    if path is None:
        return
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        yield f"The configuration {path} cannot be read: {problem.strerror}"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        yield f"The configuration {path} is not valid TOML: {problem}"
    else:
        yield from (f"{path}: {mistake}" for mistake in _unknown(content, Settings))


def _unknown(content: Mapping[str, Any], model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    fields = model.model_fields
    for key, value in content.items():
        if key not in fields:
            yield f"unknown key {prefix}{key}{_nearest(key, fields)}"
            continue
        section = fields[key].annotation
        if isinstance(section, type) and issubclass(section, BaseModel) and isinstance(value, Mapping):
            yield from _unknown(value, section, f"{prefix}{key}.")


def _nearest(key: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(sorted(names))}"


def _mistakes_in_environment() -> Iterator[str]:
    known = {ENVIRONMENT_PREFIX + "__".join(part.upper() for part in path) for path in setting_paths()} | {CONFIG_VARIABLE}
    sections = {ENVIRONMENT_PREFIX + name.upper() for name in Settings.model_fields}
    for variable in os.environ:
        if variable.upper().startswith(ENVIRONMENT_PREFIX) and variable.upper() not in known | sections:
            yield f"unknown environment variable {variable}{_nearest(variable.upper(), known)}"


def setting_paths() -> Iterator[tuple[str, ...]]:
    """Yield every setting as its path of names, e.g. ("engine", "device")."""
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from ((name, inner) for inner in section.model_fields)
        else:
            yield (name,)
