"""Input models (Pydantic): they normalise what people type, or return an issue per error."""

import re
import unicodedata
import uuid
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar, cast

from email_validator import EmailNotValidError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from app.outcomes import InputIssue, InputIssueCode
from app.security import passwords
from app.security.password_hashes.formats import read
from app.security.password_hashes.preparations import normalised
from app.security.password_hashes.refusals import UnusableHash
from app.text import email_addresses, text_lines

MAX_EMAIL_BYTES = 254  # RFC 5321 4.5.3.1.3, less the angle brackets
# Characters are code points of Unicode, as PostgreSQL counts them: an emoji may be several.
MAX_NAME_CHARACTERS = 100
MAX_REASON_CHARACTERS = 500
MAX_SUSPENSION = timedelta(days=36_500)
# More characters than any address, name or reason has: longer texts are refused unread.
MAX_READ_CHARACTERS = 1000
MAX_EXTERNAL_ID_CHARACTERS = 255
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A number is a time in seconds or in milliseconds: both ranges go from 1973 to 5138, and they do
# not overlap.
LEAST_SECONDS = 10**8
LEAST_MILLISECONDS = 10**11
MOST_MILLISECONDS = 10**14
NUMBER = re.compile(r"\d{9,14}(\.\d{1,9})?", re.ASCII)
UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
NO_UUIDS = (uuid.UUID(int=0), uuid.UUID(int=(1 << 128) - 1))

Model = TypeVar("Model", bound=BaseModel)


def email_address(text: str, info: ValidationInfo) -> str:
    """Returns an address in the normalised form in which it is stored.

    Of special-use domains, those in `email_domains` of the context are accepted, with all domains
    below them.

    Raises:
        PydanticCustomError: it is missing, too long, invalid, or of another special-use domain.

    """
    domains = cast("dict[str, Collection[str]]", info.context or {}).get("email_domains", ())
    address = _address(text)
    if not (address.is_public or address.is_within(domains)):
        raise _error(
            InputIssueCode.INVALID_FORMAT, "Email addresses of this domain are not accepted."
        )
    return address.normalised


def normalised_address(text: str) -> str | None:
    """Returns an address as it would be stored; None if it is invalid.

    Of any domain: users keep their accounts if the accepted domains change.
    """
    try:
        return _address(text).normalised
    except PydanticCustomError:
        return None


def account_key(text: str) -> str:
    """Returns the key of an address in budgets, also if it is invalid."""
    return normalised_address(text) or text[:MAX_EMAIL_BYTES]


def new_password(text: str, info: ValidationInfo) -> str:
    """Check the length of a password, and compose it. It may have any characters.

    NIST SP 800-63B 3.1.1.2.
    """
    context = cast("dict[str, int]", info.context or {})
    shortest = context.get("password_min_length", 1)
    if not text:
        raise _error(InputIssueCode.REQUIRED, "Enter a password.")
    if len(text) > passwords.MAX_CHARACTERS:
        raise _too_long("A password", passwords.MAX_CHARACTERS)
    if not passwords.is_storable(text):
        raise _error(InputIssueCode.INVALID_FORMAT, "A password cannot contain this character.")
    composed = normalised(text)
    if len(composed) > passwords.MAX_CHARACTERS:
        raise _too_long("A password", passwords.MAX_CHARACTERS)
    if len(composed) < shortest:
        raise _error(InputIssueCode.TOO_SHORT, f"Use at least {shortest} characters.", shortest)
    return composed


def optional_name(text: str | None) -> str | None:
    """Read an optional name. An empty one, as forms send it, counts as none."""
    return None if text is None or not text.strip() else _line(text, "A name", MAX_NAME_CHARACTERS)


def reason(text: str) -> str:
    if not text.strip():
        raise _error(InputIssueCode.REQUIRED, "Enter a reason.")
    return _line(text, "A reason", MAX_REASON_CHARACTERS)


