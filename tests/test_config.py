"""Settings that are refused, and what is said of them."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.settings import settings_of


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"secret_key": "short"}, "at least 32 bytes"),
        ({"secret_key": "change-me-" * 5}, "looks like a placeholder"),
        ({"secret_key": "a" * 64}, "looks like a placeholder"),
        ({"secret_key": "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA,short"}, "at least 32 bytes"),
        ({"database_url": "mysql://x/y"}, "postgresql://"),
        ({"database_url": "nonsense"}, "postgresql://"),
        ({"public_url": "example.com"}, "http"),
        ({"bcrypt_rounds": 99}, "16"),
        ({"password_min_length": 7}, "8"),
    ],
)
def test_a_bad_setting_is_refused_without_showing_it(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings_of(**values)

    fault = caught.value.errors(include_url=False)[0]
    assert fault["loc"] == tuple(values)
    assert words in fault["msg"]
    assert str(next(iter(values.values()))) not in str(caught.value)


def test_origins_are_a_list_with_commas() -> None:
    settings = settings_of(cors_origins="https://a.example, https://b.example/")

    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_the_embedded_default_is_open_to_explore_and_a_named_database_is_not() -> None:
    url: Any = "postgresql://db.example/portico"

    assert settings_of().explore
    assert not settings_of(database_url=url).explore
    assert settings_of(database_url=url, debug=True).explore
