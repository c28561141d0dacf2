"""The error messages for clients: without values that they sent, and only from the allow-list."""

import json
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from fastapi import FastAPI
from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLScalarType,
    Source,
    parse,
    print_ast,
    specified_rules,
    validate,
    visit,
)
from graphql.language import (
    Lexer,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    TokenKind,
    ValueNode,
    Visitor,
    parse_value,
)
from graphql.validation import NoSchemaIntrospectionCustomRule
from hypothesis import strategies as st
from hypothesis_graphql import from_schema
from hypothesis_graphql.nodes import String

from app.engine.engine import core_schema
from app.engine.error_texts import GENERIC, ErrorTexts
from app.engine.one_of import OneOfVariablesRule, mark_one_of
from app.errors import Code
from app.graphql.schema import print_sdl
from app.main import create_app, default_schema
from app.settings import Settings
from app.testing.clients import Api
from app.testing.leaks import SECRETS
from app.testing.settings import settings_for

STRAWBERRY_SCHEMA = default_schema()
SCHEMA = core_schema(STRAWBERRY_SCHEMA)
mark_one_of(SCHEMA)
SDL = print_sdl(STRAWBERRY_SCHEMA)
TEXTS = ErrorTexts.of(SCHEMA)
CONFLICT = " Use different aliases on the fields to fetch both if this was intentional."
SECRET = "hunter2hunter2"

