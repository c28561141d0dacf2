"""The fields of a line in a file of users: how each is read and written, and its columns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from app.database.identifiers import new_id
from app.users.models import UserRow
from app.users.services.inputs import (
    DateTime,
    EmailAddress,
    ExternalId,
    Input,
    OptionalName,
    PasswordHash,
    PastDateTime,
    Reason,
    UserId,
)

ZEROS = frozenset({"0", "0.0"})


class Exported(NamedTuple):
    """A user to write to a file at a time; without a hash if hashes are not exported."""

    user: UserRow
    password_hash: str | None
    now: datetime


# Returns what an import at this time stores in a column.
Fill = Callable[["ImportedUser", datetime], Any]
Write = Callable[[Exported], Any]


@dataclass(frozen=True, slots=True)
class LineField:
    """How a field is written to a file, and what is stored in its columns."""

    write: Write
    columns: Mapping[str, Fill]
    # Whether it is left out of a line, rather than null, if it has no value.
    is_left_out: bool = False


@dataclass(frozen=True, slots=True)
class NotInFile:
    """A column that is not in files, and why; without `fill`, an import uses its default."""

    reason: str
    fill: Fill | None = None


class Imported(Input):
    """Optional fields may also be null or an empty text."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_empty(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        fields = cast("dict[str, Any]", values)
        needed = {to_camel(name) for name, each in cls.model_fields.items() if each.is_required()}
        return {
            name: each
            for name, each in fields.items()
            if each is not None and (each != "" or name in needed)
        }


class ImportedSuspension(Imported):
    reason: Reason
    until: DateTime | None = None


def _stored_id(user: "ImportedUser", now: datetime) -> Any:
    return user.id or new_id(_created_at(user, now))


def _written_id(exported: Exported) -> str:
    # orjson does not support the UUID class of the driver.
    return str(exported.user.id)


def _created_at(user: "ImportedUser", now: datetime) -> datetime:
    return user.created_at or now


def _suspension(user: "ImportedUser", now: datetime) -> ImportedSuspension | None:
    """Returns a suspension that has not ended yet."""
    suspension = user.suspension
    ended = suspension and suspension.until and suspension.until <= now
    return None if ended else suspension


def _suspended_at(user: "ImportedUser", now: datetime) -> datetime | None:
    return now if _suspension(user, now) else None


def _suspended_until(user: "ImportedUser", now: datetime) -> datetime | None:
    suspension = _suspension(user, now)
    return suspension.until if suspension else None


def _suspension_reason(user: "ImportedUser", now: datetime) -> str | None:
    suspension = _suspension(user, now)
    return suspension.reason if suspension else None


def _written_suspension(exported: Exported) -> dict[str, Any] | None:
    user = exported.user
    if user.is_active(exported.now):
        return None
    return {"reason": user.suspension_reason, "until": user.suspended_until}


def _attribute(name: str, user: "ImportedUser", _now: datetime) -> Any:
    return getattr(user, name)


def _time_of_import(_user: "ImportedUser", now: datetime) -> datetime:
    return now


ID = LineField(_written_id, {"id": _stored_id})
CREATED_AT = LineField(attrgetter("user.created_at"), {"created_at": _created_at})
SUSPENSION = LineField(
    _written_suspension,
    {
        "suspended_at": _suspended_at,
        "suspended_until": _suspended_until,
        "suspension_reason": _suspension_reason,
    },
    is_left_out=True,
)
PASSWORD_HASH = LineField(
    attrgetter("password_hash"),
    {"password_hash": partial(_attribute, "password_hash")},
    is_left_out=True,
)


class ImportedUser(Imported):
    """A line. A field without a `LineField` is stored in the column of the same name."""

    id: Annotated[UserId | None, ID] = Field(
        default=None, description="a UUID: the id of the user, and the `sub` of their tokens"
    )
    external_id: ExternalId | None = Field(
        default=None,
        description="the id of the user in another system: up to 255 characters, unique",
    )
    email: EmailAddress = Field(description="the email address, the only required field")
    display_name: OptionalName = Field(default=None, description="up to 100 characters")
    role: Literal["MEMBER", "ADMIN"] = Field(
        default="MEMBER", description="`MEMBER` (the default) or `ADMIN`"
    )
    email_verified: bool = Field(
        default=False, description="whether the user has verified the address"
    )
    created_at: Annotated[PastDateTime | None, CREATED_AT] = Field(
        default=None, description="when the user registered, by default the time of the import"
    )
    last_login_at: PastDateTime | None = Field(
        default=None, description="when the user last signed in"
    )
    suspension: Annotated[ImportedSuspension | None, SUSPENSION] = Field(
        default=None, description="its `reason`, and `until` when, if it has an end"
    )
    password_hash: Annotated[PasswordHash | None, PASSWORD_HASH] = Field(
        default=None, repr=False, description="see [password hashes](password-hashes.md)"
    )

    @field_validator("created_at", "last_login_at", mode="before")
    @classmethod
    def _take_zero_as_unknown(cls, value: Any) -> Any:
        """Returns None for 0, which old systems write for an unknown time."""
        return None if str(value) in ZEROS else value


def _declared(name: str) -> LineField:
    metadata = ImportedUser.model_fields[name].metadata
    plain = LineField(attrgetter(f"user.{name}"), {name: partial(_attribute, name)})
    return next((each for each in metadata if isinstance(each, LineField)), plain)


# By their names in a file, in the order in which they are written.
FIELDS: Mapping[str, LineField] = {
    to_camel(name): _declared(name) for name in ImportedUser.model_fields
}
NOT_IN_FILE: Mapping[str, NotInFile] = {
    "updated_at": NotInFile("the time of the import", fill=_time_of_import),
    "open_to_registration": NotInFile("an imported address cannot be registered again"),
    "device_generation": NotInFile("device tokens of another server are not valid here"),
}
# What an import stores in each column of `users`.
FILLS: Mapping[str, Fill] = {
    **{column: fill for field in FIELDS.values() for column, fill in field.columns.items()},
    **{column: each.fill for column, each in NOT_IN_FILE.items() if each.fill is not None},
}
