"""Claims that modules add to access tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.users.models import UserRow


@dataclass(frozen=True, slots=True)
class TokenClaims:
    sources: tuple[Callable[[UserRow], Mapping[str, object]], ...]

    def of(self, user: UserRow) -> dict[str, object]:
        return {name: value for source in self.sources for name, value in source(user).items()}
