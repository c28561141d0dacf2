"""Who may ask a root field: one object enforces it and prints it, as `@access` and in words."""

import enum
from collections.abc import Awaitable, Callable
from typing import Any

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from app.graphql.charging import Charged
from app.graphql.context import Context
from app.graphql.problems import Problem
from app.throttle.attempts import Attempt


@strawberry.enum(description="Who may use a field.")
class AccessLevel(enum.Enum):
    GUEST = strawberry.enum_value("GUEST", description="Everybody, signed in or not.")
    MEMBER = strawberry.enum_value("MEMBER", description="Signed-in users.")
    ADMIN = strawberry.enum_value("ADMIN", description="Administrators.")


WORDS = {
    AccessLevel.GUEST: "No sign-in needed.",
    AccessLevel.MEMBER: "Signed-in users only.",
    AccessLevel.ADMIN: "Administrators only.",
}


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="access",
    description="Who may use this field; others get null and UNAUTHENTICATED or FORBIDDEN.",
)
class AccessDirective:
    level: AccessLevel = strawberry.directive_field(name="level")


class Access(FieldExtension):
    """Lets a caller through to a root field, or raises the refusal.

    The caller is asked for at each guarded field anew: the mutations of one request run one after
    the other, and what the first one ended must not serve the second.
    """

    def __init__(self, level: AccessLevel) -> None:
        self.level = level

    @property
    def words(self) -> str:
        """What the description of a field says of it: introspection shows no directives."""
        return WORDS[self.level]

    def apply(self, field: StrawberryField) -> None:
        # Called once for each schema that is built of the field.
        others = [each for each in field.directives if not isinstance(each, AccessDirective)]
        field.directives = [*others, AccessDirective(level=self.level)]

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: Any, **kwargs: Any
    ) -> Any:
        await self.admit(info.context)
        result = await next_(source, info, **kwargs)
        if isinstance(result, Problem):
            info.context.problem = type(result).__name__
        return result

    async def admit(self, context: Context) -> None:
        if self.level is AccessLevel.ADMIN:
            await context.identify_admin()
        elif self.level is AccessLevel.MEMBER:
            await context.identify_member()


def guest_field(*, description: str, limited_as: Attempt | None = None) -> Any:
    """Declare a root field for everybody.

    Raises:
        ValueError: the attempt is charged to the user who is signed in, and there may be none.

    """
    if limited_as and limited_as.needs_user:
        raise ValueError(f"{limited_as.name} is counted per user: a guest_field cannot be that")
    return _field(AccessLevel.GUEST, description, limited_as)


def member_field(*, description: str, limited_as: Attempt | None = None) -> Any:
    return _field(AccessLevel.MEMBER, description, limited_as)


def admin_field(*, description: str, limited_as: Attempt | None = None) -> Any:
    return _field(AccessLevel.ADMIN, description, limited_as)


def _field(level: AccessLevel, description: str, limited_as: Attempt | None) -> Any:
    """Access comes first, though Strawberry takes the last one as the outermost."""
    charged, access = [Charged(limited_as)] if limited_as else [], Access(level)
    words = " ".join((description, access.words, *(each.words for each in charged)))
    return strawberry.field(description=words, extensions=[*charged, access])
