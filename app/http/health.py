"""Health: whether the process lives, and whether it can serve requests."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

STOPPING = "The server is stopping."
# FastAPI answers HEAD only where it is named.
READ = ["GET", "HEAD"]


def health_routes(unready: Callable[[], Awaitable[str | None]]) -> APIRouter:
    router = APIRouter()

    @router.api_route("/health/live", methods=READ)
    async def live() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @router.api_route("/health/ready", methods=READ)
    async def ready() -> JSONResponse:
        reason = await unready()
        if reason:
            return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)
        return JSONResponse({"status": "ready"})

    del live, ready
    return router
