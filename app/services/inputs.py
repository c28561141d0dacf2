"""What people type, checked by Pydantic models: normalised, or one issue for each fault."""

import re
import unicodedata
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar, cast

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from app.security import password_hashes, passwords
from app.services.outcomes import InputIssue, InputIssueCode

MAX_EMAIL_BYTES = 254  # RFC 5321 4.5.3.1.3, less the angle brackets
MAX_NAME_CHARACTERS = 100
MAX_REASON_CHARACTERS = 500
# Longer than any address or name can be in characters: beyond it, nothing looks at the text.
MAX_LOOKED_AT = 1000
MAX_EXTERNAL_ID_CHARACTERS = 255
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A number is a time in seconds or in milliseconds: both run from 1973 to 5138, and do not overlap.
LEAST_SECONDS = 10**8
LEAST_MILLISECONDS = 10**11
MOST_MILLISECONDS = 10**14
NUMBER = re.compile(r"\d{9,14}(\.\d{1,9})?", re.ASCII)
UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
NO_UUIDS = (uuid.UUID(int=0), uuid.UUID(int=(1 << 128) - 1))

Model = TypeVar("Model", bound=BaseModel)


def email_address(text: str) -> str:
    """Write an address in the one form under which it is stored: NFC, IDNA as Unicode, lower case.

    Raises:
        PydanticCustomError: it is missing, too long or no address.

    """
    if not text.strip():
        raise _fault(InputIssueCode.REQUIRED, "Enter an e-mail address.")
    if len(text.encode(errors="replace")) > MAX_EMAIL_BYTES:
        raise _fault(
            InputIssueCode.TOO_LONG, f"An e-mail address has at most {MAX_EMAIL_BYTES} bytes."
        )
    try:
        address = validate_email(
            text.strip(), check_deliverability=False, test_environment=True, strict=True
        )
        normalised = unicodedata.normalize("NFC", address.normalized.lower())
    except (EmailNotValidError, UnicodeError):
        raise _fault(InputIssueCode.INVALID_FORMAT, "This is not an e-mail address.") from None
    if len(normalised.encode()) > MAX_EMAIL_BYTES:
        raise _fault(
            InputIssueCode.TOO_LONG, f"An e-mail address has at most {MAX_EMAIL_BYTES} bytes."
        )
    return normalised


def known_form(text: str) -> str | None:
    """Write an address as it would be stored; None where nothing of the kind can be stored."""
    try:
        return email_address(text)
    except PydanticCustomError:
        return None


def account_name(text: str) -> str:
    """Returns what an address stands for in budgets, also where it cannot be stored."""
    return known_form(text) or text[:MAX_EMAIL_BYTES]


def new_password(text: str, info: ValidationInfo) -> str:
    """Bound and compose a password. Any characters will do (NIST SP 800-63B 3.1.1.2)."""
    context = cast("dict[str, int]", info.context or {})
    shortest = context.get("password_min_length", 1)
    if not text:
        raise _fault(InputIssueCode.REQUIRED, "Enter a password.")
    if len(text) > passwords.MAX_CHARACTERS:
        raise _fault(
            InputIssueCode.TOO_LONG,
            f"A password has at most {passwords.MAX_CHARACTERS} characters.",
        )
    if not passwords.is_storable(text):
        raise _fault(InputIssueCode.INVALID_FORMAT, "A password cannot contain this character.")
    composed = passwords.normalised(text)
    if len(composed) > passwords.MAX_CHARACTERS:
        raise _fault(
            InputIssueCode.TOO_LONG,
            f"A password has at most {passwords.MAX_CHARACTERS} characters.",
        )
    if len(composed) < shortest:
        raise _fault(InputIssueCode.TOO_SHORT, f"Use at least {shortest} characters.")
    return composed


