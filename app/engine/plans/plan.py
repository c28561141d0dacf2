"""Plans: what is the same each time an operation runs is worked out once, when it is sent again.

graphql-core finds out for every request which fields are selected, which resolver each has and how
its value becomes JSON. For a query without directives none of that depends on the request, so it is
compiled here once:

- fields that are attributes, or methods without arguments, are read, checked and written by one
  function for all of them, at any depth (`compiling.py`), which calls every method;
- any other field (root fields, and those with arguments) has its ordinary resolver called, after
  the same guard, so access and arguments are decided in one place.

A plan never reports an error. Whatever is not as expected (a refusal, a null in a non-null field, a
value of another class, a bug) raises, and the stock executor runs the whole query again, so errors,
nulls and paths are its own. Only queries are planned, which change nothing, so running one twice is
safe. An outage is the exception: it is reported, not tried again. What a plan cannot do (mutations,
directives, introspection, interfaces, unions) runs on the stock executor from the start.
`README.md` beside this package has an example; `tests/engine/test_plans.py` compares plans with the
stock executor on random documents.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
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

from app.engine.plans.compiling import compiled
from app.engine.plans.completion import (
    Awaited,
    Completion,
    Constant,
    NotAsPlanned,
    Part,
    Read,
    Record,
    Run,
    gather,
    leaf,
    many,
    unless_none,
)
from app.engine.plans.fields import (
    NO_VARIABLES,
    Resolver,
    depends_on_variables,
    direct_read,
    fixed_arguments,
    is_awaitable,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    resolver_of,
)
from app.engine.plans.selections import Selections, Unplannable, names_below

# Its path and its last entries, the executor's helpers, are None in plans: resolvers must not use
# them.
INFO: Any = GraphQLResolveInfo
# The source of root fields: a source of None would be a missing object.
ROOT = object()


@dataclass(frozen=True, slots=True)
class Step:
    """A field that goes through its resolver."""

    key: str
    field: GraphQLField
    resolver: Resolver
    node: FieldNode
    # The entries of a `GraphQLResolveInfo` that depend on the document alone.
    place: tuple[Any, ...]
    # None if they depend on variables.
    arguments: dict[str, Any] | None
    shape: Completion
    complete: Read | Awaited

    async def resolve(self, source: Any, run: Run) -> Any:
        arguments = self.arguments
        if arguments is None:
            arguments = self.resolver.convert(
                get_argument_values(self.field, self.node, run.variables)
            )
        info = INFO._make((*self.place, run.variables, run.context, is_awaitable, None, None))
        value = self.resolver.call(source, info, **arguments)
        if is_awaitable(value):
            value = await value
        complete = self.complete
        return await complete.read(value, run) if isinstance(complete, Awaited) else complete(value)


class Plan:
    """How to answer one query."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
    ) -> None:
        self.schema, self.operation, self.fragments = schema, operation, fragments
        self._selections = Selections(schema, fragments)
        kind: GraphQLObjectType = cast("Any", schema.query_type)
        self.root_name = kind.name
        self.root_fields = self._selections.of(kind, [operation.selection_set])
        parts = self._parts(kind, self.root_fields)
        self.steps = {key: each for key, each in parts.items() if isinstance(each, Step)}
        if not self.steps:
            raise Unplannable
        self._root = self._with_steps(parts)

    def run(self, context: Any, variables: dict[str, Any]) -> Coroutine[Any, Any, dict[str, Any]]:
        """Answer the query.

        Raises:
            Exception: whatever it is, the stock executor has to answer the query.

        """
        return self._root(ROOT, Run(context, self._coerced(variables)))

    def _coerced(self, variables: dict[str, Any]) -> VariableValues:
        definitions = self.operation.variable_definitions
        if not definitions:
            return NO_VARIABLES
        # One error is enough to leave it to the stock executor; finding all takes long.
        values = get_variable_values(
            self.schema, definitions, variables, max_errors=1, hide_suggestions=True
        )
        if isinstance(values, list):
            raise NotAsPlanned
        return values

    def _object(
        self, kind: GraphQLObjectType, sets: list[SelectionSetNode], *, nullable: bool = False
    ) -> Completion:
        parts = self._parts(kind, self._selections.of(kind, sets))
        reads = {key: each for key, each in parts.items() if not isinstance(each, Step)}
        if len(reads) == len(parts):
            return Record(reads, nullable)
        return unless_none(self._with_steps(parts), nullable=nullable)

    def _parts(
        self, kind: GraphQLObjectType, selected: dict[str, list[FieldNode]]
    ) -> dict[str, Part | Constant | Step]:
        return {key: self._part(kind, key, nodes) for key, nodes in selected.items()}

    def _with_steps(
        self, parts: dict[str, Part | Constant | Step]
    ) -> Callable[[Any, Run], Coroutine[Any, Any, Any]]:
        steps = [each for each in parts.values() if isinstance(each, Step)]
        reads = {key: each for key, each in parts.items() if not isinstance(each, Step)}
        keys, read, (first, *others) = list(parts), compiled(Record(reads)), steps

        async def complete(source: Any, run: Run) -> Any:
            if not reads and not others:
                return {first.key: await first.resolve(source, run)}
            found = read(source)
            if others:
                # Concurrently, as the stock executor does it.
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
        get, shape = direct_read(field), self._type(field.type, nodes)
        if get is not None and not isinstance(shape, Awaited):
            return Part(get, shape)
        below = names_below(nodes, self.fragments)
        resolver, fixed = resolver_of(self.schema, field, below), None
        if not depends_on_variables(nodes[0]):
            fixed = resolver.convert(fixed_arguments(field, nodes[0]))
        place = (name, nodes, field.type, kind, None)
        document = (self.schema, self.fragments, None, self.operation)
        complete = shape if isinstance(shape, Awaited) else compiled(shape)
        return Step(key, field, resolver, nodes[0], place + document, fixed, shape, complete)

    def _type(self, kind: Any, nodes: list[FieldNode]) -> Completion:
        needed = is_non_null_type(kind)
        bare = kind.of_type if needed else kind
        if is_list_type(bare):
            return many(self._type(bare.of_type, nodes), nullable=not needed)
        if is_leaf_type(bare):
            return leaf(bare, nullable=not needed)
        if is_object_type(bare):
            sets = [node.selection_set for node in nodes if node.selection_set]
            return self._object(bare, sets, nullable=not needed)
        raise Unplannable


def plan(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: dict[str, FragmentDefinitionNode],
) -> Plan | None:
    """Returns the plan of an operation; None if the stock executor has to run it."""
    if operation.operation is not OperationType.QUERY or operation.directives:
        return None
    try:
        return Plan(schema, operation, fragments)
    except Unplannable:
        return None
