"""Signs in and reads through the generated client alone.

PORTICO_URL, PORTICO_EMAIL and PORTICO_PASSWORD name a running server and an administrator of it.
"""

import asyncio
import os
from datetime import UTC, datetime
from typing import assert_never

from portico_client import (
    Client,
    DateTimeRange,
    Login,
    LoginInput,
    LoginLoginChallengeRequired,
    LoginLoginEmailNotVerified,
    LoginLoginInvalidCredentials,
    LoginLoginRateLimited,
    LoginLoginSignedIn,
    OrderDirection,
    UserBy,
    UserFilter,
    UserOrder,
)


def access_token(result: Login) -> str:
    outcome = result.login
    match outcome:
        case LoginLoginSignedIn():
            return outcome.tokens.access_token
        case LoginLoginChallengeRequired():
            raise SystemExit(f"One of {', '.join(outcome.challenge.methods)} is needed, too.")
        case LoginLoginInvalidCredentials() | LoginLoginEmailNotVerified():
            raise SystemExit(outcome.message)
        case LoginLoginRateLimited():
            raise SystemExit(f"{outcome.message} ({outcome.retry_after} s)")
        case _:
            assert_never(outcome)


async def main(url: str, email: str, password: str) -> None:
    async with Client(url) as guest:
        token = access_token(await guest.login(LoginInput(email=email, password=password)))
    async with Client(url, {"Authorization": f"Bearer {token}"}) as client:
        me = (await client.me()).me
        same = (await client.one_person(UserBy(email=email))).user
        matches = UserFilter(search=email, created_at=DateTimeRange(before=datetime.now(UTC)))
        newest = UserOrder(direction=OrderDirection.DESC)
        people = (await client.people(filter_=matches, order_by=newest)).users
    if me is None or people is None:
        raise SystemExit("Signed in, and yet a guest.")
    if same != me or me not in people.nodes:
        raise SystemExit("One person, in different shapes.")
    print(f"{me.email} is {me.role.value} since {me.created_at:%d %B %Y}")


asyncio.run(
    main(
        f"{os.environ['PORTICO_URL']}/graphql",
        os.environ["PORTICO_EMAIL"],
        os.environ["PORTICO_PASSWORD"],
    )
)
