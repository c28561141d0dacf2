"""What is not GraphQL: health and the public keys."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.http.stopping import Stopping
from app.services.signing_keys import SigningKeys

STOPPING = "The server is stopping."


def plain_routes(
    unready: Callable[[], Awaitable[str | None]], keys: SigningKeys, stopping: Stopping
) -> APIRouter:
    router = APIRouter()

    @router.get("/health/live")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        reason = STOPPING if stopping.begun else await unready()
        if reason:
            return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)
        return JSONResponse({"status": "ready"})

    @router.get("/.well-known/jwks.json")
    async def jwks() -> JSONResponse:
        # Far shorter than the day by which a new key is published ahead; after `keys rotate` it is
        # what verifiers may lag behind, unless they look again for an id they do not know.
        return JSONResponse(keys.jwks(), headers={"cache-control": "public, max-age=300"})

    del live, ready, jwks
    return router
