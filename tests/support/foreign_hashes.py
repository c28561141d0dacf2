"""Password hashes of other programs."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent / "password_hashes.toml"


@dataclass(frozen=True)
class ForeignHash:
    format: str
    made_by: str
    password: str
    text: str


FOREIGN_HASHES = [ForeignHash(**each) for each in tomllib.loads(FILE.read_text("utf-8"))["hash"]]
