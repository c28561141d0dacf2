"""Persisted documents: trusted ones from a manifest, and Apollo's automatic persisted queries."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from app.engine.cache import SegmentedCache
from app.errors import Code, Misconfigured

KEPT_CHARACTERS = 500_000
SHA_256 = re.compile(r"[0-9a-f]{64}")
NOT_FOUND = "PersistedQueryNotFound"  # Apollo's clients compare this text
ONLY_TRUSTED = "Only documents of the manifest run here: send a `documentId`."


class DocumentRefused(Exception):
    """The document cannot be found, or must not be run."""

    def __init__(self, message: str, code: Code) -> None:
        super().__init__(message)
        self.message, self.code = message, code


@dataclass(frozen=True, slots=True)
class PersistedDocuments:
    trusted: Mapping[str, str] = field(default_factory=dict[str, str])
    only_trusted: bool = False
    _automatic: SegmentedCache[str] = field(default_factory=lambda: SegmentedCache(KEPT_CHARACTERS))

    @classmethod
    def load(cls, manifest: Path | None, *, only_trusted: bool) -> "PersistedDocuments":
        """Read a manifest as graphql-codegen and Relay write it: an object of hash to text.

        Raises:
            Misconfigured: it is missing or invalid.

        """
        if manifest is None:
            if only_trusted:
                raise Misconfigured("PERSISTED_DOCUMENTS_ONLY needs PERSISTED_DOCUMENTS.")
            return cls()
        try:
            entries: object = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise Misconfigured(f"PERSISTED_DOCUMENTS: {manifest} is not readable JSON.") from None
        if not isinstance(entries, dict):
            raise Misconfigured(f"PERSISTED_DOCUMENTS: {manifest} is not an object of texts.")
        texts = cast("dict[str, object]", entries)
        return cls(
            {name: text for name, text in texts.items() if isinstance(text, str)}, only_trusted
        )

    def find(self, query: str | None, document_id: str | None, extensions: dict[str, Any]) -> str:
        """Returns the text to run.

        Raises:
            DocumentRefused: the document is unknown or not trusted, or the hash is wrong.

        """
        if query is not None and not extensions and document_id is None and not self.only_trusted:
            return query
        name = document_id or _apollo_hash(extensions)
        if name is None or (document_id is None and query is not None and not self.only_trusted):
            return self._text(query, name)
        text = self.trusted.get(name) or self.trusted.get(name.removeprefix("sha256:"))
        if text is None and not self.only_trusted:
            text = self._automatic.get(name)
        if text is None:
            raise DocumentRefused(NOT_FOUND, Code.PERSISTED_QUERY_NOT_FOUND)
        return text

    def _text(self, query: str | None, name: str | None) -> str:
        if query is None:
            raise DocumentRefused("`query` is missing.", Code.BAD_REQUEST)
        if self.only_trusted:
            raise DocumentRefused(ONLY_TRUSTED, Code.BAD_REQUEST)
        if name is not None:
            # Otherwise a client could store its text under the hash of another document.
            if hashlib.sha256(query.encode(errors="surrogatepass")).hexdigest() != name:
                raise DocumentRefused("`sha256Hash` is not the hash of `query`.", Code.BAD_REQUEST)
            self._automatic.put(name, query, weight=len(query))
        return query


def _apollo_hash(extensions: dict[str, Any]) -> str | None:
    asked = extensions.get("persistedQuery")
    if asked is None:
        return None
    found: object = (
        cast("dict[str, Any]", asked).get("sha256Hash") if isinstance(asked, dict) else None
    )
    if not isinstance(found, str) or not SHA_256.fullmatch(found):
        raise DocumentRefused(
            "`persistedQuery.sha256Hash` must be 64 hexadecimal digits.", Code.BAD_REQUEST
        )
    return found
