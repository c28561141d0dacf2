"""What of second factors is in the copy of a user's data: that they exist."""

import json

from app.testing.clients import Api
from tests.support.authenticator import Enrolled

EXPORT = """
mutation ($password: String!) { exportPersonalData(input: {password: $password}) {
  ... on PersonalData { document }
} }
"""


async def test_a_copy_says_that_there_are_factors_and_codes_and_has_no_secret(
    api: Api, enrolled: Enrolled
) -> None:
    token = await enrolled.challenge(api)
    session = enrolled.session

    data = await session(EXPORT, password=enrolled.person.password)

    document = data["exportPersonalData"]["document"]
    [factor], [challenge], [codes] = (
        document[name] for name in ("factors", "challenges", "recoveryCodes")
    )
    assert factor.keys() == {"id", "kind", "createdAt", "lastUsedAt"}
    assert factor["kind"] == "TOTP"
    assert challenge.keys() == {"methods", "createdAt", "expiresAt", "usedAt"}
    assert codes.keys() == {"createdAt"}
    secrets = [enrolled.app.secret, token, *enrolled.codes]
    assert [secret for secret in secrets if secret in json.dumps(document)] == []
