"""Limits on the size and cost of a document, measured before it is validated."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

from graphql import get_operation_ast
from graphql.language import ast

Operation = ast.OperationDefinitionNode
Fragment = ast.FragmentDefinitionNode
Size = Counter[str]
Sizes = list[tuple[Operation | Fragment, Size]]

# Sums are capped: a chain of fragments that each spread the next one twice doubles at every link.
CEILING = 1_000_000_000

_INTROSPECTION = ("__schema", "__type")
_OF_ANY_DEFINITION = ("fields", "aliases", "spreads")
_OF_OPERATIONS = ("depth", "introspection_depth", "root_fields", "credentials", "cost")
_WORDS = {
    "operations": "The document has {} operations",
    "fragments": "The document has {} fragments",
    "directives": "The document has {} directives",
    "depth": "The document is nested {} levels deep",
    "introspection_depth": "The introspection is nested {} levels deep",
    "fields": "The document selects {} fields",
    "aliases": "The document uses {} aliases",
    "spreads": "The document spreads fragments {} times",
    "root_fields": "The operation selects {} root fields",
    "credentials": "The operation selects {} fields that test a credential",
    "cost": "The operation costs {}",
}


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """`characters`, `tokens` and `comments` are the parser's; the others are measured here.

    `operations`, `fragments` and `directives` count as written, the others with fragments expanded,
    in the largest operation: `depth` in levels of fields, `spreads` with inline fragments, `cost`
    in fields or their weights, each times the pages above it. An unused fragment has fields,
    aliases and spreads.
    """

    characters: int = 16_000
    tokens: int = 1_000
    comments: int = 50
    depth: int = 12
    introspection_depth: int = 16
    fields: int = 400
    aliases: int = 15
    root_fields: int = 8
    fragments: int = 20
    spreads: int = 60
    directives: int = 30
    operations: int = 5
    cost: int = 10_000


@dataclass(frozen=True, slots=True)
class FieldCosts:
    """The properties of fields that limits depend on, by field name: the schema is not read here.

    An operation may select one of the root fields `credential_fields`. `page_sizes` has the default
    number of entries of each field that returns a page; no page has more than `largest_page`.
    `weights` has the cost of each field that does not cost 1. A page is asked for such a field
    once, and not for each entry: its cost is not multiplied by the size of that page.
    """

    credential_fields: frozenset[str] = frozenset()
    page_sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    weights: Mapping[str, int] = field(default_factory=dict[str, int])
    largest_page: int = 100


@dataclass(frozen=True, slots=True)
class Excess:
    limit: str
    allowed: int
    found: int

    @property
    def message(self) -> str:
        """The message for the client. It contains nothing that the client sent."""
        found = f"{self.found:,}" if self.found < CEILING else f"{CEILING:,} or more"
        verb = "is" if self.allowed == 1 else "are"
        return f"{_WORDS[self.limit].format(found)}; {self.allowed:,} {verb} allowed."


class Place(NamedTuple):
    """The position of a selection; `entries` is the product of the sizes of the pages above it.

    `parents` is the same without the page that the field above returns. It is None at the top of a
    fragment: it depends on where the fragment is spread.
    """

    level: int = 0
    introspects: bool = False
    entries: int = 1
    parents: int | None = None

    def add(self, part: Mapping[str, int], total: Size) -> None:
        for limit, number in part.items():
            if limit in ("depth", "introspection_depth"):
                deep = "introspection_depth" if self.introspects else limit
                total[deep] = max(total[deep], self.level + number)
            elif self.level == 0 or limit not in ("root_fields", "credentials"):
                name, times = self._counted(limit)
                total[name] = min(total[name] + number * times, CEILING)

    def _counted(self, limit: str) -> tuple[str, int]:
        """Returns which number of the total is increased, and how many times.

        `page_cost` is the weight of fields at the top of a fragment.
        """
        if limit == "cost":
            return "cost", self.entries
        if limit == "page_cost" and self.parents is not None:
            return "cost", self.parents
        return limit, 1


class Outline(NamedTuple):
    """A definition as written: its own size, and the positions of its fragment spreads."""

    size: Size
    spreads: list[tuple[str, Place]]

    def expanded(self, fragments: Mapping[str, Size]) -> Size:
        """Returns the size with fragments. Invalid spreads (unknown, cyclic) add nothing."""
        size = self.size.copy()
        for name, place in self.spreads:
            place.add(fragments.get(name, Size()), size)
        return size


@dataclass(frozen=True, slots=True)
class Ruler:
    """Measures definitions, given the costs of fields and the values of variables."""

    costs: FieldCosts
    variables: Mapping[str, object]
    any_variable: object

    def outline(self, definition: Operation | Fragment) -> Outline:
        headed = (definition, *(definition.variable_definitions or ()))
        outline = Outline(Size(directives=sum(len(each.directives or ()) for each in headed)), [])
        # Not recursive: a document may have 200 levels of selections, and the stack is limited.
        top = Place(parents=1 if isinstance(definition, Operation) else None)
        todo = [(definition.selection_set, top)]
        while todo:
            selection_set, place = todo.pop()
            for selection in selection_set.selections:
                place.add(self._alone(selection), outline.size)
                if isinstance(selection, ast.FragmentSpreadNode):
                    outline.spreads.append((selection.name.value, place))
                elif isinstance(selection, ast.InlineFragmentNode):
                    todo.append((selection.selection_set, place))
                elif isinstance(selection, ast.FieldNode) and selection.selection_set:
                    todo.append((selection.selection_set, self._below(selection, place)))
        return outline

    def _alone(self, selection: ast.SelectionNode) -> Mapping[str, int]:
        numbers = {"directives": len(selection.directives or ())}
        if not isinstance(selection, ast.FieldNode):
            return numbers | {"spreads": 1}
        name = selection.name.value
        tests_credential = name in self.costs.credential_fields
        numbers |= {"aliases": bool(selection.alias), "credentials": tests_credential}
        depth = "introspection_depth" if name in _INTROSPECTION else "depth"
        weight = self.costs.weights.get(name)
        cost = {"cost": 1} if weight is None else {"page_cost": weight}
        return numbers | {depth: 1, "fields": 1, "root_fields": 1} | cost

    def _below(self, node: ast.FieldNode, place: Place) -> Place:
        introspects = place.introspects or node.name.value in _INTROSPECTION
        entries = min(place.entries * self._entries(node), CEILING)
        return Place(place.level + 1, introspects, entries, parents=place.entries)

    def _entries(self, node: ast.FieldNode) -> int:
        default = self.costs.page_sizes.get(node.name.value)
        asked = [arg.value for arg in node.arguments or () if arg.name.value in ("first", "last")]
        pages = [page for page in map(self._page, asked) if page is not None]
        return 1 if default is None else max(pages, default=default)

    def _page(self, asked: object) -> int | None:
        match asked:
            case None | ast.NullValueNode():
                return None
            case ast.VariableNode():
                return self._page(self.variables.get(asked.name.value, self.any_variable))
            case ast.IntValueNode():
                # Python refuses to convert thousands of digits; nine are enough.
                return self._page(int(asked.value[:9]))
            case int() | float() if not isinstance(asked, bool) and asked % 1 == 0:
                return max(0, min(int(asked), self.costs.largest_page))
            case _:
                return self.costs.largest_page


@dataclass(frozen=True, slots=True)
class Measured:
    """The first limit that a document exceeds, and the largest sizes of its operations."""

    excess: Excess | None
    operations: Mapping[str | None, Size]
    document: ast.DocumentNode
    limits: DocumentLimits
    ruler: Ruler

    def check_variables(
        self, operation_name: str | None, variables: Mapping[str, object] | None
    ) -> Excess | None:
        """Check the cost with these variables, if the operation costs too much without them."""
        operation = get_operation_ast(self.document, operation_name)
        name = operation and operation.name and operation.name.value
        if operation is None or self.operations[name]["cost"] <= self.limits.cost:
            return None
        declared = operation.variable_definitions or ()
        given = {each.variable.name.value: each.default_value for each in declared}
        ruler = replace(self.ruler, variables={**given, **(variables or {})})
        cost = _operations(_sizes(self.document, ruler))[name]["cost"]
        return Excess("cost", self.limits.cost, cost) if cost > self.limits.cost else None


def measure(document: ast.DocumentNode, limits: DocumentLimits, costs: FieldCosts) -> Measured:
    """Measure a document that was parsed but not validated."""
    ruler = Ruler(costs, {}, any_variable=...)
    sizes = _sizes(document, ruler)
    allowed = asdict(limits) | {"credentials": 1}
    numbers = _numbers(sizes, least=_sizes(document, replace(ruler, any_variable=0)))
    passed = (Excess(limit, allowed[limit], n) for limit, n in numbers if n > allowed[limit])
    return Measured(next(passed, None), _operations(sizes), document, limits, ruler)


def _numbers(sizes: Sizes, least: Sizes) -> Iterator[tuple[str, int]]:
    kinds = Counter(type(definition) for definition, _ in sizes)
    yield "operations", kinds[Operation]
    yield "fragments", kinds[Fragment]
    yield "directives", sum(size["directives"] for _, size in sizes)
    for _, size in sizes:
        yield from ((limit, size[limit]) for limit in _OF_ANY_DEFINITION)
    # A cost that is too high only with some variables is left to `check_variables`.
    for size in _operations(least).values():
        yield from ((limit, size[limit]) for limit in _OF_OPERATIONS)


def _operations(sizes: Sizes) -> dict[str | None, Size]:
    return {each.name and each.name.value: n for each, n in sizes if isinstance(each, Operation)}


def _sizes(document: ast.DocumentNode, ruler: Ruler) -> Sizes:
    """Expand each spread once, from the innermost fragments outwards: in linear time."""
    executable = (each for each in document.definitions if isinstance(each, Operation | Fragment))
    outlines = [(each, ruler.outline(each)) for each in executable]
    fragments = {each.name.value: own for each, own in outlines if isinstance(each, Fragment)}
    known: dict[str, Size] = {}
    for name in _innermost_first(fragments):
        known[name] = fragments[name].expanded(known)
        # Directives count where they are written, not again at each spread.
        del known[name]["directives"]
    return [(each, outline.expanded(known)) for each, outline in outlines]


def _innermost_first(fragments: dict[str, Outline]) -> Iterable[str]:
    """Order names after those they spread (topologically), ignoring spreads that close a cycle."""
    unseen, finished = set(fragments), dict[str, None]()
    todo = [*reversed(fragments)]
    while todo:
        name = todo[-1]
        if name in unseen:
            unseen.remove(name)
            todo += [each for each, _ in fragments[name].spreads if each in unseen]
        else:
            finished.setdefault(todo.pop())
    return finished
