"""Access to root fields: one object enforces it and prints it into the schema, as `@access`."""

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


SENTENCES = {
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
    """Checks who is calling a root field, and raises a refusal if they may not use it.

    The session is read again for each guarded field: the mutations of one request run one after
    the other, and a session that the first one ends must not be accepted by the second.
    """

    def __init__(self, level: AccessLevel) -> None:
        self.level = level

    @property
    def words(self) -> str:
        """The sentence in the description of the field: introspection shows no directives."""
        return SENTENCES[self.level]

    def apply(self, field: StrawberryField) -> None:
        # Called once for each schema that is built with the field.
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
        if self.level is AccessLevel.MEMBER:
            await context.identify_member()
        elif self.level is AccessLevel.ADMIN:
            await context.identify_admin()


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
    """Access is checked first: Strawberry runs the last extension first."""
    charged, access = [Charged(limited_as)] if limited_as else [], Access(level)
    text = " ".join((description, access.words, *(each.words for each in charged)))
    return strawberry.field(description=text, extensions=[*charged, access])
