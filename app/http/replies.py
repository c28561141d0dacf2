"""Status codes and media types of answers: GraphQL over HTTP, September 2026, 5.1 and 5.4."""

from typing import Any, NamedTuple

from app.engine.engine import RequestError
from app.engine.errors import refusal
from app.errors import Code, Overloaded, Unavailable, coded
from app.http.negotiation import GRAPHQL_JSON, JSON
from app.http.refusals import HttpRefusal

OK = 200
# "Partial Success". The specification defines it beside its own media type only (6.1).
PARTIAL = 294
BAD_REQUEST = 400
UNPROCESSABLE = 422
UNAVAILABLE = 503

Fields = tuple[tuple[bytes, bytes], ...]
STEP_UP = (
    'Bearer error="insufficient_user_authentication", '
    'error_description="Confirm that it is you", max_age="{}"'
)


class Reply(NamedTuple):
    status: int
    answer: dict[str, Any]
    headers: Fields = ()

    def with_header(self, header: tuple[bytes, bytes]) -> "Reply":
        return self._replace(headers=(*self.headers, header))

    def for_client(self, accepted: str | None) -> tuple[int, str]:
        """Returns the status code and the media type for a client, by the type it accepts.

        A client that does not know the media type of GraphQL can rely on an `application/json`
        body only where the status is 200: whatever else it gets names the type of GraphQL.
        """
        if accepted != JSON:
            return self.status, GRAPHQL_JSON
        if self.status in {OK, PARTIAL}:
            return OK, JSON
        return self.status, GRAPHQL_JSON


def executed(answer: dict[str, Any], *, in_parts: bool) -> Reply:
    """Reply to an operation that was executed, `in_parts` if a part of it may have been done."""
    if "errors" not in answer:
        return Reply(OK, answer)
    if not in_parts and _is_outage(answer):
        return _unavailable(answer["errors"])
    return Reply(PARTIAL, answer, _step_up_challenge(answer))


def not_executed(refused: RequestError) -> Reply:
    """Reply to a request whose document, operation or variables are invalid."""
    is_unparsable = refused.code is Code.PARSE_FAILED
    status = BAD_REQUEST if is_unparsable else UNPROCESSABLE
    return Reply(status, {"errors": refused.errors})


def try_later(reason: Overloaded | Unavailable) -> Reply:
    """Reply that nothing was done, and after how many seconds to try again."""
    headers = _retry_after(reason.retry_after_seconds)
    return Reply(UNAVAILABLE, {"errors": [refusal(reason, None)]}, headers)


def refused(error: HttpRefusal) -> Reply:
    return Reply(error.status, {"errors": [coded(error.message, error.code)]}, error.headers)


def _step_up_challenge(answer: dict[str, Any]) -> Fields:
    """Returns the challenge of RFC 9470, 3, if a proof that is too old is why nothing was done.

    For gateways and HTTP clients; the entries of `errors` say the same to clients of GraphQL.
    """
    if _codes_of_nothing(answer) != {Code.STEP_UP_REQUIRED}:
        return ()
    seconds = min(each["extensions"]["maxAge"] for each in answer["errors"])
    return ((b"www-authenticate", STEP_UP.format(seconds).encode()),)


def _is_outage(answer: dict[str, Any]) -> bool:
    """Whether no field could be answered, each because the database is unavailable."""
    return _codes_of_nothing(answer) == {Code.SERVICE_UNAVAILABLE}


def _codes_of_nothing(answer: dict[str, Any]) -> set[str]:
    """Returns the codes of the errors of an answer in which all fields are null; none otherwise."""
    data: dict[str, Any] = answer["data"] or {}
    if any(value is not None for value in data.values()):
        return set()
    return {each["extensions"]["code"] for each in answer["errors"]}


def _unavailable(errors: list[dict[str, Any]]) -> Reply:
    """Reply without `data`, which allows only 2xx, and so without paths into it."""
    distinct: list[dict[str, Any]] = []
    for error in errors:
        entry = {"message": error["message"], "extensions": error["extensions"]}
        if entry not in distinct:
            distinct.append(entry)
    delays = [entry["extensions"].get("retryAfter") for entry in distinct]
    # No Retry-After if a mutation may have been done: clients must not repeat it unchecked.
    headers = () if None in delays else _retry_after(max(delays))
    return Reply(UNAVAILABLE, {"errors": distinct}, headers)


def _retry_after(seconds: int) -> Fields:
    return ((b"retry-after", str(seconds).encode()),)