# Documents, the messages of graphql-core's rules, and those for clients (None: the same).
CORPUS: list[tuple[str, str, str | None]] = [
    ("{ passwrd }", "Cannot query field 'passwrd' on type 'Query'.", None),
    (
        "{ me { emial } }",
        "Cannot query field 'emial' on type 'User'. Did you mean 'email'?",
        None,
    ),
    (
        "{ node(id: 1) { email } }",
        (
            "Cannot query field 'email' on type 'Node'."
            " Did you mean to use an inline fragment on 'User'?"
        ),
        None,
    ),
    (
        "{ me }",
        "Field 'me' of type 'User' must have a selection of subfields. Did you mean 'me { ... }'?",
        None,
    ),
    (
        "{ me { email { x } } }",
        "Field 'email' must not have a selection since type 'String!' has no subfields.",
        None,
    ),
    (
        "{ users(frist: 1) { totalCount } }",
        "Unknown argument 'frist' on field 'Query.users'. Did you mean 'first' or 'last'?",
        None,
    ),
    (
        "{ me @include(fi: true) { id } }",
        "Unknown argument 'fi' on directive '@include'. Did you mean 'if'?",
        None,
    ),
    (
        "{ node { id } }",
        "Argument 'Query.node(id:)' of type 'ID!' is required, but it was not provided.",
        None,
    ),
    (
        "{ me @include { id } }",
        "Argument '@include(if:)' of type 'Boolean!' is required, but it was not provided.",
        None,
    ),
    (
        "{ users(first: 1, first: 2) { totalCount } }",
        "There can be only one argument named 'first'.",
        None,
    ),
    (
        f"{{ user(by: {{{SECRET}: 1, {SECRET}: 2}}) {{ id }} }}",
        f"There can be only one input field named '{SECRET}'.",
        "A field is given twice.",
    ),
    ("{ me @nothing { id } }", "Unknown directive '@nothing'.", "A directive is not known."),
    (
        "query ($a: String = p@ssw0rd) { me { id } }",
        "Unknown directive '@ssw0rd'.",
        "A directive is not known.",
    ),
    (
        "query @include(if: true) { me { id } }",
        "Directive '@include' may not be used on query.",
        None,
    ),
    (
        "{ me @include(if: true) @include(if: true) { id } }",
        "The directive '@include' can only be used once at this location.",
        None,
    ),
    (
        "query ($a: Strin) { me { id } }",
        "Unknown type 'Strin'. Did you mean 'String'?",
        None,
    ),
    ("{ ...F }", "Unknown fragment 'F'.", None),
    (
        "{ ...F } fragment F on Query { me { id } } fragment F on Query { me { id } }",
        "There can be only one fragment named 'F'.",
        None,
    ),
    ("{ me { id } } fragment F on User { id }", "Fragment 'F' is never used.", None),
    (
        "{ me { ...F } } fragment F on Role { id }",
        "Fragment 'F' cannot condition on non composite type 'Role'.",
        None,
    ),
    (
        "{ me { ... on Role { id } } }",
        "Fragment cannot condition on non composite type 'Role'.",
        None,
    ),
    (
        "{ me { ...F } } fragment F on Session { id }",
        (
            "Fragment 'F' cannot be spread here as objects of type 'User'"
            " can never be of type 'Session'."
        ),
        None,
    ),
    (
        "{ me { ... on Session { id } } }",
        "Fragment cannot be spread here as objects of type 'User' can never be of type 'Session'.",
        None,
    ),
    (
        "{ me { ...F } } fragment F on User { ...F }",
        "Cannot spread fragment 'F' within itself.",
        None,
    ),
    (
        "{ me { ...F } } fragment F on User { ...G } fragment G on User { ...F }",
        "Cannot spread fragment 'F' within itself via 'G'.",
        "Cannot spread fragment 'F' within itself.",
    ),
    (
        "{ me { id } } query B { me { id } }",
        "This anonymous operation must be the only defined operation.",
        None,
    ),
    (
        "query B { me { id } } query B { me { id } }",
        "There can be only one operation named 'B'.",
        None,
    ),
    (
        "subscription { me { id } }",
        "The subscription operation is not supported by the schema.",
        None,
    ),
    ("type A { a: Int } { me { id } }", "The 'A' definition is not executable.", "generic"),
    (
        "query ($a: ID!, $a: ID!) { node(id: $a) { id } }",
        "There can be only one variable named '$a'.",
        None,
    ),
    ("query ($a: ID) { me { id } }", "Variable '$a' is never used.", None),
    (
        "query Q($a: ID) { me { id } }",
        "Variable '$a' is never used in operation 'Q'.",
        None,
    ),
    (
        f"{{ node(id: ${SECRET}) {{ id }} }}",
        f"Variable '${SECRET}' is not defined.",
        "A variable that is not defined is used here.",
    ),
    (
        f"query Q {{ node(id: ${SECRET}) {{ id }} }}",
        f"Variable '${SECRET}' is not defined by operation 'Q'.",
        "A variable that is not defined is used here.",
    ),
    (
        "query ($a: User) { me { id } }",
        "Variable '$a' cannot be non-input type 'User'.",
        None,
    ),
    (
        "query ($a: ID) { node(id: $a) { id } }",
        "Variable '$a' of type 'ID' used in position expecting type 'ID!'.",
        None,
    ),
    (
        "query ($a: ID) { user(by: {id: $a}) { id } }",
        (
            "Variable '$a' is of type 'ID' but must be non-nullable to be used for OneOf Input"
            " Object 'UserBy'."
        ),
        None,
    ),
    (
        "{ me { a: id a: email } }",
        f"Fields 'a' conflict because 'id' and 'email' are different fields.{CONFLICT}",
        None,
    ),
    (
        "{ a: users(first: 1) { totalCount } a: users(first: 2) { totalCount } }",
        f"Fields 'a' conflict because they have differing arguments.{CONFLICT}",
        None,
    ),
    (
        "{ me { a: id } me { a: email } }",
        (
            "Fields 'me' conflict because subfields 'a' conflict because 'id' and 'email' are"
            f" different fields.{CONFLICT}"
        ),
        f"Fields 'me' conflict.{CONFLICT}",
    ),
    (
        f'{{ users(first: "{SECRET}") {{ totalCount }} }}',
        f'Int cannot represent non-integer value: "{SECRET}"',
        "It is not a value of type Int.",
    ),
    (
        f"{{ users(after: {SECRET}) {{ totalCount }} }}",
        f"String cannot represent a non string value: {SECRET}",
        "It is not a value of type String.",
    ),
    (
        f"{{ me @include(if: {SECRET}) {{ id }} }}",
        f"Boolean cannot represent a non boolean value: {SECRET}",
        "It is not a value of type Boolean.",
    ),
    (
        "{ users(filter: {role: ADMN}) { totalCount } }",
        "Value 'ADMN' does not exist in 'Role' enum. Did you mean the enum value 'ADMIN'?",
        "It is none of the values of Role. Did you mean the enum value 'ADMIN'?",
    ),
    (
        f'{{ users(filter: {{role: "{SECRET}"}}) {{ totalCount }} }}',
        f"Enum 'Role' cannot represent non-enum value: \"{SECRET}\".",
        "It is not a value of type Role.",
    ),
    (
        f'{{ users(filter: "{SECRET}") {{ totalCount }} }}',
        f"Expected value of type 'UserFilter' to be an object, found: \"{SECRET}\".",
        "It is not a value of type UserFilter.",
    ),
    (
        f'mutation {{ login(input: {{email: "{SECRET}"}}) {{ __typename }} }}',
        (
            "Expected value of type 'LoginInput' to include required field 'password', found:"
            f' {{ email: "{SECRET}" }}.'
        ),
        "LoginInput needs the field password.",
    ),
    (
        (
            f'mutation {{ login(input: {{email: "", password: "", passwrd: "{SECRET}"}})'
            " { __typename } }"
        ),
        (
            "Expected value of type 'LoginInput' not to include unknown field 'passwrd'. Did you"
            " mean 'password'? Found:"
            f' {{ email: "", password: "", passwrd: "{SECRET}" }}.'
        ),
        "LoginInput has no such field.",
    ),
    (
        "{ node(id: null) { id } }",
        "Expected value of non-null type 'ID!' not to be None.",
        "A value of type ID! is required.",
    ),
    (
        f'{{ user(by: {{id: "{SECRET}", email: "{SECRET}"}}) {{ id }} }}',
        (
            "Within OneOf Input Object type 'UserBy', exactly one field must be specified, and the"
            " value for that field must be non-null."
        ),
        "Exactly one field of UserBy must be given, and not null.",
    ),
    (
        f'{{ users(filter: {{createdAt: {{from: "{SECRET}"}}}}) {{ totalCount }} }}',
        (
            "Expected value of type 'DateTime', but encountered error 'DateTime takes an RFC 3339"
            " time with an offset, such as 2026-01-31T12:00:00Z.'; found:"
            f' "{SECRET}".'
        ),
        "DateTime takes an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z.",
    ),
    (
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
        "Maximum introspection depth exceeded",
        None,
    ),
    (
        "{ __schema { queryType { name } } }",
        (
            "GraphQL introspection has been disabled, but the requested query contained the field"
            " '__schema'."
        ),
        None,
    ),
]
# These rules are about directives and subscriptions that the schema does not have.
OF_OTHER_SCHEMAS = {
    "DeferStreamDirectiveLabel",
    "DeferStreamDirectiveOnRootField",
    "DeferStreamDirectiveOnValidOperationsRule",
    "SingleFieldSubscriptionsRule",
    "StreamDirectiveOnListField",
}
RULES = [*specified_rules, OneOfVariablesRule, NoSchemaIntrospectionCustomRule]

