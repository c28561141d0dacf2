"""One operation of a document, and how far its plan has come."""

from dataclasses import dataclass, field
from enum import Enum

from graphql import FieldNode, OperationDefinitionNode

from app.engine.plans.plan import Plan


class Planning(Enum):
    """How far the plan of an operation has come."""

    NOT_ANSWERED = "not answered yet"
    ANSWERED = "answered once: the next request plans it"
    PLANNED = "planned"
    NOT_PLANNED = "left to the stock executor"


@dataclass(slots=True)
class Executable:
    """One operation of a document, and what is the same each time it runs."""

    node: OperationDefinitionNode
    # Whether it costs too much with the largest pages, so that its variables have to be looked at.
    may_be_too_much: bool
    # Whether it reads the schema, which blocks the event loop for long.
    introspects: bool
    # Whether it has several mutations, of which some may be done and others fail.
    in_parts: bool = False
    planning: Planning = Planning.NOT_ANSWERED
    plan: Plan | None = None
    # Its first root field: a bounded set of names, for logs and metrics.
    label: str = field(init=False)

    def __post_init__(self) -> None:
        self.label = _label(self.node)

    @property
    def name(self) -> str | None:
        return name_of(self.node)

    @property
    def is_due(self) -> bool:
        return self.planning is Planning.ANSWERED

    def note_answer(self) -> None:
        """Note that it was answered without an error.

        What is refused is not planned: its plan would raise, and the stock executor run it again.
        """
        if self.planning is Planning.NOT_ANSWERED:
            self.planning = Planning.ANSWERED


def name_of(operation: OperationDefinitionNode) -> str | None:
    return operation.name.value if operation.name else None


def _label(operation: OperationDefinitionNode) -> str:
    first = operation.selection_set.selections[0]
    asked = first.name.value if isinstance(first, FieldNode) else "fragment"
    return f"{operation.operation.value} {asked}"
