"""Finds what logs must not contain: secrets of any kind, and email addresses."""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

PATTERNS: Mapping[str, re.Pattern[str]] = {
    "a JWT": re.compile(r"eyJ[\w-]{16,}"),
    "a refresh token": re.compile(r"prt_[\w-]{16,}"),
    "a one-time token": re.compile(r"pot_[\w-]{16,}"),
    "a device token": re.compile(r"pdt_[\w-]{16,}"),
    "a challenge": re.compile(r"pct_[\w-]{16,}"),
    "a ceremony": re.compile(r"ppc_[\w-]{16,}"),
    # In the form in which they are shown. A code of an app, six digits, has no form of its own.
    "a recovery code": re.compile(
        r"(?<![\w-])[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){3}(?![\w-])"
    ),
    "a TOTP secret": re.compile(r"(?<!\w)[A-Z2-7]{32}(?!\w)"),
    "an otpauth URI": re.compile(r"otpauth:", re.IGNORECASE),
    "a password hash": re.compile(
        r"\$(?:bcrypt-sha256|2[abxy]?|argon2\w*|scrypt|pbkdf2[\w-]*|[156]|P|H)\$[\w.$/=,+-]{8,}"
        r"|\b(?:bcrypt|pbkdf2|argon2|scrypt)\w*\$[\w$.]{8,}|\{(?:SSHA|CRYPT|PBKDF2)\w*\}"
    ),
    "a mail address": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}"),
    "a password in a URL": re.compile(r"://[^\s:/@]+:[^\s/@]+@"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
}
CONTEXT_CHARACTERS = 60
MIN_PASSWORD_CHARACTERS = 8


class Secrets:
    """The secrets of this run: passwords of its users, and keys of its servers."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def add(self, text: str) -> None:
        # A single word, such as "wrong", occurs in other lines too.
        if len(text) >= MIN_PASSWORD_CHARACTERS and not text.isalpha():
            self._texts.add(text)

    def add_passwords_in(self, values: Any) -> None:
        """Add all values whose names contain "password", at any depth."""
        if isinstance(values, dict):
            for name, value in cast("dict[str, Any]", values).items():
                if isinstance(value, str) and "password" in name.lower():
                    self.add(value)
                self.add_passwords_in(value)
        elif isinstance(values, list):
            for value in cast("list[Any]", values):
                self.add_passwords_in(value)

    def leaks_in(self, text: str) -> Iterator[str]:
        """Yield the kind and the context of each secret in a text, without the secret itself."""
        for kind, pattern in PATTERNS.items():
            for match in pattern.finditer(text):
                yield f"{kind}: {self._redacted(text, match.start(), match.end())}"
        for secret in self._texts:
            start = text.find(secret)
            if start >= 0:
                yield f"a password or a key: {self._redacted(text, start, start + len(secret))}"

    def _redacted(self, text: str, start: int, end: int) -> str:
        before = text[max(0, start - CONTEXT_CHARACTERS) : start]
        around = f"{before}\0{text[end : end + CONTEXT_CHARACTERS]}"
        for pattern in PATTERNS.values():
            around = pattern.sub("[…]", around)
        for secret in self._texts:
            around = around.replace(secret, "[…]")
        return " ".join(around.replace("\0", "[…]").split())


SECRETS = Secrets()


def main(paths: list[str]) -> int:
    """Search the logs of a server that ran outside the tests."""
    found = [leak for path in paths for leak in SECRETS.leaks_in(Path(path).read_text())]
    sys.stdout.write("".join(f"{leak}\n" for leak in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
