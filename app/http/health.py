"""Health for load balancers and orchestrators: whether the process is alive and ready."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

STOPPING = "The server is stopping."
# FastAPI answers HEAD only if it is listed.
GET_OR_HEAD = ["GET", "HEAD"]


def health_routes(unready: Callable[[], Awaitable[str | None]]) -> APIRouter:
    """Returns the routes; `unready` returns why no request can be served now, or None."""
    router = APIRouter()

    async def live() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def ready() -> JSONResponse:
        reason = await unready()
        if reason:
            return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)
        return JSONResponse({"status": "ready"})

    router.add_api_route("/health/live", live, methods=GET_OR_HEAD)
    router.add_api_route("/health/ready", ready, methods=GET_OR_HEAD)
    return router
