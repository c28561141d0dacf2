"""The public keys (JWKS) and the metadata of the issuer, below `/.well-known`."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.http.health import GET_OR_HEAD
from app.http.metadata import JWKS, metadata, metadata_paths

PASSKEY_ORIGINS = "/.well-known/webauthn"


def well_known_routes(
    jwks: Callable[[], Awaitable[dict[str, Any]]],
    jwks_max_age: timedelta,
    issuer: str,
    passkey_origins: Sequence[str],
) -> APIRouter:
    """Returns the routes; all documents may be cached for `jwks_max_age`.

    `passkey_origins`: the pages that use passkeys, if there are several or one is outside of the
    domain (WebAuthn Level 3, 5.11). Browsers ask the domain of the passkeys for this.
    """
    router = APIRouter()
    headers = {"cache-control": f"public, max-age={int(jwks_max_age.total_seconds())}"}

    async def send_jwks() -> JSONResponse:
        return JSONResponse(await jwks(), headers=headers)

    async def send_metadata() -> JSONResponse:
        return JSONResponse(metadata(issuer), headers=headers)

    async def send_passkey_origins() -> JSONResponse:
        return JSONResponse({"origins": list(passkey_origins)}, headers=headers)

    if passkey_origins:
        router.add_api_route(PASSKEY_ORIGINS, send_passkey_origins, methods=GET_OR_HEAD)
    router.add_api_route(JWKS, send_jwks, methods=GET_OR_HEAD)
    for path in metadata_paths(issuer):
        router.add_api_route(path, send_metadata, methods=GET_OR_HEAD)
    return router