def line(what: str, most: int) -> Callable[[str], str]:
    """Returns a validator for one line of text, such as a title, that must not be empty."""

    def read_line(text: str) -> str:
        if not text.strip():
            raise _error(InputIssueCode.REQUIRED, f"{what} must not be empty.")
        return _line(text, what, most)

    return read_line


def paragraphs(what: str, most: int) -> Callable[[str], str]:
    """Returns a validator for text of any number of lines, also none."""

    def read_paragraphs(text: str) -> str:
        if len(text) > most:
            raise _too_long(what, most)
        if not passwords.is_storable(text):
            message = f"{what} has a character that cannot be stored."
            raise _error(InputIssueCode.INVALID_FORMAT, message)
        return text

    return read_paragraphs


def password_hash(text: str) -> str:
    """Accept a hash of another system if a sign-in can verify it."""
    try:
        read(text)
    except UnusableHash as why:
        raise _error(InputIssueCode.INVALID_FORMAT, f"This hash {why}.") from None
    return text


def user_id(value: object) -> uuid.UUID:
    """Read a UUID (RFC 9562, section 4), except for the nil UUID and the max UUID."""
    if not isinstance(value, str) or not UUID_TEXT.fullmatch(value):
        raise _error(
            InputIssueCode.INVALID_FORMAT,
            "Write a UUID, such as 0190163d-8694-739b-aea5-966c26f8ad91.",
        )
    read = uuid.UUID(value)
    if read in NO_UUIDS:
        raise _error(InputIssueCode.INVALID_FORMAT, "This UUID is reserved.")
    return read


def is_external_id(text: str) -> bool:
    """Whether a text can be stored as the id of a user in another system."""
    controls = any(
        unicodedata.category(each) in {"Cc", "Cs"} for each in text[:MAX_READ_CHARACTERS]
    )
    return 0 < len(text) <= MAX_EXTERNAL_ID_CHARACTERS and not controls


def external_id(text: str) -> str:
    """Accept the id of a user in another system, unchanged."""
    if not is_external_id(text):
        raise _error(
            InputIssueCode.INVALID_FORMAT,
            f"An external id has 1 to {MAX_EXTERNAL_ID_CHARACTERS} characters, no control "
            "characters.",
        )
    return text


