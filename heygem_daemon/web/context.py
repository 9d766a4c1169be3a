"""What every request works with. Made once by `create_app`; requests get it as `request.app.state.context`."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from heygem_daemon.settings import Settings
from heygem_daemon.web.access.accounts import Accounts
from heygem_daemon.web.caller import Caller
from heygem_daemon.web.jobs.index import JobIndex
from heygem_daemon.web.media.preview_client import PreviewClient
from heygem_daemon.web.shares import Shares
from heygem_daemon.web.uploads.drafts import Drafts


@dataclass(frozen=True, kw_only=True)
class WebContext:
    """The parts of the page."""

    settings: Settings
    shares: Shares
    index: JobIndex
    drafts: Drafts
    accounts: Accounts
    previews: PreviewClient


def context_of(request: Request) -> WebContext:
    return cast(WebContext, request.app.state.context)


def caller_of(request: Request) -> Caller:
    """Return who calls; the middleware of security.py has found it out. Raises WebProblem (`login_required`)."""
    return cast(Caller, request.state.caller)


Context = Annotated[WebContext, Depends(context_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]
