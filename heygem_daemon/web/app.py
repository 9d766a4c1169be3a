"""Put the page together: middleware, the HTTP interface, the screens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from heygem_daemon import __version__
from heygem_daemon.settings import Settings
from heygem_daemon.web import pages
from heygem_daemon.web.access import sessions
from heygem_daemon.web.access.accounts import Accounts
from heygem_daemon.web.context import WebContext
from heygem_daemon.web.files import downloads
from heygem_daemon.web.jobs import api_jobs, api_system, events
from heygem_daemon.web.jobs.index import JobIndex
from heygem_daemon.web.media import api_previews
from heygem_daemon.web.media.preview_client import PreviewClient
from heygem_daemon.web.security import protect
from heygem_daemon.web.shares import Shares
from heygem_daemon.web.uploads import api_uploads
from heygem_daemon.web.uploads.drafts import Drafts

STATIC: Final = Path(__file__).parent / "static"
API: Final = "/api/v1"


def create_app(settings: Settings) -> FastAPI:
    """Return the ASGI application. Nothing is read before its start."""
    shares = Shares(settings.intake.answer_seconds)
    context = WebContext(
        settings=settings,
        shares=shares,
        index=JobIndex(settings, shares),
        drafts=Drafts(settings, shares),
        accounts=Accounts(settings.web.state),
        previews=PreviewClient(settings),
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        context.index.start()
        context.drafts.start()
        try:
            yield
        finally:
            await context.drafts.stop()
            await context.index.stop()
            await context.previews.close()
            shares.close()

    app = FastAPI(title="heygem", version=__version__, lifespan=lifespan, openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.state.context = context
    for module in (sessions, api_uploads, api_previews, downloads, events, api_jobs, api_system):
        app.include_router(module.router, prefix=API)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    protect(app, context)
    return app
