"""The fixtures of Portico, with the module of this project."""

import pytest

from app.settings import Settings

pytest_plugins = ["app.testing.fixtures"]


@pytest.fixture(scope="session")
def modules() -> tuple[str, ...]:
    return ("my_api.notes",)


@pytest.fixture(scope="session")
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"notes_max": 3})
