"""Authlib against PORTICO_URL: its RFC 9068 validator accepts access tokens, and no changed ones.

PORTICO_EMAIL and PORTICO_PASSWORD are the credentials of a user.
"""

import json
import os
import sys
import urllib.request
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

ISSUER = os.environ["PORTICO_URL"]
AUDIENCE = "portico"
LOGIN = (
    "mutation ($input: LoginInput!) { login(input: $input) "
    "{ ... on SignedIn { user { subject } tokens { accessToken } } } }"
)


class Validator(JWTBearerTokenValidator):
    """Finds the keys by the issuer, as in Authlib's documentation."""

    def get_jwks(self) -> Any:
        metadata = fetch(f"{self.issuer}/.well-known/oauth-authorization-server")
        return KeySet.import_key_set(fetch(metadata["jwks_uri"]))


def fetch(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - the server under test
        return json.load(answer)


def validated(token: str, audience: str = AUDIENCE) -> dict[str, Any]:
    """Returns the claims.

    Raises:
        InvalidTokenError: the token is not valid.

    """
    validator = Validator(issuer=ISSUER, resource_server=audience)
    claims = validator.authenticate_token(token)
    validator.validate_token(claims, scopes=None, request=None)
    return claims


def is_refused(token: str, audience: str = AUDIENCE) -> bool:
    try:
        validated(token, audience)
    except InvalidTokenError:
        return True
    return False


def decoded(part: str) -> dict[str, Any]:
    return json.loads(urlsafe_b64decode(part + "=="))


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(raw).decode().rstrip("=")


def changed(token: str) -> Iterator[tuple[str, str]]:
    """Returns tokens with invalid signatures, by what was changed."""
    header, payload, signature = token.split(".")
    head, claims = decoded(header), decoded(payload)
    flipped = bytes(byte ^ 1 for byte in urlsafe_b64decode(signature + "=="))
    yield "another subject", f"{header}.{encoded(claims | {'sub': 'root'})}.{signature}"
    yield "a later end", f"{header}.{encoded(claims | {'exp': claims['exp'] + 3600})}.{signature}"
    yield "another type", f"{encoded(head | {'typ': 'JWT'})}.{payload}.{signature}"
    yield "no algorithm", f"{encoded(head | {'alg': 'none'})}.{payload}."
    yield "another signature", f"{header}.{payload}.{encoded(flipped)}"


def main() -> None:
    credentials = {
        "email": os.environ["PORTICO_EMAIL"],
        "password": os.environ["PORTICO_PASSWORD"],
    }
    answer = fetch(f"{ISSUER}/graphql", {"query": LOGIN, "variables": {"input": credentials}})
    signed_in = answer["data"]["login"]
    token = signed_in["tokens"]["accessToken"]

    passed = {
        "an access token is accepted": validated(token)["sub"] == signed_in["user"]["subject"],
        "a token for another audience is refused": is_refused(token, "other"),
    }
    for name, text in changed(token):
        passed[f"a token that was changed is refused: {name}"] = is_refused(text)
    for name, held in passed.items():
        print(f"{'PASSED' if held else 'FAILED'} {name}")
    failed = sum(not held for held in passed.values())
    print(f"{len(passed) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
