"""The parts of passlib that are used, with types: passlib has none."""

import warnings
from collections.abc import Callable
from typing import Any, cast

from passlib import registry  # pyright: ignore[reportMissingTypeStubs] - it has none
from passlib.exc import (  # pyright: ignore[reportMissingTypeStubs] - it has none
    PasslibHashWarning,
)
from passlib.utils import binary  # pyright: ignore[reportMissingTypeStubs] - it has none

# passlib corrects some damaged hashes and warns: here they are refused. The filter is set for the
# whole process, because changing it for one call is not thread-safe.
warnings.simplefilter("error", PasslibHashWarning)

# What passlib raises for texts that it cannot parse.
UNREADABLE = (ValueError, TypeError, LookupError, AssertionError, PasslibHashWarning)
handler_of = cast("Callable[[str], Any]", cast("Any", registry).get_crypt_handler)
# The base64 variants of bcrypt and of crypt(3), which have alphabets of their own.
bcrypt64 = cast("Any", binary).bcrypt64
crypt64 = cast("Any", binary).h64
