"""Access to root fields: one object enforces it and prints it into the schema, as `@access`."""

import enum
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import strawberry
from strawberry import UNSET
from strawberry.extensions import FieldExtension
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from app.graphql.charging import Charged
from app.graphql.context import Context
from app.graphql.problems import Problem
from app.sessions.services.freshness import Freshness
from app.text.durations import in_words
from app.throttle.attempts import Attempt


@strawberry.enum(description="Who may use a field.")
class AccessLevel(enum.Enum):
    GUEST = strawberry.enum_value("GUEST", description="Everybody, signed in or not.")
    MEMBER = strawberry.enum_value("MEMBER", description="Signed-in users.")
    ADMIN = strawberry.enum_value("ADMIN", description="Administrators.")


SENTENCES = {
    AccessLevel.GUEST: "No sign-in needed.",
    AccessLevel.MEMBER: "Signed-in users only.",
    AccessLevel.ADMIN: "Administrators only.",
}
FRESH = "Within {} of a sign-in or `stepUp`."


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="access",
    description="Who may use this field; others get null and UNAUTHENTICATED or FORBIDDEN. "
    "`freshWithin`: within how many seconds of `Session.authenticatedAt`; later, STEP_UP_REQUIRED. "
    "`withoutFactor`: also for users who have to enroll a second factor first; elsewhere these get "
    "SECOND_FACTOR_REQUIRED.",
)
class AccessDirective:
    level: AccessLevel = strawberry.directive_field(name="level")
    fresh_within: int | None = strawberry.directive_field(name="freshWithin", default=UNSET)
    without_factor: bool | None = strawberry.directive_field(name="withoutFactor", default=UNSET)


class Access(FieldExtension):
    """Checks who is calling a root field, and raises a refusal if they may not use it.

    The session is read again for each guarded field: the mutations of one request run one after
    the other, and a session that the first one ends must not be accepted by the second.
    """

    def __init__(
        self,
        level: AccessLevel,
        fresh_within: timedelta | None = None,
        *,
        without_factor: bool = False,
    ) -> None:
        self.level, self.fresh_within, self.without_factor = level, fresh_within, without_factor

    @property
    def words(self) -> str:
        """What the description of the field says of it: introspection shows no directives."""
        if self.fresh_within is None:
            return SENTENCES[self.level]
        return f"{SENTENCES[self.level]} {FRESH.format(in_words(self.fresh_within))}"

    @property
    def directive(self) -> AccessDirective:
        within = self.fresh_within
        return AccessDirective(
            level=self.level,
            fresh_within=int(within.total_seconds()) if within else UNSET,
            without_factor=True if self.without_factor else UNSET,
        )

    def apply(self, field: StrawberryField) -> None:
        # Called once for each schema that is built with the field.
        others = [each for each in field.directives if not isinstance(each, AccessDirective)]
        field.directives = [*others, self.directive]

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: Any, **kwargs: Any
    ) -> Any:
        await self.admit(info.context)
        result = await next_(source, info, **kwargs)
        if isinstance(result, Problem):
            info.context.problem = type(result).__name__
        return result

    async def admit(self, context: Context) -> None:
        if self.level is AccessLevel.GUEST:
            return
        is_admin = self.level is AccessLevel.ADMIN
        viewer = await (context.identify_admin() if is_admin else context.identify_member())
        if viewer.lacks_factor and not self.without_factor:
            await context.services[Freshness].refuse_without_factor(viewer)
        if self.fresh_within is not None:
            await context.services[Freshness].check(viewer, self.fresh_within)


def guest_field(*, description: str, limited_as: Attempt | None = None) -> Any:
    """Declare a root field for everybody.

    Raises:
        ValueError: the attempt is charged to the user who is signed in, and there may be none.

    """
    if limited_as and limited_as.needs_user:
        raise ValueError(f"{limited_as.name} is counted per user: a guest_field cannot be that")
    return _field(Access(AccessLevel.GUEST), description, limited_as)


def member_field(
    *,
    description: str,
    limited_as: Attempt | None = None,
    fresh_within: timedelta | None = None,
    without_factor: bool = False,
) -> Any:
    """Declare a root field for users who are signed in.

    Args:
        description: The description; who may use the field is added to it.
        limited_as: What a call counts as.
        fresh_within: How long ago the user may have proved who they are.
        without_factor: Whether users may call it who have to enroll a second factor first.

    """
    access = Access(AccessLevel.MEMBER, fresh_within, without_factor=without_factor)
    return _field(access, description, limited_as)


def admin_field(
    *,
    description: str,
    limited_as: Attempt | None = None,
    fresh_within: timedelta | None = None,
) -> Any:
    """Declare a root field for administrators; as `member_field`."""
    return _field(Access(AccessLevel.ADMIN, fresh_within), description, limited_as)


def _field(access: Access, description: str, limited_as: Attempt | None) -> Any:
    """Access is checked first: Strawberry runs the last extension first."""
    charged = [Charged(limited_as)] if limited_as else []
    text = " ".join((description, access.words, *(each.words for each in charged)))
    return strawberry.field(description=text, extensions=[*charged, access])
