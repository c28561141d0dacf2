"""The messages of graphql-core that clients see: an allow-list, with values replaced.

A message that no entry matches as a whole is replaced by a generic one, so that a new version of
the library cannot repeat what a client sent.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
)
from graphql.language import TokenKind

from app.engine.library_texts import (
    AS_THEY_ARE,
    MISSING,
    OF_THE_SERVER,
    OF_VALUES,
    PREFIXES,
    REPLACED,
)
from app.errors import Code, Refusal

GENERIC = {
    Code.PARSE_FAILED: "The document is not valid GraphQL.",
    Code.VALIDATION_FAILED: "The document is not valid.",
    Code.BAD_USER_INPUT: "A value is not valid.",
}

NAME = "[_A-Za-z][_0-9A-Za-z]*"
QUOTED = f"'{NAME}'"
MEANT = r"to use an inline fragment on |the enum value |"
KINDS = "|".join(re.escape(f"'{kind.value}'") + f"|{re.escape(kind.value)}" for kind in TokenKind)
PLACEHOLDERS = {
    "type": rf"\[*{NAME}[\]!]*",
    "member": NAME,
    "path": rf"(?: at (?:\.{NAME}|\[\d+\])+)?",
    "suggestion": rf"(?: Did you mean (?:{MEANT}){QUOTED}(?:(?:, | or |, or ){QUOTED})*\?)?",
    "name": NAME,
    "token": rf"{KINDS}|'[a-z]+'(?=, found )",
    "number": r"\d+",
    "value": r".*",
}
PLACEHOLDER = re.compile(r"\{([a-z]+)\d*\}")
OF_THE_SCHEMA = {"type", "member", "path", "suggestion"}


@dataclass(frozen=True, slots=True)
class SchemaNames:
    """The names of the types, fields, arguments, enum values and directives of a schema."""

    types: frozenset[str]
    members: frozenset[str]

    @classmethod
    def of(cls, schema: GraphQLSchema) -> "SchemaNames":
        members = {name for kind in schema.type_map.values() for name in _members(kind)}
        for directive in schema.directives:
            members |= {directive.name, *directive.args}
        return cls(frozenset(schema.type_map), frozenset(members))

    def have(self, placeholder: str, found: str) -> bool:
        names = re.findall(NAME, found)
        if placeholder == "type":
            return self.types.issuperset(names)
        if placeholder == "path":
            return self.members.issuperset(names[1:])
        if placeholder == "suggestion":
            return self.types.union(self.members).issuperset(re.findall(f"'({NAME})'", found))
        return self.members.issuperset(names)


def _members(kind: object) -> Iterator[str]:
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        yield from kind.fields
        for field in kind.fields.values():
            yield from field.args
    elif isinstance(kind, GraphQLInputObjectType):
        yield from kind.fields
    elif isinstance(kind, GraphQLEnumType):
        yield from kind.values


@dataclass(frozen=True)
class Entry:
    """A message of graphql-core with placeholders, and the message for clients."""

    text: str
    told: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        parts: list[str] = []
        end = 0
        for each in PLACEHOLDER.finditer(self.text):
            parts.append(re.escape(self.text[end : each.start()]))
            parts.append(f"(?P<{each.group()[1:-1]}>{PLACEHOLDERS[each.group(1)]})")
            end = each.end()
        parts.append(re.escape(self.text[end:]))
        return re.compile("".join(parts), re.DOTALL)

    def told_of(self, message: str, names: SchemaNames) -> str | None:
        found = self.pattern.fullmatch(message)
        if found is None or not _exist(found, names):
            return None
        return self._filled(found)

    def told_of_start(self, message: str, names: SchemaNames) -> tuple[str, str] | None:
        """Match only the start of a message; returns the message for clients and the rest."""
        found = self.pattern.match(message)
        if found is None or not _exist(found, names):
            return None
        return self._filled(found), message[found.end() :]

    def _filled(self, found: re.Match[str]) -> str:
        return PLACEHOLDER.sub(lambda each: found[each.group()[1:-1]], self.told)


def _exist(found: re.Match[str], names: SchemaNames) -> bool:
    """Whether the schema has every name that must come from it."""
    for group, text in found.groupdict().items():
        placeholder = group.rstrip("0123456789")
        if placeholder in OF_THE_SCHEMA and not names.have(placeholder, text):
            return False
    return True


ENTRIES = (
    *(Entry(text, text) for text in AS_THEY_ARE),
    *(Entry(text, told) for text, told in REPLACED.items()),
)
VALUE_ENTRIES = tuple(Entry(text, told) for text, told in OF_VALUES.items())
PREFIX_ENTRIES = tuple(Entry(text, text) for text in PREFIXES)
MISSING_ENTRIES = tuple(Entry(text, told) for text, told in MISSING.items())
SERVER_ENTRIES = tuple(Entry(text, text) for text in OF_THE_SERVER)


@dataclass(frozen=True, slots=True)
class ErrorTexts:
    """The messages for clients about errors that graphql-core finds in their requests."""

    names: SchemaNames

    @classmethod
    def of(cls, schema: GraphQLSchema) -> "ErrorTexts":
        return cls(SchemaNames.of(schema))

    def of_request(self, error: GraphQLError, code: Code) -> str:
        """Returns the message for an error of a request that was not executed."""
        return (
            self._of_prefixed(error)
            or self._first(ENTRIES, error.message)
            or self._of_value(error, error.message)
            or GENERIC[code]
        )

    def of_client_fault(self, error: GraphQLError) -> str | None:
        """Returns the message for an error of the client that is found during execution."""
        return self._of_prefixed(error) or self._first(MISSING_ENTRIES, error.message)

    def of_server_fault(self, error: GraphQLError) -> str | None:
        """Returns the message for the log about an error of the server, without values."""
        return self._first(SERVER_ENTRIES, error.message) or self._of_value(error, error.message)

    def _of_prefixed(self, error: GraphQLError) -> str | None:
        for entry in PREFIX_ENTRIES:
            told = entry.told_of_start(error.message, self.names)
            if told is not None:
                prefix, rest = told
                return prefix + (self._reason(error, rest) or "it is not valid.")
        return None

    def _of_value(self, error: GraphQLError, message: str) -> str | None:
        reason = self._reason(error, message)
        return reason[:1].upper() + reason[1:] if reason else None

    def _reason(self, error: GraphQLError, message: str) -> str | None:
        cause = cause_of(error)
        if isinstance(cause, Refusal):
            # A scalar of the schema refused the value, with a message for the client.
            return cause.message
        return self._first(VALUE_ENTRIES, message)

    def _first(self, entries: Sequence[Entry], message: str) -> str | None:
        for entry in entries:
            told = entry.told_of(message, self.names)
            if told is not None:
                return told
        return None


def cause_of(error: BaseException) -> BaseException:
    """Returns the error that was raised originally."""
    cause = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause
