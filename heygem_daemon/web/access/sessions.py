"""Log in, log out, and say who is logged in."""

from typing import cast

from fastapi import APIRouter, Request, Response

from heygem_daemon.web.access.accounts import is_user_name, normal_name
from heygem_daemon.web.access.identity import Identity
from heygem_daemon.web.context import CallerOf, Context
from heygem_daemon.web.models import Login, Me
from heygem_daemon.web.problems import WebProblem

router = APIRouter(tags=["session"])


def _identity(request: Request) -> Identity:
    return cast(Identity, request.app.state.identity)


@router.get("/me")
async def get_me(request: Request, caller: CallerOf) -> Me:
    """Return who makes this request."""
    login = _identity(request).has_users
    return Me(name=caller.name, admin=caller.is_admin, login=login, language=caller.language)


@router.post("/session")
async def log_in(request: Request, context: Context, caller: CallerOf, login: Login) -> Me:
    """Log in with a name and a password; the answer sets the cookie of the session."""
    identity, name = _identity(request), normal_name(login.name)
    if not identity.has_users:
        raise WebProblem("not_found")
    if not name:
        raise WebProblem("wrong_password")
    address = str(request.scope["state"]["address"])
    identity.limiter.begin(name, address)
    user = context.accounts.user(name) if is_user_name(name) else None
    if not await identity.checker.matches(user.password if user else None, login.password) or user is None:
        request.app.state.log("web_login_refused", level="warning", user=name[:64], address=address[:64])
        raise WebProblem("wrong_password")
    identity.limiter.succeeded(name, address)
    identity.begin_session(request.session, user)
    return Me(name=user.name, admin=user.admin, login=True, language=caller.language)


@router.delete("/session", status_code=204)
async def log_out(request: Request) -> Response:
    """Log out: the cookie is deleted, and copies of it are worth nothing any more."""
    _identity(request).end_session(request.session)
    return Response(status_code=204)