# Documents that do not parse, and the messages for clients.
SYNTAX = [
    ("{ me { id }", "Syntax Error: Expected Name, found <EOF>."),
    (f'{{ a(b: {{c "{SECRET}"}}) }}', "Syntax Error: Expected ':', found String."),
    (f'{{ a(b: {{c """{SECRET}"""}}) }}', "Syntax Error: Expected ':', found BlockString."),
    (f"{{ a(b: {{c {SECRET}}}) }}", "Syntax Error: Expected ':', found Name."),
    ("{ a(b: {c 12345}) }", "Syntax Error: Expected ':', found Int."),
    ("{ a(b: {c 12.5}) }", "Syntax Error: Expected ':', found Float."),
    (f"fragment {SECRET} off A {{ a }}", "Syntax Error: Expected 'on', found Name."),
    (f"{SECRET}", "Syntax Error: Unexpected Name."),
    ("{ a(b: ]) }", "Syntax Error: Unexpected ']'."),
    (
        f"query ($a: Int = ${SECRET}) {{ a }}",
        "Syntax Error: Unexpected variable in a constant value.",
    ),
    (f'{{ a(b: "{SECRET}', "Syntax Error: Unterminated string."),
    (f'{{ a(b: "{SECRET}\\q") }}', "Syntax Error: Invalid character escape sequence."),
    (f'{{ a(b: "{SECRET}\\u12zz") }}', "Syntax Error: Invalid Unicode escape sequence."),
    (f"{{ a(b: '{SECRET}') }}", (
        "Syntax Error: Unexpected single quote character ('), did you mean to use a double quote"
        ' (")?'
    )),
    ("{ a(b: 0123) }", "Syntax Error: Invalid number."),
    ("{ a(b: .123) }", "Syntax Error: Invalid number."),
    ("{ a(b: 1x) }", "Syntax Error: Invalid number."),
    ("{ .. }", "Syntax Error: Unexpected '..', did you mean '...'?"),
    ("{ a(b: ?) }", "Syntax Error: Unexpected character."),
    (
        "{ " + "a " * 1_001 + "}",
        "Syntax Error: Document contains more than 1000 tokens. Parsing aborted.",
    ),
    (
        "#\n" * 51 + "{ a }",
        "Syntax Error: Document contains more than 50 comments. Parsing aborted.",
    ),
    (
        "{ a }" + " " * 16_000,
        "Syntax Error: Source contains more than 16000 code points. Parsing aborted.",
    ),
    ("{ a " * 300, "Syntax Error: Document is nested too deeply. Parsing aborted."),
    (f'"{SECRET}" {{ a }}', "Syntax Error: Unexpected description."),
]  # fmt: skip


