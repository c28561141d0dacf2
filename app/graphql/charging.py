"""What a field tries: one object charges it, and is printed into the schema as `@rateLimited`."""

from collections.abc import Awaitable, Callable
from typing import Any

import strawberry
from graphql import GraphQLField
from strawberry.extensions import FieldExtension
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from app import outcomes
from app.errors import Overloaded
from app.graphql.context import Context, Info
from app.graphql.problems import Problem, RateLimited, publish_enum, too_many_attempts
from app.throttle.services.throttle import Throttle, Tried, Try

STRAWBERRY = "strawberry-definition"

publish_enum(
    Tried,
    "What a field tries. Each is charged to limits of its own before the work begins.",
    type_name="Attempt",
    **{tried.name: tried.meaning for tried in Tried},
)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="rateLimited",
    description="What each call of this field is charged as. Over a limit it answers "
    "`RateLimited`, or where that is no member of its result, null and a RATE_LIMITED error.",
)
class RateLimitedDirective:
    attempt: Tried = strawberry.directive_field(name="as")


class Charged(FieldExtension):
    """Charges a try before the field runs, and takes it back where it does not count."""

    def __init__(self, tried: Tried) -> None:
        self.tried = tried

    @property
    def words(self) -> str:
        """What the description of a field says of it: introspection shows no directives."""
        return f"Rate limited as `{self.tried.name}`."

    def apply(self, field: StrawberryField) -> None:
        # Called once for each schema that is built of the field.
        others = [each for each in field.directives if not isinstance(each, RateLimitedDirective)]
        field.directives = [*others, RateLimitedDirective(attempt=self.tried)]

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: Any, **kwargs: Any
    ) -> Any:
        throttle, by = info.context.services[Throttle], _try(info.context, kwargs)
        try:
            async with throttle.charged(self.tried, by) as ending:
                result = await next_(source, info, **kwargs)
                ending.was(failed=_is_wrong_guess(result), done=not isinstance(result, Problem))
        except Overloaded as full:
            return _refused(info, outcomes.RateLimited(full.retry_after_seconds))
        return result


class ChargedIfWrong(Charged):
    """Charges a try only after it was a wrong guess.

    For secrets that cannot be guessed and must never be kept waiting by somebody else's guesses.
    """

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: Any, **kwargs: Any
    ) -> Any:
        throttle, by = info.context.services[Throttle], _try(info.context, kwargs)
        result = await next_(source, info, **kwargs)
        if not _is_wrong_guess(result):
            return result
        charge = await throttle.charge(self.tried, by)
        return _refused(info, charge) if isinstance(charge, outcomes.RateLimited) else result


def charged_for(tried: Tried) -> Charged:
    return ChargedIfWrong(tried) if tried is Tried.REFRESH else Charged(tried)


def charged_as(field: GraphQLField) -> Tried | None:
    """Returns what a field of the built schema tries; None if it declares nothing."""
    definition: Any = field.extensions.get(STRAWBERRY)
    extensions: list[Any] = definition.extensions if definition else []
    return next((each.tried for each in extensions if isinstance(each, Charged)), None)


def _try(context: Context, arguments: dict[str, Any]) -> Try:
    viewer = context.viewer
    email = getattr(arguments.get("input"), "email", "")
    return Try(context.client, viewer.user.id if viewer else None, email)


def _is_wrong_guess(result: Any) -> bool:
    return isinstance(result, Problem) and result.is_wrong_guess()


def _refused(info: Info, refused: outcomes.RateLimited) -> RateLimited:
    """Returns the member of the field's union, or raises if it has none."""
    if info.may_answer("RateLimited"):
        return RateLimited.of(refused)
    seconds = refused.retry_after_seconds
    raise Overloaded(too_many_attempts(seconds), retry_after_seconds=seconds)
