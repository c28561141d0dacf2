"""What is not GraphQL: health, the public keys, and the metadata of the issuer."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.http.metadata import JWKS, metadata, metadata_paths
from app.keys.services.signing_keys import JWKS_MAX_AGE, SigningKeys

STOPPING = "The server is stopping."
# FastAPI answers HEAD only where it is named.
READ = ["GET", "HEAD"]
# A new key signs when this is over, unless it was made by `portico keys rotate --now`.
CACHED = {"cache-control": f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"}


def plain_routes(
    unready: Callable[[], Awaitable[str | None]],
    keys: SigningKeys,
    issuer: str,
) -> APIRouter:
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

    @router.api_route(JWKS, methods=READ)
    async def jwks() -> JSONResponse:
        return JSONResponse(await keys.jwks(), headers=CACHED)

    async def described() -> JSONResponse:
        return JSONResponse(metadata(issuer), headers=CACHED)

    for path in metadata_paths(issuer):
        router.add_api_route(path, described, methods=READ)
    del live, ready, jwks
    return router
