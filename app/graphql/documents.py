"""Documents: parsed, measured and validated once, then kept by their text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
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
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from app.errors import Code
from app.graphql.cache import SegmentedCache
from app.graphql.errors import coded, request_errors
from app.graphql.field_policy import connection_fields, credential_fields
from app.graphql.limits import DocumentLimits, Excess, Measured, measure
from app.graphql.plans.plan import Plan, plan

KEPT_CHARACTERS = 500_000
# graphql-core compares fields that may overlap pairwise, and offers this budget to bound it. A page
# of ours uses 2,000; its default lets 200 ms through. See benchmarks/documents.py.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 20_000
MAX_ERRORS = 5
HASH_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Executable:
    """One operation of a document, and what is the same each time it runs."""

    node: OperationDefinitionNode
    # What it asks first, as the schema names it: there are as many of these as root fields.
    label: str
    plan: Plan | None
    # Whether the largest pages would cost too much, so that its variables have to be looked at.
    may_be_too_much: bool

    @property
    def name(self) -> str | None:
        return _name(self.node)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that may be executed."""

    hash: str
    node: DocumentNode
    measured: Measured
    operations: dict[str | None, Executable]

    def operation(self, name: str | None) -> Executable | None:
        """Choose as the specification has it (6.1): by name, or the only one there is."""
        if name is None:
            return next(iter(self.operations.values())) if len(self.operations) == 1 else None
        return self.operations.get(name)


@dataclass(frozen=True, slots=True)
class RefusedDocument:
    errors: list[dict[str, Any]]


@dataclass(slots=True)
class Documents:
    schema: GraphQLSchema
    limits: DocumentLimits
    explore: bool
    planned: bool = True
    hits: int = 0
    misses: int = 0
    _kept: SegmentedCache[Document] = field(default_factory=lambda: SegmentedCache(KEPT_CHARACTERS))
    _credentials: frozenset[str] = field(init=False)
    _connections: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._credentials = credential_fields(self.schema)
        self._connections = connection_fields(self.schema)

    def read(self, text: str) -> Document | RefusedDocument:
        document = self._kept.get(text)
        if document is not None:
            self.hits += 1
            return document
        self.misses += 1
        read = self._read(text)
        if isinstance(read, Document):
            self._kept.put(text, read, weight=len(text))
        return read

    def _read(self, text: str) -> Document | RefusedDocument:
        try:
            node = self._parse(text)
        except GraphQLError as error:
            return RefusedDocument(request_errors([error], Code.PARSE_FAILED))
        except RecursionError:
            return RefusedDocument([coded("The document is nested too deeply.", Code.PARSE_FAILED)])
        measured = measure(
            node,
            self.limits,
            credential_fields=self._credentials,
            connection_fields=self._connections,
        )
        if measured.excess is not None:
            return RefusedDocument([excess_error(measured.excess)])
        errors = self._validate(node)
        if errors:
            return RefusedDocument(request_errors(errors, Code.VALIDATION_FAILED))
        shortened = sha256(text.encode(errors="surrogatepass")).hexdigest()[:HASH_CHARACTERS]
        return Document(shortened, node, measured, self._executables(node, measured))

    def _executables(self, node: DocumentNode, measured: Measured) -> dict[str | None, Executable]:
        fragments = {
            definition.name.value: definition
            for definition in node.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        return {
            name: Executable(
                operation,
                _label(operation),
                plan(self.schema, operation, fragments) if self.planned else None,
                may_be_too_much=measured.operations[name]["cost"] > self.limits.cost,
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
        rules = [*specified_rules, OneOfInputValidationRule]
        if not self.explore:
            rules.append(NoSchemaIntrospectionCustomRule)
        errors = validate(
            self.schema,
            node,
            rules,
            max_errors=MAX_ERRORS,
            hide_suggestions=not self.explore,
            allow_empty_selection_sets=False,
        )
        subscriptions = (
            GraphQLError("There are no subscriptions here.", operation)
            for operation in _operations(node).values()
            if operation.operation is OperationType.SUBSCRIPTION
        )
        return [*errors, *subscriptions]


def excess_error(excess: Excess) -> dict[str, Any]:
    return coded(excess.message, Code.VALIDATION_FAILED, limit=excess.limit, allowed=excess.allowed)


def _name(operation: OperationDefinitionNode) -> str | None:
    return operation.name.value if operation.name else None


def _label(operation: OperationDefinitionNode) -> str:
    first = operation.selection_set.selections[0]
    asked = first.name.value if isinstance(first, FieldNode) else "fragment"
    return f"{operation.operation.value} {asked}"


def _operations(node: DocumentNode) -> dict[str | None, OperationDefinitionNode]:
    return {
        _name(definition): definition
        for definition in node.definitions
        if isinstance(definition, OperationDefinitionNode)
    }
