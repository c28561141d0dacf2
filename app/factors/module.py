"""What the module `factors` brings."""

from app.factors import limits
from app.factors.emails import EMAILS
from app.factors.events import FactorEvent
from app.factors.services.added_factors import AddedFactors
from app.factors.services.answers import Answers
from app.factors.services.challenge_answers import ChallengeAnswers
from app.factors.services.enrollment import TotpEnrollments
from app.factors.services.factor_secrets import FactorSecrets
from app.factors.services.factors import Factors
from app.factors.services.passkey_proofs import PasskeyProofs
from app.factors.services.passkey_registration import PasskeyRegistration
from app.factors.services.passkey_requests import PasskeyRequests
from app.factors.services.passkey_sign_in import PasskeySignIn
from app.factors.services.passkey_users import PasskeyUsers
from app.factors.services.passkeys import Passkeys
from app.factors.services.recovery import Recovery
from app.factors.services.registered_domains import RegisteredDomains
from app.factors.services.relying_party import relying_party
from app.factors.services.resealing import RESEAL_SECONDS, Resealing
from app.factors.services.step_up import StepUp
from app.factors.services.totp_codes import TotpCodes
from app.factors.services.used_ceremonies import UsedCeremonies
from app.factors.settings import FactorSettings
from app.module import Checks, Module, Periodic
from app.periodic import PURGE_SECONDS
from app.security.ceremonies import Ceremonies

MODULE = Module(
    name="factors",
    settings=FactorSettings,
    emails=EMAILS,
    events=FactorEvent,
    attempts=(
        limits.CHALLENGE,
        limits.PASSKEY,
        limits.PASSKEY_REGISTRATION,
        limits.PROOF,
        limits.FACTOR_CHANGE,
    ),
    services=(
        FactorSecrets.of,
        relying_party,
        Ceremonies.of,
        UsedCeremonies,
        PasskeyProofs,
        PasskeyUsers,
        PasskeyRequests,
        PasskeyRegistration,
        PasskeySignIn,
        Passkeys,
        RegisteredDomains,
        TotpCodes,
        Recovery,
        AddedFactors,
        Answers,
        ChallengeAnswers,
        TotpEnrollments,
        Factors,
        StepUp,
        Resealing,
    ),
    schema="app.factors.schema.part",
    models="app.factors.models",
    checks=(Checks(RegisteredDomains, RegisteredDomains.check),),
    periodic=(
        Periodic(TotpEnrollments, TotpEnrollments.purge, PURGE_SECONDS),
        Periodic(UsedCeremonies, UsedCeremonies.purge, PURGE_SECONDS),
        Periodic(Resealing, Resealing.run, RESEAL_SECONDS),
    ),
)