def known_reason(text: str) -> str | None:
    """Trim and compose a reason; None for what cannot stand as one."""
    composed = unicodedata.normalize("NFC", text[:MAX_LOOKED_AT]).strip()
    shown = all(unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Co"} for each in composed)
    return composed if shown and 0 < len(composed) <= MAX_REASON_CHARACTERS else None


def display_name(text: str) -> str:
    """Trim and compose a name; no controls, no invisible or direction-changing characters."""
    if len(text) > MAX_LOOKED_AT:
        raise _fault(
            InputIssueCode.TOO_LONG, f"A name has at most {MAX_NAME_CHARACTERS} characters."
        )
    if any(
        unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        for character in text
    ):
        raise _fault(InputIssueCode.INVALID_FORMAT, "A name cannot contain control characters.")
    composed = unicodedata.normalize("NFC", text).strip()
    if not composed:
        raise _fault(InputIssueCode.TOO_SHORT, "Enter a name, or leave it out.")
    if len(composed) > MAX_NAME_CHARACTERS:
        raise _fault(
            InputIssueCode.TOO_LONG, f"A name has at most {MAX_NAME_CHARACTERS} characters."
        )
    return composed


def password_hash(text: str) -> str:
    """Take over a hash of another system."""
    try:
        return password_hashes.taken_over(text)
    except password_hashes.Refused as why:
        raise _fault(InputIssueCode.INVALID_FORMAT, f"This hash {why}.") from None


def user_id(value: object) -> uuid.UUID:
    """Read a UUID (RFC 9562, section 4); the nil UUID and the max UUID stand for no one."""
    if not isinstance(value, str) or not UUID_TEXT.fullmatch(value):
        raise _fault(
            InputIssueCode.INVALID_FORMAT,
            "Write a UUID, such as 0190163d-8694-739b-aea5-966c26f8ad91.",
        )
    read = uuid.UUID(value)
    if read in NO_UUIDS:
        raise _fault(InputIssueCode.INVALID_FORMAT, "This UUID stands for no one.")
    return read


def is_external_id(text: str) -> bool:
    """Whether it can be stored as what another system calls a user."""
    controls = any(unicodedata.category(each) in {"Cc", "Cs"} for each in text[:MAX_LOOKED_AT])
    return 0 < len(text) <= MAX_EXTERNAL_ID_CHARACTERS and not controls


def external_id(text: str) -> str:
    """Keep what another system calls a user; it is that system's, so nothing is trimmed."""
    if not is_external_id(text):
        raise _fault(
            InputIssueCode.INVALID_FORMAT,
            f"An external id has 1 to {MAX_EXTERNAL_ID_CHARACTERS} characters, and no controls.",
        )
    return text


def moment(value: object) -> datetime:
    """Read a time: RFC 3339, or seconds or milliseconds since 1970, as a number or as digits.

    A time without an offset means another moment to everybody, so it is refused.
    """
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return _since_epoch(float(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _since_epoch(value)
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise _fault(
            InputIssueCode.INVALID_FORMAT,
            "Write a time with its offset, such as 2024-05-01T12:00:00Z.",
        )
    try:
        return read.astimezone(UTC)
    except OverflowError:
        raise _fault(InputIssueCode.INVALID_FORMAT, "There is no such time.") from None


def _since_epoch(number: float) -> datetime:
    if LEAST_SECONDS <= number < LEAST_MILLISECONDS:
        return EPOCH + timedelta(seconds=number)
    if LEAST_MILLISECONDS <= number < MOST_MILLISECONDS:
        return EPOCH + timedelta(milliseconds=number)
    raise _fault(
        InputIssueCode.INVALID_FORMAT,
        "A number is a time in seconds or milliseconds since 1970, and not before March 1973.",
    )


def past_moment(value: datetime, info: ValidationInfo) -> datetime:
    """Keep to times from which an id can be made: the epoch to now."""
    now = cast("dict[str, datetime]", info.context)["now"]
    if not EPOCH <= value <= now:
        raise _fault(InputIssueCode.INVALID_FORMAT, "This is before 1970, or in the future.")
    return value


def reason(text: str) -> str:
    known = known_reason(text)
    if known is None:
        raise _fault(
            InputIssueCode.INVALID_FORMAT,
            f"A reason has 1 to {MAX_REASON_CHARACTERS} characters, and no controls.",
        )
    return known


EmailAddress = Annotated[str, AfterValidator(email_address)]
NewPassword = Annotated[str, AfterValidator(new_password), Field(repr=False)]
DisplayName = Annotated[str, AfterValidator(display_name)]
PasswordHash = Annotated[str, AfterValidator(password_hash)]
UserId = Annotated[uuid.UUID, PlainValidator(user_id)]
ExternalId = Annotated[str, AfterValidator(external_id)]
Moment = Annotated[datetime, PlainValidator(moment)]
PastMoment = Annotated[Moment, AfterValidator(past_moment)]
Reason = Annotated[str, AfterValidator(reason)]


class Input(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, alias_generator=to_camel)


class Registration(Input):
    email: EmailAddress
    password: NewPassword
    display_name: DisplayName | None = None


class NewAddress(Input):
    new_email: EmailAddress


class Invitee(Input):
    email: EmailAddress
    display_name: DisplayName | None = None


class Imported(Input):
    """Whatever may be left out may be null or an empty text too."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_empty(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        given = cast("dict[str, Any]", values)
        needed = {to_camel(name) for name, each in cls.model_fields.items() if each.is_required()}
        return {
            name: each
            for name, each in given.items()
            if each is not None and (each != "" or name in needed)
        }


class ImportedSuspension(Imported):
    reason: Reason
    until: Moment | None = None


class ImportedUser(Imported):
    """One line of an import, as `portico users export` writes it."""

    id: UserId | None = None
    external_id: ExternalId | None = None
    email: EmailAddress
    display_name: DisplayName | None = None
    role: Literal["MEMBER", "ADMIN"] = "MEMBER"
    email_verified: bool = False
    created_at: PastMoment | None = None
    last_login_at: PastMoment | None = None
    suspension: ImportedSuspension | None = None
    password_hash: PasswordHash | None = Field(default=None, repr=False)


class ChosenPassword(Input):
    new_password: NewPassword


class Profile(Input):
    display_name: DisplayName | None = None


def check(
    model: type[Model], values: dict[str, Any], **context: Any
) -> Model | tuple[InputIssue, ...]:
    """Make a model of plain values, or say everything that is wrong with them."""
    try:
        return model.model_validate(values, context=context)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        return tuple(_issue(detail["type"], detail["loc"], detail["msg"]) for detail in details)


def _issue(kind: str, location: tuple[int | str, ...], message: str) -> InputIssue:
    known = kind in InputIssueCode.__members__
    code = InputIssueCode[kind] if known else InputIssueCode.INVALID_FORMAT
    return InputIssue(tuple(str(step) for step in location), code, message)


def _fault(code: InputIssueCode, message: str) -> PydanticCustomError:
    # Braces would be read as a template by the library.
    return PydanticCustomError(code.value, "{message}", {"message": message})
