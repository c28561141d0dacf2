"""One operation of a document, and the state of its plans."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any

from graphql import FieldNode, FragmentDefinitionNode, OperationDefinitionNode

from app.engine.plans.plan import Plan
from app.engine.plans.selections import Conditions, condition_variables

# Enough for three conditions. Further variants, which a client could send on purpose, get no plans.
MAX_VARIANTS = 8


class Planning(Enum):
    """The state of the plan of an operation."""

    NOT_ANSWERED = "not answered yet"
    ANSWERED = "answered once: the next request plans it"
    PLANNED = "planned"
    NOT_PLANNED = "left to the stock executor"


class Planned(StrEnum):
    """Which operations run by plans."""

    REPEATED = "repeated"
    ALL = "all"
    NONE = "none"

    @property
    def at_first(self) -> Planning:
        """The state of an operation that has not been sent yet."""
        return AT_FIRST[self]


AT_FIRST = {
    Planned.REPEATED: Planning.NOT_ANSWERED,
    Planned.ALL: Planning.ANSWERED,
    Planned.NONE: Planning.NOT_PLANNED,
}


@dataclass(slots=True)
class Variant:
    """An operation with given values of its conditions, and the state of its plan."""

    conditions: Conditions
    planning: Planning
    plan: Plan | None = None

    @property
    def is_due(self) -> bool:
        return self.planning is Planning.ANSWERED

    def note_answer(self) -> None:
        """Note that it was answered without an error.

        An operation that is refused is not planned: its plan would raise, and the stock executor
        would run it anyway.
        """
        if self.planning is Planning.NOT_ANSWERED:
            self.planning = Planning.ANSWERED


@dataclass(slots=True)
class Executable:
    """One operation of a document, and everything about it that is the same in each request."""

    node: OperationDefinitionNode
    # The fragments of its document, by name.
    fragments: dict[str, FragmentDefinitionNode]
    # Whether it costs too much with the largest pages, so that its variables have to be checked.
    may_be_too_much: bool
    # Whether it reads the schema, which blocks the event loop for a long time.
    introspects: bool
    # Whether it has several mutations, of which some may succeed and others fail.
    in_parts: bool = False
    # The initial state of a new variant.
    planning: Planning = Planning.NOT_ANSWERED
    # By the values of the conditions.
    variants: dict[tuple[bool, ...], Variant] = field(default_factory=dict[Any, Variant])
    # Its first root field: a bounded set of names, for logs and metrics.
    label: str = field(init=False)
    name: str | None = field(init=False)
    # The variables of `@include` and `@skip`, with their defaults, once it has run.
    _conditions: Mapping[str, bool | None] | None = None

    def __post_init__(self) -> None:
        self.label, self.name = _label(self.node), name_of(self.node)

    def variant(self, variables: Mapping[str, Any]) -> Variant | None:
        """Returns the variant of these variables; None if the stock executor has to run it."""
        conditions = self._conditions
        if conditions is None:
            conditions = self._conditions = condition_variables(self.node, self.fragments)
        values: tuple[Any, ...] = ()
        if conditions:
            values = tuple(variables.get(name, default) for name, default in conditions.items())
            # Before they are a key: clients send lists and objects too, and 1 equals True.
            if not all(isinstance(each, bool) for each in values):
                return None
        known = self.variants.get(values)
        if known is not None or len(self.variants) == MAX_VARIANTS:
            return known
        self.variants[values] = Variant(dict(zip(conditions, values, strict=True)), self.planning)
        return self.variants[values]


def name_of(operation: OperationDefinitionNode) -> str | None:
    return operation.name.value if operation.name else None


def _label(operation: OperationDefinitionNode) -> str:
    first = operation.selection_set.selections[0]
    asked = first.name.value if isinstance(first, FieldNode) else "fragment"
    return f"{operation.operation.value} {asked}"
