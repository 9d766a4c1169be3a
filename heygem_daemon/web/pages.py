"""The screens: HTML made from templates/, whose scripts in static/js/ speak to the HTTP interface."""

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from heygem_daemon import __version__
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.openapi_page import models, sections, without_fields
from heygem_daemon.web.problems import PROBLEMS
from heygem_daemon.web.words import catalog, text

router = APIRouter(include_in_schema=False)

API: Final = "/api/v1"
TEMPLATES: Final = Path(__file__).parent / "templates"

SCRIPTS: Final = Path(__file__).parent / "static" / "js"

_IMPORT: Final = re.compile(r'^(?:import|export)\b[^;]*?"\./([\w-]+\.js)";', re.MULTILINE)

SERVER_ONLY: Final = ("error.", "warning.", "reason.", "problem.", "api.")
"""First parts of the keys whose texts only the server needs; scripts do not get them."""


def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


ENVIRONMENT: Final = _environment()


@cache
def modules(screen: str) -> tuple[str, ...]:
    """Return the script modules of a screen and of the frame with all that they import, sorted.

    A browser that knows them from the start asks for all of them at once, instead of finding one behind the other."""
    waiting = [name for name in ("frame.js", f"{screen}.js") if (SCRIPTS / name).is_file()]
    found = set(waiting)
    while waiting:
        text = (SCRIPTS / waiting.pop()).read_text(encoding="utf-8")
        imported = set(_IMPORT.findall(text))
        waiting += imported - found
        found |= imported
    return tuple(sorted(found))


def script_texts(language: str) -> Mapping[str, str]:
    """Return the texts that the scripts of a screen may show."""
    return {key: value for key, value in catalog(language).items() if not key.startswith(SERVER_ONLY)}


def render(request: Request, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a screen in the caller's language. `values` are the template's own."""
    caller: Caller = getattr(request.state, "caller", None) or Caller()
    body = ENVIRONMENT.get_template(template).render(
        t=partial(text, caller.language),
        language=caller.language,
        texts=script_texts(caller.language),
        caller=caller,
        can_log_out="user" in request.scope.get("session", {}),
        version=__version__,
        path=request.url.path,
        modules=modules(values["screen"]),
        **values,
    )
    return HTMLResponse(
        body, status, headers={"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie", "Content-Language": caller.language}
    )


def _screen(path: str) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Serve a screen by GET, and by HEAD for those who only ask whether it is there."""
    return router.api_route(path, methods=["GET", "HEAD"])


@_screen("/")
def new(request: Request) -> Response:
    return render(request, "new.html", screen="new")


@_screen("/queue")
def queue(request: Request) -> Response:
    return render(request, "queue.html", screen="queue")


@_screen("/jobs/{job}")
def job(request: Request, job: str) -> Response:
    return render(request, "job.html", screen="job", job=job)


@_screen("/history")
def history(request: Request) -> Response:
    return render(request, "history.html", screen="history")


@_screen("/system")
def system(request: Request) -> Response:
    return render(request, "system.html", screen="system")


@_screen("/login")
def login(request: Request) -> Response:
    identity = getattr(request.app.state, "identity", None)
    if identity is not None and not identity.has_users:
        return RedirectResponse("/", status_code=303)
    return render(request, "login.html", screen="login")


@_screen("/api")
def interface(request: Request) -> Response:
    document = request.app.openapi()
    shown = sections(document, API)
    origin = f"{request.url.scheme}://{request.url.netloc}"
    return render(
        request,
        "api.html",
        screen="api",
        sections=shown,
        models=models(document, shown),
        problems=PROBLEMS,
        without_fields=without_fields,
        base=API,
        origin=origin,
    )


@_screen("/favicon.ico")
def favicon() -> Response:
    return RedirectResponse("/static/icon.svg", status_code=308)
