"""Validation of settings, and the messages for invalid ones."""

from collections.abc import Callable
from secrets import token_hex, token_urlsafe
from typing import Any

import pytest
from pydantic import ValidationError

from app.testing.settings import settings_of


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"secret_key": "short"}, "at least 32 bytes"),
        ({"secret_key": "change-me-" * 5}, "looks like a placeholder"),
        ({"secret_key": "a" * 64}, "looks like a placeholder"),
        ({"secret_key": "0123456789abcdef" * 4}, "can be guessed"),
        ({"secret_key": "qwertyuiopasdfghjklzxcvbnm123456"}, "can be guessed"),
        ({"secret_key": "django-insecure-x7k2b9q4v1n8m3c6z5l0p9"}, "is printed in a tutorial"),
        ({"secret_key": "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA,short"}, "at least 32 bytes"),
        ({"database_url": "mysql://x/y"}, "postgresql://"),
        ({"database_url": "nonsense"}, "postgresql://"),
        ({"public_url": "example.com"}, "http"),
        ({"bcrypt_rounds": 99}, "16"),
        ({"password_min_length": 7}, "8"),
        ({"password_min_guesses": 10**8 + 1}, "100000000"),
        *(
            ({"cors_origins": f"https://app.example.com,{origin}"}, words)
            for origin, words in {
                "*": "must name each frontend, such as",
                "null": "must name each frontend, such as",
                "app.example.com": "must name each frontend, such as",
                "https://user@app.example.com": "must name each frontend, such as",
                "https://app.example.com/path": "must name each frontend, such as",
                "https://app.example.com?a": "must name each frontend, such as",
                "https://app.example.com:99999": "must name each frontend, such as",
                "https://app.example.com:*": "must name each frontend, such as",
                "https://localhost:*": "must name each frontend, such as",
                "http://localhost.evil.example:*": "must name each frontend, such as",
                "http://127.0.0.2:*": "must name each frontend, such as",
                "https://bücher.example": "must name each frontend, such as",
                "ftp://app.example.com": "must name each frontend, such as",
                "https://*": "not in the last two labels",
                "https://*.com": "not in the last two labels",
                "https://app.*.com": "not in the last two labels",
                "https://a*b*c.example.com": "at most once per label",
            }.items()
        ),
        ({"trusted_proxies": "::/0"}, "must not trust every address"),
    ],
)
def test_an_invalid_setting_is_refused_without_showing_its_value(
    values: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        settings_of(**values)

    error = caught.value.errors(include_url=False)[0]
    assert error["loc"] == tuple(values)
    assert words in error["msg"]
    assert str(next(iter(values.values()))) not in str(caught.value)


@pytest.mark.parametrize("make", [lambda: token_hex(16), lambda: token_urlsafe(48)])
def test_a_key_of_random_characters_is_accepted(make: Callable[[], str]) -> None:
    keys: list[Any] = [f"{make()},{make()}" for _ in range(10)]

    assert all(settings_of(secret_key=key).secret_key for key in keys)


def test_origins_are_separated_by_commas() -> None:
    settings = settings_of(cors_origins="https://a.example, https://b.example/,")

    assert settings.cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("given", "normalized"),
    [
        ("HTTPS://App.Example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80/", "http://app.example.com"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://LocalHost:*/", "http://localhost:*"),
        ("http://127.0.0.1:*", "http://127.0.0.1:*"),
        ("http://[::1]:*", "http://[::1]:*"),
        ("https://*.Preview.example", "https://*.preview.example"),
    ],
)
def test_origins_are_normalized_as_browsers_send_them(given: str, normalized: str) -> None:
    assert settings_of(cors_origins=given).cors_origins == (normalized,)


def test_exploring_is_allowed_by_default_only_with_the_embedded_database() -> None:
    url: Any = "postgresql://db.example/portico"

    assert settings_of().explore
    assert not settings_of(database_url=url).explore
    assert settings_of(database_url=url, debug=True).explore
