"""The public keys (JWKS) and the metadata of the issuer, below `/.well-known`."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.http.health import GET_OR_HEAD
from app.http.metadata import JWKS, metadata, metadata_paths


def well_known_routes(
    jwks: Callable[[], Awaitable[dict[str, Any]]], jwks_max_age: timedelta, issuer: str
) -> APIRouter:
    """Returns the routes; both documents may be cached for `jwks_max_age`."""
    router = APIRouter()
    headers = {"cache-control": f"public, max-age={int(jwks_max_age.total_seconds())}"}

    async def send_jwks() -> JSONResponse:
        return JSONResponse(await jwks(), headers=headers)

    async def send_metadata() -> JSONResponse:
        return JSONResponse(metadata(issuer), headers=headers)

    router.add_api_route(JWKS, send_jwks, methods=GET_OR_HEAD)
    for path in metadata_paths(issuer):
        router.add_api_route(path, send_metadata, methods=GET_OR_HEAD)
    return router
