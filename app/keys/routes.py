"""The public keys, and the metadata of the issuer, for whoever verifies access tokens."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.http.health import READ
from app.http.metadata import JWKS, metadata, metadata_paths
from app.keys.services.signing_keys import JWKS_MAX_AGE, SigningKeys

# A new key signs when this is over, unless it was made by `portico keys rotate --now`.
CACHED = {"cache-control": f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"}


def key_routes(keys: SigningKeys, issuer: str) -> APIRouter:
    router = APIRouter()

    @router.api_route(JWKS, methods=READ)
    async def jwks() -> JSONResponse:
        return JSONResponse(await keys.jwks(), headers=CACHED)

    async def described() -> JSONResponse:
        return JSONResponse(metadata(issuer), headers=CACHED)

    for path in metadata_paths(issuer):
        router.add_api_route(path, described, methods=READ)
    del jwks
    return router
