"""The known messages of graphql-core, and the messages that clients get instead.

Placeholders match the variable parts of a message:

- `{type}`, `{member}`, `{path}`, `{suggestion}`: only names that exist in the schema;
- `{name}`: a name in the document, where the grammar allows a name and no value;
- `{token}`: a kind of token; `{number}`: a limit;
- `{value}`: anything; it is never part of the message for clients.
"""

AS_THEY_ARE = (
    "Cannot query field '{name}' on type '{type}'.{suggestion}",
    (
        "Field '{name}' of type '{type}' must have a selection of subfields."
        " Did you mean '{name2} { ... }'?"
    ),
    "Field '{name}' of type '{type}' must have at least one field selected.",
    "Field '{name}' must not have a selection since type '{type}' has no subfields.",
    "Unknown argument '{name}' on field '{type}.{member}'.{suggestion}",
    "Unknown argument '{name}' on directive '@{name2}'.{suggestion}",
    (
        "Argument '{type}.{member}({member2}:)' of type '{type2}' is required, but it was not"
        " provided."
    ),
    "Argument '@{member}({member2}:)' of type '{type}' is required, but it was not provided.",
    "There can be only one argument named '{name}'.",
    "Directive '@{name}' may not be used on {name2}.",
    "The directive '@{name}' can only be used once at this location.",
    "Unknown type '{name}'.{suggestion}",
    "Unknown fragment '{name}'.",
    "There can be only one fragment named '{name}'.",
    "Fragment '{name}' is never used.",
    "Fragment '{name}' cannot condition on non composite type '{type}'.",
    "Fragment cannot condition on non composite type '{type}'.",
    (
        "Fragment '{name}' cannot be spread here as objects of type '{type}' can never be of type"
        " '{type2}'."
    ),
    "Fragment cannot be spread here as objects of type '{type}' can never be of type '{type2}'.",
    "Cannot spread fragment '{name}' within itself.",
    "This anonymous operation must be the only defined operation.",
    "There can be only one operation named '{name}'.",
    "The {name} operation is not supported by the schema.",
    "The {name} definition is not executable.",
    "There can be only one variable named '${name}'.",
    "Variable '${name}' is never used.",
    "Variable '${name}' is never used in operation '{name2}'.",
    "Variable '${name}' cannot be non-input type '{type}'.",
    "Variable '${name}' of type '{type}' used in position expecting type '{type2}'.",
    (
        "Variable '${name}' is of type '{type}' but must be non-nullable to be used for OneOf Input"
        " Object '{type2}'."
    ),
    (
        "Fields '{name}' conflict because '{name2}' and '{name3}' are different fields."
        " Use different aliases on the fields to fetch both if this was intentional."
    ),
    (
        "Fields '{name}' conflict because they have differing arguments."
        " Use different aliases on the fields to fetch both if this was intentional."
    ),
    (
        "Fields '{name}' conflict because they return conflicting types '{type}' and '{type2}'."
        " Use different aliases on the fields to fetch both if this was intentional."
    ),
    (
        "GraphQL introspection has been disabled, but the requested query contained the field"
        " '{name}'."
    ),
    "Maximum introspection depth exceeded",
    "Too many validation errors, error limit reached. Validation aborted.",
    "Validation aborted.",
    "Too many errors processing variables, error limit reached. Execution aborted.",
    "Variable values are nested too deeply.",
    "Syntax Error: Source contains more than {number} code points. Parsing aborted.",
    "Syntax Error: Document contains more than {number} tokens. Parsing aborted.",
    "Syntax Error: Document contains more than {number} comments. Parsing aborted.",
    "Syntax Error: Document is nested too deeply. Parsing aborted.",
    "Syntax Error: Unterminated string.",
)
REPLACED = {
    # An `@` in a password without quotes begins a directive.
    "Unknown directive '@{value}'.": "A directive is not known.",
    # A variable is used in place of a value, so its name may be a password: `$ecret`.
    "Variable '${value}' is not defined.": "A variable that is not defined is used here.",
    "Variable '${value}' is not defined by operation {value2}": (
        "A variable that is not defined is used here."
    ),
    "Cannot spread fragment '{name}' within itself via {value}": (
        "Cannot spread fragment '{name}' within itself."
    ),
    "Fields '{name}' conflict because {value} Use different aliases {value2}": (
        "Fields '{name}' conflict. Use different aliases on the fields to fetch both if this was"
        " intentional."
    ),
    "Syntax Error: Expected {token}, found {token2}{value}": (
        "Syntax Error: Expected {token}, found {token2}."
    ),
    "Syntax Error: Unexpected {token}{value}": "Syntax Error: Unexpected {token}.",
    "Syntax Error: Unexpected variable {value}": (
        "Syntax Error: Unexpected variable in a constant value."
    ),
    "Syntax Error: Unexpected description, {value}": "Syntax Error: Unexpected description.",
    "Syntax Error: Unexpected single quote character {value}": (
        "Syntax Error: Unexpected single quote character ('), did you mean to use a double quote"
        ' (")?'
    ),
    "Syntax Error: Unexpected '..', {value}": (
        "Syntax Error: Unexpected '..', did you mean '...'?"
    ),
    "Syntax Error: Unexpected character: {value}": "Syntax Error: Unexpected character.",
    "Syntax Error: Invalid character: {value}": "Syntax Error: Invalid character.",
    "Syntax Error: Invalid character within String: {value}": (
        "Syntax Error: Invalid character within String."
    ),
    "Syntax Error: Invalid character escape sequence: {value}": (
        "Syntax Error: Invalid character escape sequence."
    ),
    "Syntax Error: Invalid Unicode escape sequence: {value}": (
        "Syntax Error: Invalid Unicode escape sequence."
    ),
    "Syntax Error: Invalid number, {value}": "Syntax Error: Invalid number.",
    "Syntax Error: Name {value} is reserved and cannot be used for an enum value.": (
        "Syntax Error: A reserved name cannot be used for an enum value."
    ),
}
# Errors in a value. They also follow the prefixes below.
OF_VALUES = {
    "{type} cannot represent {value}": "it is not a value of type {type}.",
    "Enum '{type}' cannot represent {value}": "it is not a value of type {type}.",
    "Value '{value}' does not exist in '{type}' enum.{suggestion}": (
        "it is none of the values of {type}.{suggestion}"
    ),
    "Expected value of type '{type}' to be an object, found: {value}": (
        "it is not a value of type {type}."
    ),
    "Expected value of type '{type}' to include required field '{member}', found: {value}": (
        "{type} needs the field {member}."
    ),
    "Expected value of type '{type}' not to include unknown field {value}": (
        "{type} has no such field."
    ),
    "Expected a value of non-null type '{type}' to be provided.": (
        "a value of type {type} is required."
    ),
    "Expected value of non-null type '{type}' not to be None.": (
        "a value of type {type} is required."
    ),
    "Expected variable '${value}' provided to type '{type}' to provide a runtime value.": (
        "a value of type {type} is required."
    ),
    "Expected variable '${value}' provided to non-null type '{type}' not to be None.": (
        "a value of type {type} is required."
    ),
    "Within OneOf Input Object type '{type}', exactly one field must be specified,"
    " and the value for that field must be non-null.": (
        "exactly one field of {type} must be given, and not null."
    ),
    "Expected variable '${value}' provided to field '{member}' for OneOf Input Object type"
    " '{type}' {value2}": "exactly one field of {type} must be given, and not null.",
    "Expected value of type '{type}', but encountered error {value}": (
        "it is not a value of type {type}."
    ),
    "Expected value of type '{type}', found: {value}": "it is not a value of type {type}.",
    "There can be only one input field named '{value}'.": "a field is given twice.",
}
# Prefixes of errors in a variable, or in an argument during execution.
PREFIXES = (
    "Variable '${name}' has invalid value{path}: ",
    "Variable '${name}' has invalid default value{path}: ",
    "Argument '{member}' has invalid value{path}: ",
    "Argument '{member}' has invalid default value{path}: ",
)
MISSING = {
    "Argument '{member}' of required type '{type}' was not provided.": (
        "Argument '{member}' of type '{type}' is required."
    ),
}
# Bugs of the server that graphql-core detects: for the log.
OF_THE_SERVER = (
    "Cannot return null for non-nullable field {type}.{member}.",
    "Expected Iterable, but did not find one for field '{type}.{member}'.",
)
