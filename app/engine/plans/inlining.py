"""Resolvers written out: what a function of a single expression gives, as an expression.

Calling a method for each field of each object, and making the objects that the methods belong to,
is half of what a page of people costs. Most resolvers are one `return`; a plan has what they return
in its own text, and of an object whose parts are known it needs no more than the parts:

    class Edge:
        row: Row

        def node(self) -> User:
            return User(row=self.row)       # no object: a `Made` whose part is `edge.row`

Nothing is guessed: whatever is not listed here is `NotInlined`, and is called as it stands.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from types import FunctionType
from typing import Any, cast

from app.engine.plans.singles import single_of

# Of these an expression may be put together; each is what it is wherever it stands.
PLAIN = (
    ast.BinOp,
    ast.BoolOp,
    ast.Compare,
    ast.Constant,
    ast.FormattedValue,
    ast.IfExp,
    ast.JoinedStr,
    ast.Subscript,
    ast.Tuple,
    ast.UnaryOp,
)
MAX_DEPTH = 3


class NotInlined(Exception):
    """It has to be called."""


@dataclass(frozen=True, slots=True)
class Made:
    """An object that nobody needs to make, since its parts are known."""

    kind: type
    parts: Mapping[str, "Symbol"]


@dataclass(frozen=True, slots=True)
class Each:
    """A list of what is made of each of these."""

    source: ast.expr
    name: str
    item: "Symbol"


Symbol = ast.expr | Made | Each


@dataclass(frozen=True, slots=True)
class Inlining:
    """Writes calls out. `known` gives the name of a thing in the text, `new` one for a variable."""

    known: Callable[[Any], str]
    new: Callable[[], str]

    def call(self, function: Callable[..., Any], *arguments: Symbol, depth: int = 0) -> Symbol:
        """Give what a call would, without the call.

        Raises:
            NotInlined: the function is more than one expression, or hangs on more than its module.

        """
        single = single_of(function) if isinstance(function, FunctionType) else None
        if single is None or len(single.parameters) != len(arguments) or depth > MAX_DEPTH:
            raise NotInlined
        values = dict(zip(single.parameters, arguments, strict=True))
        return _Reading(self, values, function.__globals__, depth).read(single.expression)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One expression, with what its names stand for."""

    inlining: Inlining
    values: Mapping[str, Symbol]
    module: Mapping[str, Any]
    depth: int

    def read(self, node: ast.expr) -> Symbol:
        match node:
            case ast.Name(id=name):
                return self.values[name] if name in self.values else self._global(name)
            case ast.Attribute(value=of, attr=name):
                return attribute(self.read(of), name)
            case ast.Call(func=function, args=arguments, keywords=named):
                return self._call(function, arguments, named)
            case ast.ListComp(elt=item, generators=[ast.comprehension() as loop]):
                return self._each(item, loop)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                text = self._plain(value)
                is_text = isinstance(text, ast.Constant) and isinstance(text.value, str)
                return text if is_text else ast.FormattedValue(text, -1)
            case _ if isinstance(node, PLAIN):
                return _copied(node, self._plain)
            case _:
                raise NotInlined

    def _plain(self, node: ast.expr) -> ast.expr:
        symbol = self.read(node)
        if not isinstance(symbol, ast.expr):
            raise NotInlined
        return symbol

    def _global(self, name: str) -> ast.expr:
        if name not in self.module:
            # A builtin.
            return name_of(name)
        return name_of(self.inlining.known(self.module[name]))

    def _call(
        self, function: ast.expr, arguments: list[ast.expr], named: list[ast.keyword]
    ) -> Symbol:
        called: Any = self.module.get(function.id) if isinstance(function, ast.Name) else None
        if _is_made_of(called, arguments, named):
            return Made(called, {str(each.arg): self.read(each.value) for each in named})
        if any(each.arg is None for each in named):
            raise NotInlined
        given = [self._plain(each) for each in arguments]
        if called is not None and not named and all(map(is_path, given)):
            try:
                return self.inlining.call(called, *given, depth=self.depth + 1)
            except NotInlined:
                pass
        keywords = [ast.keyword(each.arg, self._plain(each.value)) for each in named]
        return ast.Call(self._plain(function), given, keywords)

    def _each(self, item: ast.expr, loop: ast.comprehension) -> Each:
        if loop.ifs or loop.is_async or not isinstance(loop.target, ast.Name):
            raise NotInlined
        source, name = self._plain(loop.iter), self.inlining.new()
        reading = replace(self, values={**self.values, loop.target.id: name_of(name)})
        return Each(source, name, reading.read(item))


def attribute(of: Symbol, name: str) -> Symbol:
    if isinstance(of, Made) and name in of.parts:
        return of.parts[name]
    if not isinstance(of, ast.expr):
        raise NotInlined
    return ast.Attribute(of, name, ast.Load())


def name_of(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def is_path(symbol: Symbol) -> bool:
    """Whether it can be read as often as wanted: a name, attributes of one, or a constant."""
    while isinstance(symbol, ast.Attribute):
        symbol = symbol.value
    return isinstance(symbol, ast.Name | ast.Constant)


def built(symbol: Symbol, known: Callable[[Any], str]) -> ast.expr:
    """Make what was not made after all, for whoever needs the object itself."""
    match symbol:
        case Made(kind, parts):
            named = [ast.keyword(name, built(part, known)) for name, part in parts.items()]
            return ast.Call(name_of(known(kind)), [], named)
        case Each(source, name, item):
            loop = ast.comprehension(ast.Name(name, ast.Store()), source, [], 0)
            return ast.ListComp(built(item, known), [loop])
        case _:
            return symbol


def _is_made_of(called: Any, arguments: list[ast.expr], named: list[ast.keyword]) -> bool:
    """Whether a call makes an object of the schema, names all its parts, and does nothing else."""
    if not is_dataclass(called) or not hasattr(called, "__strawberry_definition__"):
        return False
    parts = {each.name for each in fields(called) if each.init}
    return not arguments and {each.arg for each in named} == parts and _only_keeps(called)


def _only_keeps(kind: Any) -> bool:
    # What the library writes for a dataclass comes from no file.
    written = kind.__init__.__code__.co_filename == "<string>"
    return written and kind.__new__ is object.__new__ and not hasattr(kind, "__post_init__")


def _copied(node: ast.expr, plain: Callable[[ast.expr], ast.expr]) -> ast.expr:
    def copied(value: Any) -> Any:
        if isinstance(value, list):
            return [copied(each) for each in cast("list[Any]", value)]
        return plain(value) if isinstance(value, ast.expr) else value

    return type(node)(**{name: copied(value) for name, value in ast.iter_fields(node)})
