"""Answer errors in the caller's language, without a word about the inside of the program."""

from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from heygem_daemon.core.names import escape_name
from heygem_daemon.web.pages import render
from heygem_daemon.web.problems import WebProblem
from heygem_daemon.web.words import text

_NOT_FOUND: Final = 404
_CODES: Final = {_NOT_FOUND: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


def problem_answer(problem: WebProblem, language: str, *, status: int | None = None) -> JSONResponse:
    """Return the answer to a request that cannot be served."""
    fields = {name: escape_name(str(value)) for name, value in problem.fields.items()}
    # The place of a share on this server is nobody's business but the administrator's, who finds it in the log.
    fields.setdefault("name", fields.get("path", "").rstrip("/").rpartition("/")[2])
    content = {
        "code": problem.code,
        "message": _sentence(language, f"problem.{problem.code}", fields),
        "hint": _sentence(language, f"problem.{problem.code}.hint", fields),
    }
    return JSONResponse(content, status_code=status or problem.status, headers=problem.headers)


def _sentence(language: str, key: str, fields: dict[str, str]) -> str:
    """Return a sentence; a field that the problem lacks stays empty, for an error in an error must not hide the first."""
    return text(language, key).format_map(_Fields(fields))


class _Fields(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


def language_in(request: Request) -> str:
    """Return the language that the middleware found for this request."""
    return str(request.scope.get("state", {}).get("language", "en"))


def add_handlers(app: FastAPI) -> None:
    """Answer what endpoints raise."""

    @app.exception_handler(WebProblem)
    async def of_problem(request: Request, problem: WebProblem) -> JSONResponse:
        return problem_answer(problem, language_in(request))

    @app.exception_handler(RequestValidationError)
    async def of_validation(request: Request, invalid: RequestValidationError) -> JSONResponse:
        return problem_answer(WebProblem("invalid_request", problem=describe(invalid.errors())), language_in(request))

    @app.exception_handler(HTTPException)
    async def of_framework(request: Request, raised: HTTPException) -> Response:
        if isinstance(raised.__cause__, WebProblem):  # FastAPI wraps what is raised while it reads a body
            return problem_answer(raised.__cause__, language_in(request))
        if (
            raised.status_code == _NOT_FOUND
            and not request.url.path.startswith("/api/")
            and "text/html" in request.headers.get("accept", "")
        ):
            return render(request, "missing.html", status=_NOT_FOUND, screen="missing")
        headers = dict(raised.headers or {})
        problem = WebProblem(_CODES.get(raised.status_code, "invalid_request"), problem=str(raised.detail), headers=headers)
        return problem_answer(problem, language_in(request), status=raised.status_code)


def describe(errors: Sequence[Any]) -> str:
    """Return the first errors of a validation as `where: what`, without the values, which may be passwords."""
    shown = [f"{'.'.join(str(part) for part in each['loc'] if part != 'body') or 'body'}: {each['msg']}" for each in errors[:3]]
    return "; ".join(shown)[:500]
