"""What this module brings to the schema."""

from app.factors.schema.challenges import ChallengeMutations
from app.factors.schema.enrollment import EnrollmentMutations
from app.factors.schema.passkey_sign_in import PasskeySignInMutations
from app.factors.schema.passkeys import PasskeyMutations
from app.factors.schema.step_up import StepUpMutations
from app.factors.schema.types import (
    Passkey,
    TotpFactor,
    UserFactors,
    passkey_by_id,
    totp_factor_by_id,
)
from app.graphql.schema_part import SchemaPart
from app.users.schema import User

SCHEMA = SchemaPart(
    mutations=(
        ChallengeMutations,
        EnrollmentMutations,
        StepUpMutations,
        PasskeyMutations,
        PasskeySignInMutations,
    ),
    types=(TotpFactor, Passkey),
    fields={User: UserFactors},
    nodes={TotpFactor.__name__: totp_factor_by_id, Passkey.__name__: passkey_by_id},
)
