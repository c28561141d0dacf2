"""What the module `factors` brings."""

from app.factors import limits
from app.factors.emails import EMAILS
from app.factors.events import FactorEvent
from app.factors.services.answers import Answers
from app.factors.services.challenge_answers import ChallengeAnswers
from app.factors.services.enrollment import TotpEnrollments
from app.factors.services.factor_secrets import FactorSecrets
from app.factors.services.factors import Factors
from app.factors.services.recovery import Recovery
from app.factors.services.resealing import RESEAL_SECONDS, Resealing
from app.factors.services.step_up import StepUp
from app.factors.services.totp_codes import TotpCodes
from app.factors.settings import FactorSettings
from app.module import Module, Periodic
from app.periodic import PURGE_SECONDS

MODULE = Module(
    name="factors",
    settings=FactorSettings,
    emails=EMAILS,
    events=FactorEvent,
    attempts=(limits.CHALLENGE, limits.PROOF, limits.FACTOR_CHANGE),
    services=(
        FactorSecrets.of,
        TotpCodes,
        Recovery,
        Answers,
        ChallengeAnswers,
        TotpEnrollments,
        Factors,
        StepUp,
        Resealing,
    ),
    schema="app.factors.schema.part",
    models="app.factors.models",
    periodic=(
        Periodic(TotpEnrollments, TotpEnrollments.purge, PURGE_SECONDS),
        Periodic(Resealing, Resealing.run, RESEAL_SECONDS),
    ),
)
