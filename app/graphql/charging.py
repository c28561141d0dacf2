"""What a field is limited as: one object charges it, and prints `@rateLimited` into the schema."""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any

import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
)
from strawberry.extensions import FieldExtension
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from app import outcomes
from app.errors import Misconfigured, Overloaded
from app.graphql.context import Context, Info
from app.graphql.inputs import none_if_unset
from app.graphql.problems import MaybeGuess, Problem, RateLimited, too_many_attempts
from app.throttle.attempts import Attempt, Caller, Charge
from app.throttle.services.budgets import Budgets

STRAWBERRY = "strawberry-definition"
ENUM = "Attempt"


@strawberry.enum(
    name=ENUM,
    description="What a call of a field counts as. Each kind has its own limits, which are checked "
    "before the work begins.",
)
class AttemptName(Enum):
    """In each schema the attempts of its modules replace this member (`replace_attempts`).

    Strawberry builds no enum without members, and shares this one among the schemas of a process.
    """

    UNKNOWN = "UNKNOWN"


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="rateLimited",
    description="What each call of this field counts as. Over a limit, the field returns "
    "`RateLimited` or, if its result has no such member, null and a RATE_LIMITED error.",
)
class RateLimitedDirective:
    attempt: AttemptName = strawberry.directive_field(name="as")


class Charged(FieldExtension):
    """Charges an attempt before the field runs, and refunds budgets that do not count it."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt

    @property
    def words(self) -> str:
        """What the description of a field says of it: introspection shows no directives."""
        return f"Rate limited as `{self.attempt.name}`."

    def apply(self, field: StrawberryField) -> None:
        # Called once for each schema that is built of the field.
        others = [each for each in field.directives if not isinstance(each, RateLimitedDirective)]
        name: Any = self.attempt.name
        field.directives = [*others, RateLimitedDirective(attempt=name)]

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: Any, **kwargs: Any
    ) -> Any:
        async def resolve() -> Any:
            return await next_(source, info, **kwargs)

        caller = _caller(info.context, kwargs)
        if self.attempt.charge_after_failure:
            return await self._charge_failure(resolve, info, caller)
        return await self._charge(resolve, info, caller)

    async def _charge(
        self, resolve: Callable[[], Awaitable[Any]], info: Info, caller: Caller
    ) -> Any:
        budgets = info.context.services[Budgets]
        charges = await _charges(self.attempt, info.context, caller)
        try:
            async with budgets.charged(charges, caller.client) as ending:
                result = await resolve()
                ending.was(failed=_is_wrong_guess(result), done=not isinstance(result, Problem))
        except Overloaded as full:
            return _refused(info, outcomes.RateLimited(full.retry_after_seconds))
        return result

    async def _charge_failure(
        self, resolve: Callable[[], Awaitable[Any]], info: Info, caller: Caller
    ) -> Any:
        result = await resolve()
        if not _is_wrong_guess(result):
            return result
        charges = await _charges(self.attempt, info.context, caller)
        charged = await info.context.services[Budgets].charge(charges, caller.client)
        return _refused(info, charged) if isinstance(charged, outcomes.RateLimited) else result


def charged_as(field: GraphQLField) -> Attempt | None:
    """Returns the attempt that a field of the built schema is limited as; None if not limited."""
    definition: Any = field.extensions.get(STRAWBERRY)
    extensions: list[Any] = definition.extensions if definition else []
    return next((each.attempt for each in extensions if isinstance(each, Charged)), None)


def replace_attempts(schema: GraphQLSchema, attempts: Sequence[Attempt]) -> None:
    """Make these the members of the enum `Attempt` of a schema that was just built.

    The enum of graphql-core belongs to this schema alone; that of Strawberry is not changed.

    Raises:
        Misconfigured: a field is limited as something else.

    """
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType):
            _check_fields(kind, attempts)
    enum = schema.type_map.get(ENUM)
    if isinstance(enum, GraphQLEnumType):
        enum.values.clear()
        for each in attempts:
            enum.values[each.name] = GraphQLEnumValue(each.name, description=each.description)


def _check_fields(kind: GraphQLObjectType, attempts: Sequence[Attempt]) -> None:
    for name, field in kind.fields.items():
        attempt = charged_as(field)
        if attempt is not None and attempt not in attempts:
            raise Misconfigured(
                f"The field {kind.name}.{name} of {_module_of(field)} is limited as "
                f"{attempt.name}, which is not among the attempts of any module"
            )


def _module_of(field: GraphQLField) -> str:
    return field.extensions[STRAWBERRY].base_resolver.wrapped_func.__module__


def _caller(context: Context, arguments: dict[str, Any]) -> Caller:
    viewer = context.viewer
    given = arguments.get("input")
    email, token = getattr(given, "email", ""), getattr(given, "token", "")
    code = getattr(getattr(given, "answer", None), "totp", None)
    if viewer is None:
        return Caller(context.client, None, email, token, none_if_unset(code))
    user_id, session_id = viewer.user.id, viewer.session_id
    return Caller(context.client, user_id, email, token, none_if_unset(code), session_id)


async def _charges(attempt: Attempt, context: Context, caller: Caller) -> Sequence[Charge]:
    if attempt.rule is not None:
        return await context.services[attempt.rule].charges(caller)
    return [limit.charge(caller) for limit in attempt.limits]


def _is_wrong_guess(result: Any) -> bool:
    return isinstance(result, MaybeGuess) and result.is_wrong_guess()


def _refused(info: Info, refused: outcomes.RateLimited) -> RateLimited:
    """Returns `RateLimited` if it is a member of the field's union; raises if not."""
    if info.may_answer("RateLimited"):
        return RateLimited.of(refused)
    seconds = refused.retry_after_seconds
    raise Overloaded(too_many_attempts(seconds), retry_after_seconds=seconds)
