"""What of second factors is in the copy of a user's data: that they exist."""

import json

from app.testing.clients import Api, Person
from tests.support import passkeys
from tests.support.authenticator import Enrolled
from tests.support.passkeys import SoftwareAuthenticator, encode

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


async def test_a_copy_says_what_a_passkey_is_called_and_has_no_id_of_it(
    owner: Api, ada: Person
) -> None:
    device = SoftwareAuthenticator()
    added = await passkeys.register(owner, device, name="Ada's key")

    data = await owner(EXPORT, password=ada.password)

    document = data["exportPersonalData"]["document"]
    [passkey], [user] = document["passkeys"], document["passkeyUsers"]
    assert passkey == {
        "factorId": passkey["factorId"],
        "name": "Ada's key",
        "aaguid": "00000000-0000-0000-0000-000000000000",
        "isBackupEligible": True,
        "isBackedUp": True,
        "transports": ["hybrid", "internal"],
        "rpId": "localhost",
        "needsPassword": False,
    }
    assert user.keys() == {"createdAt"}
    credential = device.credentials[0]
    secrets = [*map(encode, (credential.id, credential.user_handle)), *added["recoveryCodes"]]
    assert [secret for secret in secrets if secret in json.dumps(document)] == []