@pytest.mark.parametrize(("document", "said", "told"), CORPUS, ids=[each[1] for each in CORPUS])
def test_each_message_of_graphql_core_becomes_the_expected_one(
    document: str, said: str, told: str | None
) -> None:
    errors = validate(SCHEMA, parse(document), RULES)
    expected = GENERIC[Code.VALIDATION_FAILED] if told == "generic" else told or said

    texts = {error.message: TEXTS.of_request(error, Code.VALIDATION_FAILED) for error in errors}

    assert texts[said] == expected
    assert SECRET not in "".join(texts.values())


def test_every_validation_rule_is_violated_by_a_document_of_the_corpus() -> None:
    documents = [parse(each[0]) for each in CORPUS]

    silent = {
        rule.__name__
        for rule in RULES
        if not any(validate(SCHEMA, document, [rule]) for document in documents)
    }

    assert silent == OF_OTHER_SCHEMAS


def test_only_one_message_of_the_corpus_becomes_the_generic_one() -> None:
    told = [each[2] for each in CORPUS]

    assert told.count("generic") == 1


@pytest.mark.parametrize(("document", "told"), SYNTAX)
async def test_a_syntax_error_names_the_kind_of_the_unexpected_token(
    api: Api, document: str, told: str
) -> None:
    await api(document)

    assert [(api.last_code, each["message"]) for each in api.errors] == [
        ("GRAPHQL_PARSE_FAILED", told)
    ]


@pytest.mark.parametrize("code", GENERIC)
@pytest.mark.parametrize(
    "said",
    [
        f"A sentence of another version: {SECRET}",
        f"Cannot query field '{SECRET}' on type 'NoType'.",
        f"Cannot query field 'a' on type 'User'. Did you mean '{SECRET}'?",
        f"Cannot query field 'a' on type 'User'. {SECRET}",
        f"Unknown argument 'a' on field 'User.{SECRET}'.",
        f"{SECRET} cannot represent value: 1",
        f"Value 'x' does not exist in 'Role' enum. Did you mean the enum value '{SECRET}'?",
        f"Syntax Error: Unexpected '{SECRET}'.",
    ],
)
def test_a_message_that_is_not_in_the_allow_list_becomes_the_generic_one(
    code: Code, said: str
) -> None:
    assert TEXTS.of_request(GraphQLError(said), code) == GENERIC[code]


def test_the_path_to_a_value_must_be_in_the_schema_too() -> None:
    fields = "Variable '$input' has invalid value at .password: String cannot represent a: 1"
    secret = f"Variable '$input' has invalid value at .{SECRET}: String cannot represent a: 1"

    told = [TEXTS.of_request(GraphQLError(said), Code.BAD_USER_INPUT) for said in (fields, secret)]

    assert told == [
        "Variable '$input' has invalid value at .password: it is not a value of type String.",
        GENERIC[Code.BAD_USER_INPUT],
    ]


