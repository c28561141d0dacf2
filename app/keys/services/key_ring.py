"""The ring of signing keys: all keys that verify access tokens, and those that sign them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from app.keys.services.key_validation import InvalidKey
from app.security.keys import KeyPair, PublicKey


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys that verify, and the pairs of those that this process can sign with."""

    public: dict[str, PublicKey] = field(default_factory=dict[str, PublicKey])
    pairs: dict[str, KeyPair] = field(default_factory=dict[str, KeyPair])
    invalid: tuple[InvalidKey, ...] = ()

    def without(self, ids: Iterable[str]) -> "KeyRing":
        removed = set(ids)
        return KeyRing(
            {key_id: key for key_id, key in self.public.items() if key_id not in removed},
            {key_id: pair for key_id, pair in self.pairs.items() if key_id not in removed},
            self.invalid,
        )

    def with_pair(self, pair: KeyPair, created_at: datetime) -> "KeyRing":
        public = PublicKey(pair.id, pair.public, created_at, pair.signs_from)
        public_keys = self.public | {pair.id: public}
        return KeyRing(public_keys, self.pairs | {pair.id: pair}, self.invalid)

    @property
    def unverified(self) -> list[str]:
        """The ids of keys that are sealed with a secret which this process lacks."""
        return [key_id for key_id in self.public if key_id not in self.pairs]

    @property
    def newest(self) -> datetime | None:
        """When the newest key begins to sign."""
        return max((key.signs_from for key in self.public.values()), default=None)

    @property
    def newest_first(self) -> list[PublicKey]:
        return sorted(self.public.values(), key=lambda key: key.signs_from, reverse=True)

    def current(self, now: datetime) -> PublicKey | None:
        """Returns the key that signs, on servers that can open it."""
        ready = [key for key in self.public.values() if key.signs_from <= now]
        return max(ready or self.public.values(), key=lambda key: key.signs_from, default=None)

    def opens_current(self, now: datetime) -> bool:
        """Whether this process can sign with the current key."""
        current = self.current(now)
        return current is not None and current.id in self.pairs
