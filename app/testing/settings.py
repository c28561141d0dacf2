"""Settings for tests, which do not depend on the environment or on `.env`."""

import os
from typing import Any

from app.modules import modules_named, settings_class
from app.settings import Settings
from app.testing.leaks import SECRETS

SECRET = "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"


def settings_of(**values: Any) -> Settings:
    """Returns settings of these values, without `.env`, including those of `modules`."""
    no_env_file: Any = {"_env_file": None}
    kind = settings_class(modules_named(values.get("modules", ())))
    return kind(**no_env_file, **values)


def settings_for(url: str, **changes: Any) -> Settings:
    """Returns settings as in production, but with a cheap password hash and with DEBUG."""
    values = {
        "database_url": url,
        "secret_key": SECRET,
        "bcrypt_rounds": 4,
        "debug": True,
        # Rate limits have tests of their own.
        "throttle_scale": 1000,
        # Jobs run when a test says so.
        "jobs_worker": False,
        # A server that runs beside the tests may have the address.
        "management_address": "off",
        # At once, so that tests, which send most operations once, go through plans.
        "execution_plans": os.environ.get("TEST_EXECUTION_PLANS", "all"),
    }
    settings = settings_of(**(values | changes))
    if settings.secret_key:
        SECRETS.add(settings.secret_key.get_secret_value())
    return settings