def date_time(value: object) -> datetime:
    """Read a time: RFC 3339, or seconds or milliseconds since 1970, as a number or as digits.

    A time without an offset is ambiguous, so it is refused.
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
        raise _error(
            InputIssueCode.INVALID_FORMAT,
            "Write a time with its offset, such as 2024-05-01T12:00:00Z.",
        )
    try:
        return read.astimezone(UTC)
    except OverflowError:
        raise _error(InputIssueCode.INVALID_FORMAT, "This time is out of range.") from None


def _since_epoch(number: float) -> datetime:
    if LEAST_SECONDS <= number < LEAST_MILLISECONDS:
        return EPOCH + timedelta(seconds=number)
    if LEAST_MILLISECONDS <= number < MOST_MILLISECONDS:
        return EPOCH + timedelta(milliseconds=number)
    raise _error(
        InputIssueCode.INVALID_FORMAT,
        "A number must be a time in seconds or milliseconds since 1970, and not before March 1973.",
    )


def past_date_time(value: datetime, info: ValidationInfo) -> datetime:
    """Accept times from 1970 to now: ids are made from them."""
    now = cast("dict[str, datetime]", info.context)["now"]
    if not EPOCH <= value <= now:
        raise _error(InputIssueCode.INVALID_FORMAT, "This is before 1970, or in the future.")
    return value


def suspension_end(value: datetime, info: ValidationInfo) -> datetime:
    """Accept an end that is in the future, and at most 100 years away."""
    now = cast("dict[str, datetime]", info.context)["now"]
    if value <= now:
        raise _error(InputIssueCode.INVALID_FORMAT, "This end has passed. Choose a later one.")
    if value - now > MAX_SUSPENSION:
        raise _error(
            InputIssueCode.INVALID_FORMAT,
            "This end is more than 100 years away. Omit it for a suspension without an end.",
        )
    return value


EmailAddress = Annotated[str, AfterValidator(email_address)]
NewPassword = Annotated[str, AfterValidator(new_password), Field(repr=False)]
OptionalName = Annotated[str | None, AfterValidator(optional_name)]
PasswordHash = Annotated[str, AfterValidator(password_hash)]
UserId = Annotated[uuid.UUID, PlainValidator(user_id)]
ExternalId = Annotated[str, AfterValidator(external_id)]
DateTime = Annotated[datetime, PlainValidator(date_time)]
PastDateTime = Annotated[DateTime, AfterValidator(past_date_time)]
Reason = Annotated[str, AfterValidator(reason)]
SuspensionEnd = Annotated[datetime, AfterValidator(suspension_end)]


class Input(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, alias_generator=to_camel)


class Registration(Input):
    email: EmailAddress
    password: NewPassword
    display_name: OptionalName = None


class NewAddress(Input):
    new_email: EmailAddress


class Invitee(Input):
    email: EmailAddress
    display_name: OptionalName = None


class NewSuspension(Input):
    reason: Reason
    until: SuspensionEnd | None = None


class FactorReset(Input):
    reason: Reason


class ChosenPassword(Input):
    new_password: NewPassword


class PasskeyName(Input):
    name: Annotated[str, AfterValidator(line("A name", MAX_NAME_CHARACTERS))]


class Profile(Input):
    display_name: OptionalName = None


def check(
    model: type[Model], values: dict[str, Any], **context: Any
) -> Model | tuple[InputIssue, ...]:
    """Returns the validated model, or everything that is invalid."""
    try:
        return model.model_validate(values, context=context)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return tuple(
            _issue(detail["type"], detail["loc"], detail["msg"], detail.get("ctx", {}).get("limit"))
            for detail in details
        )


def _address(text: str) -> email_addresses.EmailAddress:
    """Read an address of any domain."""
    if not text.strip():
        raise _error(InputIssueCode.REQUIRED, "Enter an email address.")
    if len(text.encode(errors="replace")) > MAX_EMAIL_BYTES:
        raise _too_long_address()
    try:
        address = email_addresses.parse(text.strip())
    except (EmailNotValidError, UnicodeError):
        raise _error(InputIssueCode.INVALID_FORMAT, "This is not an email address.") from None
    if len(address.normalised.encode()) > MAX_EMAIL_BYTES:
        raise _too_long_address()
    return address


def _line(text: str, what: str, most: int) -> str:
    """Read one line of text."""
    if len(text) > MAX_READ_CHARACTERS:
        raise _too_long(what, most)
    line = text_lines.normalised(text)
    if not text_lines.is_line(line):
        raise _error(
            InputIssueCode.INVALID_FORMAT,
            f"{what} must be one line without invisible characters, such as zero-width spaces and "
            "those that change the direction of text.",
        )
    if len(line) > most:
        raise _too_long(what, most)
    return line


def _issue(
    kind: str, location: tuple[int | str, ...], message: str, limit: int | None
) -> InputIssue:
    known = kind in InputIssueCode.__members__
    code = InputIssueCode[kind] if known else InputIssueCode.INVALID_FORMAT
    return InputIssue(
        tuple(str(step) for step in location), code, message, limit if known else None
    )


def _too_long(what: str, most: int) -> PydanticCustomError:
    return _error(InputIssueCode.TOO_LONG, f"{what} has at most {most} characters.", most)


def _too_long_address() -> PydanticCustomError:
    message = f"An email address has at most {MAX_EMAIL_BYTES} bytes."
    return _error(InputIssueCode.TOO_LONG, message, MAX_EMAIL_BYTES)


def _error(code: InputIssueCode, message: str, limit: int | None = None) -> PydanticCustomError:
    # Pydantic would read braces in the message as a template.
    return PydanticCustomError(code.value, "{message}", {"message": message, "limit": limit})
