"""Plans: everything that is the same each time an operation runs, computed once.

For every request graphql-core determines which fields are selected, which resolver each has and how
its value becomes JSON. With given values of the variables of `@include` and `@skip`, none of that
depends on the request, so it is compiled here once:

- fields that are attributes, or methods without arguments, are read, checked and written by one
  function for all of them, at any depth (`compiling.py`), which calls every method;
- for any other field (root fields, and those with arguments) its ordinary resolver is called, after
  the same guard, so access and arguments are decided in one place.

A plan never reports an error. It raises if anything is not as expected (a refusal, a null in a
non-null field, a value of another class, a bug), and the stock executor completes the answer and
produces errors, nulls and paths. It gets what root fields returned or raised, so that no mutation
runs twice. Fields below may be resolved again, which has no side effects.
The engine's `README.md` has an example; `tests/engine/` compares plans with the stock executor on
random documents.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any, cast

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_argument_values,
)
from graphql.execution.values import VariableValues, get_variable_values
from graphql.language import FragmentDefinitionNode, SelectionSetNode
from graphql.pyutils import Path

from app.engine.plans.compiling import compiled
from app.engine.plans.completion import (
    Awaited,
    AwaitedRead,
    Choice,
    Completion,
    Constant,
    NotAsPlanned,
    Part,
    Read,
    Record,
    Run,
    chosen,
    gather,
    is_awaitable,
    leaf,
    many,
    unless_none,
)
from app.engine.plans.fields import (
    NO_VARIABLES,
    Resolver,
    class_of,
    classes_of,
    direct_read,
    exact_class_of,
    fixed_arguments,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    resolver_of,
    wrapped_resolver_of,
)
from app.engine.plans.info import HELPERS, UNKNOWN_PATH
from app.engine.plans.outcomes import Outcomes, Raised
from app.engine.plans.selections import Conditions, Selections, Unplannable, names_below

INFO: Any = GraphQLResolveInfo
# An interface multiplies the selected fields by its possible types. A plan with this many fields
# takes about 1 MiB.
MAX_FIELDS = 2_000


@dataclass(frozen=True, slots=True)
class Step:
    """A field whose resolver is called."""

    key: str
    field: GraphQLField
    resolver: Resolver
    node: FieldNode
    # The entries of a `GraphQLResolveInfo` that depend only on the document.
    place: tuple[Any, ...]
    # None if they are not the same for each request.
    arguments: dict[str, Any] | None
    shape: Completion
    complete: Read | Awaited

    def at_root(self) -> "Step":
        """Returns the same step with its path, which is known for root fields only."""
        name, nodes, returned, kind, _, *document = self.place
        path = Path(None, self.key, kind.name)
        return replace(self, place=(name, nodes, returned, kind, path, *document))

    async def resolve(self, source: Any, run: Run) -> Any:
        value = self.call(source, run)
        if is_awaitable(value):
            value = await value
        complete = self.complete
        return await complete.read(value, run) if isinstance(complete, Awaited) else complete(value)

    async def resolve_at_root(self, run: Run) -> Any:
        """Resolve, and record what the resolver returned or raised."""
        try:
            value = self.call(None, run)
            if is_awaitable(value):
                value = await value
        except Exception as error:
            run.outcomes[self.key] = Raised(error)
            raise
        run.outcomes[self.key] = value
        complete = self.complete
        return await complete.read(value, run) if isinstance(complete, Awaited) else complete(value)

    def call(self, source: Any, run: Run) -> Any:
        arguments = self.arguments
        if arguments is None:
            arguments = self.resolver.convert(
                get_argument_values(self.field, self.node, run.variables)
            )
        info = INFO._make((*self.place, run.variables, run.context, is_awaitable, None, HELPERS))
        return self.resolver.call(source, info, **arguments)


Parts = dict[str, Part | Constant | Step]
RootRead = Callable[[Run], Coroutine[Any, Any, dict[str, Any]]]


class Plan:
    """How to answer one operation."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        conditions: Conditions,
    ) -> None:
        self.schema, self.operation, self.fragments = schema, operation, fragments
        self._selections = Selections(schema, fragments, conditions)
        self._fields = 0
        kind: GraphQLObjectType = cast("Any", schema.get_root_type(operation.operation))
        fields = self._selections.of(kind, [operation.selection_set])
        parts = self._parts(kind, fields)
        self.steps = {key: each.at_root() for key, each in parts.items() if isinstance(each, Step)}
        self._run = self._in_turn(parts) if self._mutates else self._together(parts)

    @property
    def _mutates(self) -> bool:
        return self.operation.operation is OperationType.MUTATION

    def run(
        self, context: Any, variables: dict[str, Any], outcomes: Outcomes
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """Answer the operation.

        Raises:
            Exception: of any kind: the stock executor has to answer, with these outcomes.

        """
        return self._run(Run(context, self._coerced(variables), outcomes))

    def _together(self, parts: Parts) -> RootRead:
        """Returns the function that answers a query: root fields are resolved concurrently."""
        keys, read, steps = list(parts), _read_at_root(parts), list(self.steps.values())
        if len(steps) <= 1:
            return self._in_turn(parts)

        async def answer(run: Run) -> dict[str, Any]:
            found = read(None)
            # All of them are awaited, even if one raises, so that none is resolved again.
            values = await asyncio.gather(
                *(step.resolve_at_root(run) for step in steps), return_exceptions=True
            )
            for step, value in zip(steps, values, strict=True):
                if isinstance(value, BaseException):
                    raise value
                found[step.key] = value
            return {key: found[key] for key in keys}

        return answer

    def _in_turn(self, parts: Parts) -> RootRead:
        """Returns the function that answers a mutation: root fields are resolved in order."""
        keys, read, steps = list(parts), _read_at_root(parts), list(self.steps.values())

        async def answer(run: Run) -> dict[str, Any]:
            found = read(None)
            for step in steps:
                found[step.key] = await step.resolve_at_root(run)
            return {key: found[key] for key in keys} if len(keys) > 1 else found

        return answer

    def _coerced(self, variables: dict[str, Any]) -> VariableValues:
        definitions = self.operation.variable_definitions
        if not definitions:
            return NO_VARIABLES
        # One error is enough to leave the request to the stock executor; finding all takes long.
        values = get_variable_values(
            self.schema, definitions, variables, max_errors=1, hide_suggestions=True
        )
        if isinstance(values, list):
            raise NotAsPlanned
        return values

    def _object(
        self, kind: GraphQLObjectType, sets: list[SelectionSetNode], *, nullable: bool = False
    ) -> Record | Awaited:
        parts = self._parts(kind, self._selections.of(kind, sets))
        of_class = class_of(kind) if kind.is_type_of else object
        record = Record(_reads(parts), nullable, exact_class_of(kind), of_class)
        if len(record.parts) == len(parts):
            return record
        return unless_none(self._with_steps(parts, record), nullable=nullable)

    def _abstract(self, kind: Any, sets: list[SelectionSetNode], *, nullable: bool) -> Completion:
        """Returns the completion of an interface or a union, by the class of the object."""
        completions = {
            of_class: self._object(possible, sets)
            for of_class, possible in classes_of(self.schema, kind).items()
        }
        records = {key: each for key, each in completions.items() if isinstance(each, Record)}
        if len(records) == len(completions):
            return Choice(records, nullable)
        reads = {key: _awaited(each) for key, each in completions.items()}
        return chosen(reads, nullable=nullable)

    def _parts(self, kind: GraphQLObjectType, selected: dict[str, list[FieldNode]]) -> Parts:
        self._fields += len(selected)
        if self._fields > MAX_FIELDS:
            raise Unplannable
        return {key: self._part(kind, key, nodes) for key, nodes in selected.items()}

    def _with_steps(self, parts: Parts, record: Record) -> AwaitedRead:
        steps = [each for each in parts.values() if isinstance(each, Step)]
        keys, read, (first, *others) = list(parts), compiled(record), steps

        async def complete(source: Any, run: Run) -> Any:
            found = read(source)
            if others:
                # Concurrently, as in the stock executor.
                values = await gather(step.resolve(source, run) for step in steps)
                found.update(zip((step.key for step in steps), values, strict=True))
            else:
                found[first.key] = await first.resolve(source, run)
            return {key: found[key] for key in keys}

        return complete

    def _part(
        self, kind: GraphQLObjectType, key: str, nodes: list[FieldNode]
    ) -> Part | Constant | Step:
        name = nodes[0].name.value
        if name == "__typename":
            return Constant(kind.name)
        field = kind.fields.get(name)
        if field is None or field.resolve is None:
            raise Unplannable
        shape = self._type(field.type, nodes)
        if kind is self.schema.mutation_type:
            # The extensions of mutations may do more than `admit`, so all of them run.
            return self._step(kind, key, nodes, wrapped_resolver_of(field), shape)
        get = direct_read(self.schema, field)
        if get is not None and not isinstance(shape, Awaited):
            return Part(get, shape)
        below = names_below(nodes, self.fragments)
        return self._step(kind, key, nodes, resolver_of(self.schema, field, below), shape)

    def _step(
        self,
        kind: GraphQLObjectType,
        key: str,
        nodes: list[FieldNode],
        resolver: Resolver,
        shape: Completion,
    ) -> Step:
        name = nodes[0].name.value
        field = kind.fields[name]
        fixed = fixed_arguments(field, nodes[0])
        arguments = None if fixed is None else resolver.convert(fixed)
        place = (name, nodes, field.type, kind, UNKNOWN_PATH)
        document = (self.schema, self.fragments, None, self.operation)
        complete = shape if isinstance(shape, Awaited) else compiled(shape)
        return Step(key, field, resolver, nodes[0], place + document, arguments, shape, complete)

    def _type(self, kind: Any, nodes: list[FieldNode]) -> Completion:
        needed = is_non_null_type(kind)
        bare = kind.of_type if needed else kind
        if is_list_type(bare):
            return many(self._type(bare.of_type, nodes), nullable=not needed)
        if is_leaf_type(bare):
            return leaf(bare, nullable=not needed)
        sets = [node.selection_set for node in nodes if node.selection_set]
        if is_abstract_type(bare):
            return self._abstract(bare, sets, nullable=not needed)
        return self._object(bare, sets, nullable=not needed)


def _reads(parts: Parts) -> dict[str, Part | Constant]:
    return {key: each for key, each in parts.items() if not isinstance(each, Step)}


def _read_at_root(parts: Parts) -> Read:
    """Returns the function that reads the root fields that are not steps. The root is None."""
    return compiled(Record(_reads(parts), exact=NoneType))


def _awaited(completion: Record | Awaited) -> AwaitedRead:
    if isinstance(completion, Awaited):
        return completion.read
    read = compiled(completion)

    async def complete(value: Any, _run: Run) -> Any:
        return read(value)

    return complete


def plan(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: dict[str, FragmentDefinitionNode],
    conditions: Conditions,
) -> Plan | None:
    """Returns the plan of an operation; None if the stock executor has to run it."""
    if operation.operation is OperationType.SUBSCRIPTION or operation.directives:
        return None
    try:
        return Plan(schema, operation, fragments, conditions)
    except Unplannable:
        return None
