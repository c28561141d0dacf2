"""Metadata of the issuer, from which libraries learn how to verify access tokens."""

from typing import Any
from urllib.parse import urlsplit

from app.security.access_tokens import ALGORITHM

WELL_KNOWN = "/.well-known"
JWKS = f"{WELL_KNOWN}/jwks.json"
OPENID = f"{WELL_KNOWN}/openid-configuration"
OAUTH = f"{WELL_KNOWN}/oauth-authorization-server"


def metadata(issuer: str) -> dict[str, Any]:
    """Returns the metadata that is needed to verify tokens of this issuer, and nothing else.

    Portico is neither an OpenID provider nor an OAuth authorization server: it has no endpoint that
    grants tokens, so the fields that name one are left out (RFC 8414, 3.2: what has no value is
    omitted). `id_token_signing_alg_values_supported` is where libraries look for the algorithm;
    without it some assume RS256.
    """
    return {
        "issuer": issuer,
        "jwks_uri": issuer + JWKS,
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "subject_types_supported": ["public"],
    }


def metadata_paths(issuer: str) -> list[str]:
    """Returns the paths at which libraries request the metadata of an issuer.

    OpenID Connect Discovery 1.0 (4) appends to the issuer, and a proxy that serves it below a path
    removes that path; RFC 8414 (3.1 and 5) appends the path of the issuer.
    """
    path = urlsplit(issuer).path
    return list(dict.fromkeys((OPENID, OAUTH, OPENID + path, OAUTH + path)))
