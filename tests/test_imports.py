"""Test which module may import which: the drawing of the architecture, kept by a test.

cli -> wiring -> daemon -> core <- intake, ledger, executors, publishing, service
executors -> worker -> lipsync -> media
cli -> web -> core, and a child process of previews -> lipsync.face, media

Inside lipsync the layers of LIPSYNC_LAYERS: imports run downwards only.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = "heygem_daemon"

ALLOWED: Final = {
    "core": set(),
    "durable": set(),
    "daemon_threads": set(),
    "bounded_reading": {"core"},
    "clock_record": {"durable"},
    "disks": {"core"},
    "processes": set(),
    "machine": set(),
    "media": {
        "core.errors", "core.file_types", "core.render_options", "core.storage", "core.warning_codes", "disks", "durable", "processes",
    },
    "lipsync": {
        "media", "core.errors", "core.file_types", "core.names", "core.render_options", "core.storage", "core.warning_codes", "disks",
        "durable", "machine", "processes",
    },
    "worker": {"lipsync", "media", "disks", "core", "machine", "processes"},
    "previews": {"lipsync", "media", "core", "processes"},
    "executors": {"worker", "lipsync", "media", "core", "processes", "machine"},
    "intake": {"core", "daemon_threads", "disks", "media", "durable", "processes"},
    "publishing": {"bounded_reading", "core", "daemon_threads", "disks", "media", "durable"},
    "ledger": {"core", "disks", "durable"},
    "service": {"core", "processes"},
    "daemon": {"core"},
    "settings": {"core"},
    "wiring": {
        "settings", "daemon", "core", "intake", "ledger", "executors", "publishing", "service", "worker", "lipsync", "media", "durable",
        "machine", "clock_record", "bounded_reading", "daemon_threads",
    },
    "web": {
        "settings", "core", "durable", "processes", "daemon_threads", "intake.archive", "intake.leases", "intake.listing",
        "clock_record", "service.log", "service.notify", "previews.protocol",
    },
    "cli": {
        "wiring", "web", "settings", "service", "core", "lipsync", "media", "durable", "bounded_reading", "machine",
        "intake.leases", "intake.mounts", "intake.permissions",
    },
    "__main__": {"cli"},
}  # fmt: skip
"""What the modules of a part may import of the other parts; a dotted name allows that one module only."""

LIPSYNC_LAYERS: Final = (
    ("pipeline",),
    ("engines", "render_loop", "render_request", "diagnostics", "kernel_setup", "shared_inputs"),
    ("evaluation", "driven_frames", "transcript_drivers", "adaptation", "atlas", "wav2lip"),
    ("style",),
    ("face", "imaging", "speech"),
    ("geometry",),
    ("ports",),
    (
        "motion",
        "face_tracks",
        "thumbnail",
        "progress",
        "prefetch",
        "replay",
        "cache",
        "model_files",
        "device",
        "moving_window",
        "compiled",
        "needed_frames",
    ),
    ("arrays", "kernel_files", "loading"),
)
"""The modules and packages of lipsync, the topmost first. Each may import from the layers below it, and a package from itself; nothing
from its own layer or one above."""
ONLY_FROM: Final = {"atlas": {"engines"}, "wav2lip": {"engines"}}
"""The renderers and drivers that an engine is made of: who in lipsync may import them."""

HEAVY: Final = {"torch", "cv2", "librosa", "matplotlib", "scipy", "skimage", "numba", "sklearn"}
HEAVY_PARTS: Final = {"lipsync", "worker", "previews"}
ARRAY_PARTS: Final = {"lipsync", "worker", "media", "previews"}
ONE_FILE: Final = {"ai_edge_litert", "watchdog", "sqlite3", "systemd", "ray", "librosa", "matplotlib", "prometheus_client"}
"""Adapters to the outside: each is imported in one file of the package, so that it can be replaced there."""


def _modules() -> dict[str, Path]:
    source = Path(__file__).resolve().parents[1] / PACKAGE
    return {str(path.relative_to(source).with_suffix("")).replace("/", "."): path for path in sorted(source.rglob("*.py"))}


def _imported(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES: Final = _modules()
PARTS: Final = {module: module.split(".")[0] for module in MODULES}


@cache
def _imports(module: str) -> list[str]:
    """Return what a module imports. Every test process collects this file, and few of them need it."""
    return sorted(set(_imported(MODULES[module])))


def _own(imported: str) -> str | None:
    """Return an import within the package without the package's name, None for any other."""
    head, _, rest = imported.partition(".")
    return rest if head == PACKAGE else None


def _is_allowed(part: str, target: str) -> bool:
    if target.partition(".")[0] in {part, "__version__"}:
        return True
    return any(f"{target}.".startswith(f"{allowed}.") for allowed in ALLOWED[part])


def _lipsync_part(module: str) -> str | None:
    """Return the module or package directly in lipsync that a module of ours belongs to, None outside of lipsync."""
    names = module.split(".")
    return names[1] if names[0] == "lipsync" and len(names) > 1 and names[1] != "__init__" else None


def _lipsync_imports() -> Iterator[tuple[str, str, str]]:
    """Yield (importing module, its part, imported part) of every import from one part of lipsync to another, lazy ones too."""
    for module in MODULES:
        own = _lipsync_part(module)
        for imported in _imports(module) if own else ():
            target = _lipsync_part(_own(imported) or "")
            if own and target and target != own:
                yield module, own, target


