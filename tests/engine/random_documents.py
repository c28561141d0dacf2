"""Random valid documents of any schema, with everything that changes what a field means.

Fields are selected several times under one response name, through fragments on types, interfaces
and unions, under `@include` and `@skip`, with literals and variables as arguments.
"""

import json
import os
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from graphql import (
    GraphQLSchema,
    is_abstract_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_required_argument,
    is_required_input_field,
    parse,
    validate,
)

from app.engine.plans.fields import is_list_type, is_non_null_type

# The number of documents of one test; `.ci/run` sets more.
EXAMPLES = int(os.environ.get("RANDOM_DOCUMENTS", "50"))
MAX_DEPTH = 5
LITERALS = {
    "Int": [0, 1, 3, -1, 2**31 - 1],
    "Float": [0.5, 2, -1.25],
    "String": ["", "Ubik", "Ünïcödé \U0001f4da", 'a "quoted" \\ text'],
    "ID": ["", "1", "no id"],
    "Boolean": [True, False],
    "DateTime": ["2026-01-31T12:00:00Z"],
    "JSON": ["text", 1, [1, [2]]],
}
CONDITIONS = {"a": "Boolean!", "b": "Boolean! = true", "c": "Boolean = false"}


class Value(NamedTuple):
    """An input value, as it is written in a document and in the variables of a request."""

    literal: str
    variable: Any


NULL = Value("null", None)


class Sample(NamedTuple):
    """A document with one operation, and variables for it."""

    text: str
    variables: dict[str, Any]


