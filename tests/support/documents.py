"""Documents to measure, made to size or at random, and a reference that expands their fragments."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from graphql import DocumentNode, get_introspection_query, parse
from graphql.language import ast
from graphql.utilities import value_from_ast_untyped
from hypothesis import settings
from hypothesis import strategies as st

from app.engine.limits import DocumentLimits, FieldCosts, Measured, measure

CREDENTIAL_FIELDS = frozenset({"login", "register"})
CONNECTION_FIELDS = {"users": 50, "sessions": 20}
WEIGHTS = {"totalCount": 2_000}
MAXIMUM_PAGE = 100

# Otherwise Hypothesis limits the time of each example, which fails on a busy machine.
AT_LEISURE = settings(deadline=None, max_examples=60)

INTROSPECTION = get_introspection_query(
    specified_by_url=True,
    directive_is_repeatable=True,
    schema_description=True,
    input_value_deprecation=True,
    experimental_directive_deprecation=True,
    one_of=True,
)
REFETCH = """
    query Refetch($id: ID!) { node(id: $id) { __typename ...Person id } }
    fragment Person on User { email sessions(first: 20) { edges { node { id } cursor } } }
"""

_names = st.sampled_from(
    ["id", "me", "users", "sessions", "totalCount", "login", "register", "__schema"]
)
_directives = st.sampled_from(["", "", " @one", " @one @two(if: $on)"])
_arguments = st.sampled_from(
    [
        "",
        '(after: "x")',
        "(first: 3)",
        "(last: $page)",
        "(first: $page, last: 4)",
        "(first: 2, last: 7)",
        "(first: null)",
        "(first: 0)",
        "(last: -3)",
        "(first: 5000)",
        '(first: "many")',
        "(last: 1.5)",
    ]
)

# What a client may send for `$page`, of the right type or not.
page_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 150),
    st.integers(-5, 150).map(float),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
)


def measured(document: str | DocumentNode, limits: DocumentLimits | None = None) -> Measured:
    return measure(
        parse(document) if isinstance(document, str) else document,
        limits or DocumentLimits(),
        FieldCosts(CREDENTIAL_FIELDS, CONNECTION_FIELDS, WEIGHTS),
    )


def nested(levels: int) -> str:
    return "a { " * (levels - 1) + "a" + " }" * (levels - 1)


def doubling(links: int) -> str:
    chain = (f"fragment F{n} on T {{ ...F{n + 1} ...F{n + 1} }}" for n in range(links))
    return f"{{ ...F0 }} {' '.join(chain)} fragment F{links} on T {{ id }}"


def wide(fields: int) -> str:
    return f"{{ {'a { b } ' * fields} }}"


def document_with(limit: str, number: int) -> str:
    """Returns a document of exactly this number, and far below all other limits."""
    head, spread = "query ($a: I @d) @d", "fragment F on Q { me @d }"
    return {
        "depth": f"{{ {nested(number)} }}",
        "introspection_depth": f"{{ __schema {{ {nested(number - 1)} }} }}",
        "fields": f"{{ me {{ {'id ' * (number - 1)} }} }}",
        "aliases": f"{{ me {{ {'a: id ' * number} }} }}",
        "root_fields": f"{{ {'me ' * number} }}",
        "fragments": "{ me }" + "".join(f" fragment F{n} on T {{ id }}" for n in range(number)),
        "spreads": f"{{ me {{ {'...F ' * (number - 1)} ... {{ id }} }} }} fragment F on T {{ id }}",
        "directives": f"{head} {{ ...F ...F {'@d ' * (number - 3)} }} {spread}",
        "operations": " ".join(f"query Q{n} {{ me }}" for n in range(number)),
        "credentials": f"mutation {{ {'login ' * number} }}",
        "cost": f"{{ users(first: 99) {{ {'id ' * 100} }} me {{ {'id ' * (number - 9_902)} }} }}",
    }[limit]


def _selections(fragments: Sequence[str]) -> st.SearchStrategy[str]:
    leaves = st.builds(
        "{}{}{}{}".format, st.sampled_from(["", "key: "]), _names, _arguments, _directives
    )
    spreads = st.builds("...{}{}".format, st.sampled_from([*fragments, "Unknown"]), _directives)

    def around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        inlined = st.builds("...{}{}".format, st.sampled_from(["", " on User"]), _directives)
        return st.builds("{} {{ {} }}".format, leaves | inlined, _several(inner))

    return _several(st.recursive(leaves | spreads, around, max_leaves=6))


def _several(selections: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(selections, max_size=3).map(" ".join)


@st.composite
def documents(draw: st.DrawFn, *, cyclic: bool = False) -> str:
    """Returns text that parses; unless it is cyclic, a fragment spreads only later ones."""
    names = [f"F{number}" for number in range(draw(st.integers(0, 4)))]
    definitions = [f"query Q{number} {{ {draw(_selections(names))} }}" for number in range(2)]
    for number, name in enumerate(names):
        spread = names if cyclic else names[number + 1 :]
        definitions.append(f"fragment {name} on User {{ {draw(_selections(spread))} }}")
    return "\n".join(definitions)


class Expanded(NamedTuple):
    """A selection with its fragments expanded; a spread has no name."""

    children: list["Expanded"]
    name: str | None = None
    aliased: bool = False
    entries: int = 1


class Reference(NamedTuple):
    """Measures the expanded document: as slow as that is large, unlike the real implementation."""

    document: DocumentNode
    page: object

    def sizes(self) -> dict[str | None, dict[str, int]]:
        return {
            each.name and each.name.value: _size(self._expand(each.selection_set))
            for each in self.document.definitions
            if isinstance(each, ast.OperationDefinitionNode)
        }

    def _expand(self, selection_set: ast.SelectionSetNode | None) -> list[Expanded]:
        return [self._expanded(each) for each in selection_set.selections] if selection_set else []

    def _expanded(self, selection: ast.SelectionNode) -> Expanded:
        match selection:
            case ast.FieldNode(name=name, alias=alias):
                children = self._expand(selection.selection_set)
                return Expanded(children, name.value, alias is not None, self._entries(selection))
            case ast.InlineFragmentNode():
                return Expanded(self._expand(selection.selection_set))
            case ast.FragmentSpreadNode(name=name):
                return Expanded(self._expand(self._fragment(name.value)))
            case _:
                raise TypeError(selection)

    def _fragment(self, name: str) -> ast.SelectionSetNode | None:
        fragments = {
            each.name.value: each.selection_set
            for each in self.document.definitions
            if isinstance(each, ast.FragmentDefinitionNode)
        }
        return fragments.get(name)

    def _entries(self, field: ast.FieldNode) -> int:
        variables = {"page": self.page}
        pages = [
            page
            for argument in field.arguments or ()
            if argument.name.value in {"first", "last"}
            and (page := value_from_ast_untyped(argument.value, variables)) is not None
        ]
        default = CONNECTION_FIELDS.get(field.name.value)
        return 1 if default is None else max(map(_clamped, pages), default=default)


def _clamped(page: object) -> int:
    match page:
        case bool():
            return MAXIMUM_PAGE
        case int() | float() if float(page).is_integer():
            return sorted([0, int(page), MAXIMUM_PAGE])[1]
        case _:
            return MAXIMUM_PAGE


def _size(selections: list[Expanded]) -> dict[str, int]:
    everything = [*_walk(selections)]
    fields = [(path, each) for path, each in everything if each.name]
    introspection = [len(path) for path, _ in fields if "__schema" in path]
    return {
        "depth": max((len(path) for path, _ in fields if "__schema" not in path), default=0),
        "introspection_depth": max(introspection, default=0),
        "fields": len(fields),
        "aliases": sum(each.aliased for _, each in fields),
        "spreads": len(everything) - len(fields),
        "root_fields": sum(len(path) == 1 for path, _ in fields),
        "credentials": sum(len(path) == 1 and path[0] in CREDENTIAL_FIELDS for path, _ in fields),
        "cost": _cost(selections),
    }


def _walk(
    selections: list[Expanded], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Expanded]]:
    for each in selections:
        path = (*above, each.name) if each.name else above
        yield path, each
        yield from _walk(each.children, path)


def _cost(selections: list[Expanded], entries: int = 1, parents: int = 1) -> int:
    """Returns the cost of selections below so many entries of pages, which so many parents have."""
    return sum(_cost_of(each, entries, parents) for each in selections)


def _cost_of(each: Expanded, entries: int, parents: int) -> int:
    if each.name is None:
        return _cost(each.children, entries, parents)
    own = WEIGHTS[each.name] * parents if each.name in WEIGHTS else entries
    return own + _cost(each.children, entries * each.entries, parents=entries)