def _module_of(imported: str) -> str | None:
    """Return the module of ours that an import loads: the longest prefix that is one."""
    name = _own(imported)
    while name:
        for module in (name, f"{name}.__init__"):
            if module in MODULES:
                return module
        name = name.rpartition(".")[0]
    return None


def _circle(edges: dict[str, set[str]]) -> list[str]:
    """Return the nodes of the circles in a directed graph and of the ways between them, [] where there is none."""
    left = dict(edges)
    while True:
        targets = {target for node in left for target in left[node]}
        ends = [node for node in left if node not in targets or not left[node] & left.keys()]
        if not ends:
            return sorted(left)
        for node in ends:
            del left[node]


def _top_level(module: str) -> set[str]:
    return {imported.split(".")[0] for imported in _imports(module)}


def test_the_drawing_shows_every_part() -> None:
    assert set(PARTS.values()) - {"__init__"} <= set(ALLOWED)
    assert len(MODULES) > 30


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_what_the_drawing_allows(part: str) -> None:
    wrong = [
        f"{module} imports {imported}"
        for module in MODULES
        if PARTS[module] == part
        for imported in _imports(module)
        if (target := _own(imported)) and not _is_allowed(part, target)
    ]
    assert wrong == []


def test_the_layers_of_lipsync_name_every_module() -> None:
    parts = {part for module in MODULES if (part := _lipsync_part(module))}
    listed = [part for layer in LIPSYNC_LAYERS for part in layer]
    assert sorted(listed) == sorted(parts)


def test_imports_inside_lipsync_run_downwards_only() -> None:
    level = {part: number for number, layer in enumerate(LIPSYNC_LAYERS) for part in layer}
    assert [f"{module} imports {target}" for module, own, target in _lipsync_imports() if level[target] <= level[own]] == []


@pytest.mark.parametrize("part", ONLY_FROM)
def test_only_the_engines_import_drivers_and_renderers(part: str) -> None:
    assert {own for _, own, target in _lipsync_imports() if target == part} <= ONLY_FROM[part]


def test_no_modules_of_lipsync_import_each_other_in_a_circle() -> None:
    edges = {
        module: {target for imported in _imports(module) if (target := _module_of(imported)) and target != module}
        for module in MODULES
        if _lipsync_part(module)
    }
    assert _circle(edges) == []


def test_the_core_and_the_daemon_need_nothing_but_the_standard_library() -> None:
    for module, part in PARTS.items():
        if part in {"bounded_reading", "core", "daemon", "daemon_threads", "durable", "processes"}:
            foreign = _top_level(module) - set(sys.stdlib_module_names) - {PACKAGE}
            assert foreign == ({"pydantic"} if module == "core.status" else set()), module


def test_the_core_is_pure() -> None:
    impure = {"os", "io", "time", "socket", "subprocess", "shutil", "tempfile", "logging", "random", "secrets", "threading", "asyncio"}
    for module, part in PARTS.items():
        if part == "core":
            assert not _top_level(module) & impure, module


def test_the_daemon_reads_the_time_from_its_clock_port() -> None:
    for module, part in PARTS.items():
        if part == "daemon":
            assert not _top_level(module) & {"time", "datetime"}, module


def test_heavy_libraries_are_imported_in_lipsync_alone() -> None:
    for module, part in PARTS.items():
        if part not in HEAVY_PARTS:
            assert not _top_level(module) & HEAVY, module
        if part not in ARRAY_PARTS:
            assert "numpy" not in _top_level(module), module


@pytest.mark.parametrize("library", sorted(ONE_FILE))
def test_an_adapter_library_is_imported_in_one_file(library: str) -> None:
    assert len([module for module in MODULES if library in _top_level(module)]) <= 1


@pytest.mark.parametrize("arguments", [[], ["--help"], ["run", "--help"]])
def test_asking_for_help_loads_nothing_heavy(arguments: list[str], root: Path) -> None:
    script = (
        "import sys\n"
        "from heygem_daemon.cli import main\n"
        f"sys.argv = ['heygem', *{arguments!r}]\n"
        "try:\n"
        f"    main() if {arguments!r} else None\n"
        "except SystemExit as ended:\n"
        "    assert not ended.code, ended.code\n"
        "print('LOADED', *sorted(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert PACKAGE in loaded
    assert not loaded & {*HEAVY, "numpy", "watchdog", "ray"}


def test_the_page_loads_nothing_heavy_and_opens_no_ledger() -> None:
    """Hostile media are opened in a child process, and what the page cannot reach it cannot break."""
    script = "import sys\nimport heygem_daemon.web.app, heygem_daemon.web.server\nprint('LOADED', *sorted(sys.modules))\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "heygem_daemon.web.app" in loaded
    assert not loaded & {*HEAVY, "numpy", "watchdog", "sqlite3", f"{PACKAGE}.ledger", f"{PACKAGE}.daemon", f"{PACKAGE}.media"}


def test_the_daemon_loads_neither_arrays_nor_engines() -> None:
    """It stays for months and must be small: media are opened in a process of its own, which ends when nothing arrives."""
    script = "import sys\nimport heygem_daemon.wiring.build, heygem_daemon.cli.app\nprint('LOADED', *sorted(sys.modules))\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "heygem_daemon.daemon.main_loop" in loaded
    assert not loaded & {*HEAVY, "numpy", "ray", "ai_edge_litert", f"{PACKAGE}.media.probe", f"{PACKAGE}.media.speech"}