@dataclass
class Writer:
    """Writes one document."""

    schema: GraphQLSchema
    random: Random
    # The definitions of variables, and the values of those that are sent.
    definitions: dict[str, str] = field(default_factory=dict[str, str])
    variables: dict[str, Any] = field(default_factory=dict[str, Any])
    # Fragments that are written to their end, by name: their types and texts.
    fragments: dict[str, tuple[Any, str]] = field(default_factory=dict[str, tuple[Any, str]])
    # What is written in brackets after a field, so that it is the same for each response name.
    arguments: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def document(self, kind: str) -> Sample:
        root = self.schema.query_type if kind == "query" else self.schema.mutation_type
        selected = self.selection_set(root, 0)
        self._set_conditions()
        defined = ", ".join(f"${name}: {each}" for name, each in self.definitions.items())
        fragments = " ".join(text for _, text in self.fragments.values())
        return Sample(
            f"{kind} Q{f'({defined})' * bool(defined)} {selected} {fragments}", self.variables
        )

    def selection_set(self, kind: Any, depth: int) -> str:
        number = self.random.randint(1, 4)
        return f"{{ {' '.join(self._selection(kind, depth) for _ in range(number))} }}"

    def _selection(self, kind: Any, depth: int) -> str:
        if depth < MAX_DEPTH and self.random.random() < 0.35:
            return self._fragment(kind, depth)
        return self._field(kind, depth)

    def _field(self, kind: Any, depth: int) -> str:
        names = [*getattr(kind, "fields", ())]
        if depth >= MAX_DEPTH:
            names = [
                name for name in names if not is_composite_type(_named(kind.fields[name].type))
            ]
        name = self.random.choice([*names, "__typename"])
        if name == "__typename":
            return f"{name} {self._directives()}"
        response_name = self.random.choice([name, name, f"{name}2"])
        written = name if response_name == name else f"{response_name}: {name}"
        arguments = self._arguments(kind, response_name, kind.fields[name])
        returned = _named(kind.fields[name].type)
        below = self.selection_set(returned, depth + 1) if is_composite_type(returned) else ""
        return f"{written}{arguments} {self._directives()} {below}"

    def _fragment(self, kind: Any, depth: int) -> str:
        other = self.random.choice(self._overlapping(kind))
        named = [name for name, (of, _) in self.fragments.items() if of is other]
        form = self.random.choice(["inline", "bare", "new", "known"])
        if form == "bare":
            return f"... {self._directives()} {self.selection_set(kind, depth + 1)}"
        if form == "inline":
            below = self.selection_set(other, depth + 1)
            return f"... on {other.name} {self._directives()} {below}"
        if form == "new" or not named:
            below = self.selection_set(other, depth + 1)
            name = f"F{len(self.fragments)}"
            self.fragments[name] = (other, f"fragment {name} on {other.name} {below}")
            return f"...{name} {self._directives()}"
        return f"...{self.random.choice(named)} {self._directives()}"

    def _overlapping(self, kind: Any) -> list[Any]:
        """Returns the types that a fragment may be on."""
        own = self._possible(kind)
        composite = [each for each in self.schema.type_map.values() if is_composite_type(each)]
        return [each for each in composite if own & self._possible(each)]

    def _possible(self, kind: Any) -> set[str]:
        kinds = self.schema.get_possible_types(kind) if is_abstract_type(kind) else [kind]
        return {each.name for each in kinds}

    def _directives(self) -> str:
        chosen = [name for name in ("include", "skip") if self.random.random() < 0.12]
        conditions = ["true", "false", *(f"${name}" for name in CONDITIONS)]
        return " ".join(f"@{name}(if: {self._condition(conditions)})" for name in chosen)

    def _condition(self, conditions: list[str]) -> str:
        chosen = self.random.choice(conditions)
        if chosen.startswith("$"):
            self.definitions[chosen[1:]] = CONDITIONS[chosen[1:]]
        return chosen

    def _set_conditions(self) -> None:
        """Send some of the conditions that have a default, and all others."""
        for name in CONDITIONS.keys() & self.definitions.keys():
            if name == "a" or self.random.random() < 0.7:
                self.variables[name] = self.random.random() < 0.5

    def _arguments(self, kind: Any, response_name: str, selected: Any) -> str:
        place = (kind.name, response_name)
        if place not in self.arguments:
            written = [
                f"{name}: {self._argument(each)}"
                for name, each in selected.args.items()
                if is_required_argument(each) or self.random.random() < 0.6
            ]
            self.arguments[place] = f"({', '.join(written)})" if written else ""
        return self.arguments[place]

    def _argument(self, argument: Any) -> str:
        value = self._value(argument.type)
        if self.random.random() < 0.6:
            return value.literal
        name = f"v{len(self.definitions)}"
        form = self.random.choice(["sent", "default", "both"])
        default = "" if form == "sent" else f" = {value.literal}"
        self.definitions[name] = f"{argument.type}{default}"
        if form != "default":
            self.variables[name] = self._value(argument.type).variable
        return f"${name}"

    def _value(self, kind: Any) -> Value:
        if is_non_null_type(kind):
            return self._not_null(kind.of_type)
        return NULL if self.random.random() < 0.1 else self._not_null(kind)

    def _not_null(self, kind: Any) -> Value:
        if is_list_type(kind):
            items = [self._value(kind.of_type) for _ in range(self.random.randint(0, 3))]
            literal = f"[{', '.join(each.literal for each in items)}]"
            return Value(literal, [each.variable for each in items])
        if is_enum_type(kind):
            first, *others = kind.values
            # The first one more often: if it is the one that answers, documents fail here and there
            # instead of everywhere.
            name = self.random.choice([first] * max(1, len(others)) + others)
            return Value(name, name)
        if is_input_object_type(kind):
            return self._input_object(kind)
        value = self.random.choice(LITERALS[kind.name])
        return Value(json.dumps(value, ensure_ascii=False), value)

    def _input_object(self, kind: Any) -> Value:
        if kind.is_one_of:
            name = self.random.choice([*kind.fields])
            values = {name: self._not_null(kind.fields[name].type)}
        else:
            values = {
                name: self._value(each.type)
                for name, each in kind.fields.items()
                if is_required_input_field(each) or self.random.random() < 0.5
            }
        literal = ", ".join(f"{name}: {each.literal}" for name, each in values.items())
        sent = {name: each.variable for name, each in values.items()}
        return Value(f"{{{literal}}}", sent)


def random_document(schema: GraphQLSchema, random: Random, kind: str) -> Sample | None:
    """Returns a document; None if it is not valid, since its fields cannot be merged."""
    sample = Writer(schema, random).document(kind)
    return None if validate(schema, parse(sample.text)) else sample


def _named(kind: Any) -> Any:
    while hasattr(kind, "of_type"):
        kind = kind.of_type
    return kind
