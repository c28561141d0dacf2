"""What is used of passlib, which is not typed."""

import warnings
from collections.abc import Callable
from typing import Any, cast

from passlib import registry  # pyright: ignore[reportMissingTypeStubs] - it has none
from passlib.exc import (  # pyright: ignore[reportMissingTypeStubs] - it has none
    PasslibHashWarning,
)
from passlib.utils import binary  # pyright: ignore[reportMissingTypeStubs] - it has none

# passlib corrects some damaged hashes and warns: here they are refused. Once for the process, since
# filters cannot be changed for one call where there are threads.
warnings.simplefilter("error", PasslibHashWarning)

# What passlib raises for texts that are none of its hashes after all.
UNREADABLE = (ValueError, TypeError, LookupError, AssertionError, PasslibHashWarning)
handler_of = cast("Callable[[str], Any]", cast("Any", registry).get_crypt_handler)
# The alphabets of bcrypt and of crypt(3), which are not that of base64.
bcrypt64 = cast("Any", binary).bcrypt64
crypt64 = cast("Any", binary).h64