# Markers, in every place of a document that allows a value, and in variables.
DIGITS = "739018426"
TEXT = f"mrk{DIGITS}mrk"
LITERALS = st.sampled_from(
    [
        f'"{TEXT}"',
        f'"""{TEXT}"""',
        f"{DIGITS}",
        f"-{DIGITS}",
        f"{DIGITS}.5",
        f"{DIGITS}{DIGITS}",
        TEXT,
        f"${TEXT}",
        f"[{TEXT}]",
        f'["{TEXT}", {DIGITS}]',
        f'{{{TEXT}: "{TEXT}"}}',
        f'{{email: "{TEXT}", password: {TEXT}}}',
        f'{{id: "{TEXT}", email: {DIGITS}}}',
        f'{{from: "{TEXT}"}}',
    ]
)
TOKENS = st.sampled_from(
    [f'"{TEXT}"', f'"""{TEXT}"""', DIGITS, f"{DIGITS}.5", f"# {TEXT}\n", f'"{TEXT}', f"'{TEXT}'"]
)
SCALARS = st.sampled_from([TEXT, int(DIGITS), float(DIGITS) + 0.5, None, True])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([TEXT, "email", "password", "id", "from", "role", "field", "search"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
OPERATIONS = from_schema(
    SDL,
    custom_scalars={
        "DateTime": st.just("2026-01-31T12:00:00Z").map(String),
        "JSON": st.just("text").map(String),
    },
)
INPUT = GraphQLScalarType | GraphQLEnumType | GraphQLInputObjectType
INPUTS = sorted(name for name, kind in SCHEMA.type_map.items() if isinstance(kind, INPUT))
TYPES = st.sampled_from([*INPUTS, "[Int]", "[String!]", "[[DateTime!]!]"])
ROOTS = {"query": SCHEMA.query_type, "mutation": SCHEMA.mutation_type}
ARGUMENTS = [
    (operation, name, argument, definition.type)
    for operation, root in ROOTS.items()
    if root is not None
    for name, field in root.fields.items()
    for argument, definition in field.args.items()
]


NOWHERE = -1


class Marking(Visitor):
    """Keeps the first root field, and puts a literal in the place of one value."""

    def __init__(self, place: int, literal: str) -> None:
        super().__init__()
        self._left, self._literal = place, literal

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> Any:
        kept = SelectionSetNode(selections=node.selection_set.selections[:1])
        return OperationDefinitionNode(
            operation=node.operation, name=NameNode(value="Marked"), selection_set=kept
        )

    def enter(self, node: Any, *_: Any) -> Any:
        if not isinstance(node, ValueNode):
            return None
        self._left -= 1
        return parse_value(self._literal) if self._left == -1 else None


@st.composite
def marked_values(draw: st.DrawFn) -> str:
    """Documents that parse, with a marker for a value, in a directive or as a default."""
    marking = Marking(draw(st.integers(0, 4)), draw(LITERALS))
    text = print_ast(visit(parse(draw(OPERATIONS)), marking))
    where = draw(st.sampled_from(["value", "value", "directive", "default", "used"]))
    operation, _, rest = text.partition(" Marked ")
    if where == "directive":
        rest = rest.replace("{\n", f"{{\n  __typename @include(if: {draw(LITERALS)})\n", 1)
    if where == "default":
        default = draw(LITERALS.filter(lambda each: not each.startswith("$")))
        return f"{operation} Marked ($marked: {draw(TYPES)} = {default}) {rest}"
    if where == "used":
        rest = rest.replace(f"${TEXT}", "$marked")
        return f"{operation} Marked ($marked: {draw(TYPES)}) {rest}"
    return text


@st.composite
def marked_arguments(draw: st.DrawFn) -> str:
    """Documents that are valid, and take an argument from the variables."""
    operation, name, argument, kind = draw(st.sampled_from(ARGUMENTS))
    return f"{operation} Q($marked: {kind}) {{ {name}({argument}: $marked) {{ __typename }} }}"


@st.composite
def marked_tokens(draw: st.DrawFn) -> str:
    """Documents with a literal, or half of one, between any two tokens."""
    kept = visit(parse(draw(OPERATIONS)), Marking(NOWHERE, ""))
    tokens = list(_tokens(print_ast(kept)))
    tokens.insert(draw(st.integers(0, len(tokens))), draw(TOKENS))
    return " ".join(tokens)


def _tokens(text: str) -> Iterator[str]:
    lexer = Lexer(Source(text))
    while lexer.advance().kind is not TokenKind.EOF:
        yield text[lexer.token.start : lexer.token.end]


@pytest.fixture(scope="module")
async def production(settings: Settings) -> FastAPI:
    assert settings.database_url is not None
    return create_app(settings_for(settings.database_url.get_secret_value(), debug=False))


@pytest.mark.parametrize("debug", [True, False])
@hypothesis.settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.filter_too_much,
    ],
)
@hypothesis.given(text=marked_values() | marked_tokens() | marked_arguments(), value=VALUES)
async def test_no_value_of_a_document_or_a_variable_is_returned_or_logged(
    api: Api, production: FastAPI, debug: bool, text: str, value: Any
) -> None:
    # All captured logs are searched for it at the end of the tests.
    SECRETS.add(TEXT)
    SECRETS.add(DIGITS)
    async with Api.of(production) as other:
        client = api if debug else other
        await client(text, marked=value)

    assert client.last is not None
    assert client.last.status_code < 500
    assert DIGITS not in json.dumps(client.errors)
    assert "data" in client.last.json() or DIGITS not in client.last.text
