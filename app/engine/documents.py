"""Documents: parsed, measured and validated once, then kept by their text."""

import logging
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import NoSchemaIntrospectionCustomRule
from graphql.validation.rules import overlapping_fields_can_be_merged

from app.engine.cache import SegmentedCache
from app.engine.error_texts import ErrorTexts
from app.engine.errors import request_errors, where_of
from app.engine.executable import Executable, Planned, Planning, Variant, name_of
from app.engine.limits import DocumentLimits, Excess, FieldCosts, Measured, measure
from app.engine.one_of import OneOfVariablesRule, mark_one_of
from app.engine.plans.plan import plan
from app.errors import Code, coded

# Parsed, with its plan, a document takes 60 to 175 bytes for each character: 42 MiB at most.
KEPT_CHARACTERS = 250_000
# Refused documents have a separate cache, so they never displace executable ones.
KEPT_REFUSED_CHARACTERS = 200_000
# graphql-core compares overlapping fields pairwise, bounded by this budget. Fifteen fragments that
# each select a dozen fields use 6,000; the library's default allows 200 ms.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 10_000
MAX_ERRORS = 5
HASH_CHARACTERS = 12

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Document:
    """A document that may be executed."""

    hash: str
    node: DocumentNode
    measured: Measured
    operations: dict[str | None, Executable]
    # Whether a failure of planning has been logged.
    failure_logged: bool = False

    def operation(self, name: str | None) -> Executable | None:
        """Returns the operation of that name, or the only one (GraphQL specification, 6.1)."""
        if name is None:
            return next(iter(self.operations.values())) if len(self.operations) == 1 else None
        return self.operations.get(name)


@dataclass(frozen=True, slots=True)
class RefusedDocument:
    errors: list[dict[str, Any]]


class UnreadableDocument(Exception):
    """Reading a document failed because of a bug. The message does not quote the document."""


@dataclass(slots=True, kw_only=True)
class Documents:
    """The cached documents of one schema."""

    schema: GraphQLSchema
    limits: DocumentLimits
    costs: FieldCosts
    # Whether documents may read the schema, and errors may suggest its names.
    explore: bool = False
    planned: Planned = Planned.REPEATED
    hits: int = 0
    misses: int = 0
    texts: ErrorTexts = field(init=False)
    _kept: SegmentedCache[Document] = field(default_factory=lambda: SegmentedCache(KEPT_CHARACTERS))
    _refused: SegmentedCache[RefusedDocument] = field(
        default_factory=lambda: SegmentedCache(KEPT_REFUSED_CHARACTERS)
    )

    def __post_init__(self) -> None:
        self.texts = ErrorTexts.of(self.schema)
        mark_one_of(self.schema)

    def known(self, text: str) -> Document | RefusedDocument | None:
        """Returns a cached document."""
        known = self._kept.get(text) or self._refused.get(text)
        if known is not None:
            self.hits += 1
        return known

    def read(self, text: str) -> Document | RefusedDocument:
        """Read a document that may be new: this blocks for milliseconds.

        Raises:
            UnreadableDocument: there is a bug in the server or in a library.

        """
        known = self.known(text)
        if known is not None:
            return known
        self.misses += 1
        try:
            read = self._read(text)
        except Exception as error:  # noqa: BLE001 - its text may quote the document
            fault = f"Reading document {_hash(text)} failed: {where_of(error)}"
            raise UnreadableDocument(fault) from None
        if isinstance(read, Document):
            self._kept.put(text, read, weight=len(text))
        else:
            self._refused.put(text, read, weight=len(text))
        return read

    def plan(self, document: Document, executable: Executable, variant: Variant) -> None:
        """Plan a variant of an operation, once. If that fails, the stock executor runs it."""
        if not variant.is_due:
            return
        variant.planning = Planning.NOT_PLANNED
        node, fragments = executable.node, executable.fragments
        try:
            variant.plan = plan(self.schema, node, fragments, variant.conditions)
        except Exception as error:  # noqa: BLE001 - an error in planning must not fail the query
            _log_failure(document, error)
            return
        if variant.plan is not None:
            variant.planning = Planning.PLANNED

    def _read(self, text: str) -> Document | RefusedDocument:
        try:
            node = self._parse(text)
        except GraphQLError as error:
            return RefusedDocument(request_errors([error], Code.PARSE_FAILED, self.texts))
        except RecursionError:
            return RefusedDocument([coded("The document is nested too deeply.", Code.PARSE_FAILED)])
        measured = measure(node, self.limits, self.costs)
        if measured.excess is not None:
            return RefusedDocument([excess_error(measured.excess)])
        errors = self._validate(node)
        if errors:
            return RefusedDocument(request_errors(errors, Code.VALIDATION_FAILED, self.texts))
        return Document(_hash(text), node, measured, self._executables(node, measured))

    def _executables(self, node: DocumentNode, measured: Measured) -> dict[str | None, Executable]:
        fragments = _fragments(node)
        return {
            name: Executable(
                operation,
                fragments,
                may_be_too_much=measured.operations[name]["cost"] > self.limits.cost,
                introspects=measured.operations[name]["introspection_depth"] > 0,
                in_parts=operation.operation is OperationType.MUTATION
                and measured.operations[name]["root_fields"] > 1,
                planning=self.planned.at_first,
            )
            for name, operation in _operations(node).items()
        }

    def _parse(self, text: str) -> DocumentNode:
        return parse(
            text,
            max_lexical_tokens=self.limits.tokens,
            max_comments=self.limits.comments,
            max_source_length=self.limits.characters,
            allow_empty_selection_sets=False,
        )

    def _validate(self, node: DocumentNode) -> list[GraphQLError]:
        rules = [*specified_rules, OneOfVariablesRule]
        if not self.explore:
            rules.append(NoSchemaIntrospectionCustomRule)
        return validate(
            self.schema,
            node,
            rules,
            max_errors=MAX_ERRORS,
            hide_suggestions=not self.explore,
            allow_empty_selection_sets=False,
        )


def _hash(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:HASH_CHARACTERS]


def excess_error(excess: Excess) -> dict[str, Any]:
    return coded(excess.message, Code.VALIDATION_FAILED, limit=excess.limit, allowed=excess.allowed)


def _operations(node: DocumentNode) -> dict[str | None, OperationDefinitionNode]:
    return {
        name_of(definition): definition
        for definition in node.definitions
        if isinstance(definition, OperationDefinitionNode)
    }


def _fragments(node: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {
        definition.name.value: definition
        for definition in node.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }


def _log_failure(document: Document, error: Exception) -> None:
    if not document.failure_logged:
        document.failure_logged = True
        log.error("Planning document %s failed: %s", document.hash, where_of(error))
