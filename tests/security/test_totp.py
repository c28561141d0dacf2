"""Time-based one-time passwords: the vectors of RFC 6238, drift, and what apps are shown."""

from base64 import b32decode, b32encode
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.security import totp

# RFC 6238, appendix B: the secret for SHA-1, and the codes of 8 digits.
SECRET = b"12345678901234567890"
VECTORS = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}
NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
STEP = int(NOW.timestamp()) // 30
SECRETS = st.binary(min_size=20, max_size=20)
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2500, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants them so
DIGITS = st.text("0123456789", min_size=6, max_size=6)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(("seconds", "code"), VECTORS.items())
def test_codes_are_the_last_six_digits_of_the_vectors_of_rfc_6238(seconds: int, code: str) -> None:
    assert totp.code_at(SECRET, seconds // 30).decode() == code[-6:]
    assert totp.matching_step(SECRET, code[-6:], at(seconds)) == seconds // 30
    assert totp.matching_step(SECRET, code, at(seconds)) is None


@pytest.mark.parametrize("seconds", [0, 29.999])
@pytest.mark.parametrize(
    ("drift", "step"), [(-2, None), (-1, STEP - 1), (0, STEP), (1, STEP + 1), (2, None)]
)
def test_a_code_may_be_one_step_early_or_late_and_no_more(
    drift: int, step: int | None, seconds: float
) -> None:
    code = totp.code_at(SECRET, STEP + drift).decode()

    assert totp.matching_step(SECRET, code, NOW + timedelta(seconds=seconds)) == step


@given(SECRETS, TIMES, DIGITS)
def test_at_most_the_codes_of_three_steps_match(secret: bytes, now: datetime, code: str) -> None:
    current = int(now.timestamp()) // 30
    codes = {totp.code_at(secret, current + drift): current + drift for drift in (-1, 0, 1)}

    # The latest step counts if two have the same code: an earlier one would let it match again.
    assert totp.matching_step(secret, code, now) == codes.get(code.encode())
    for each, step in codes.items():
        assert totp.matching_step(secret, each.decode(), now) == step


@given(SECRETS, SECRETS, TIMES)
def test_the_code_of_another_secret_does_not_match(
    secret: bytes, other: bytes, now: datetime
) -> None:
    step = int(now.timestamp()) // 30
    code = totp.code_at(other, step)
    assume(code not in {totp.code_at(secret, step + drift) for drift in (-1, 0, 1)})

    assert totp.matching_step(secret, code.decode(), now) is None


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    code = totp.normalised(text)

    assert totp.matching_step(SECRET, code, NOW) in {None, STEP - 1, STEP, STEP + 1}


CODE = totp.code_at(SECRET, STEP).decode()
HALVES = CODE[:3], CODE[3:]


@pytest.mark.parametrize("between", [" ", "\t", "\n", "\u00a0", "\u2009", "  "])
def test_spaces_as_apps_show_them_are_ignored(between: str) -> None:
    typed = f" {between.join(HALVES)} \n"

    assert totp.matching_step(SECRET, totp.normalised(typed), NOW) == STEP


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        CODE[:5],
        f"{CODE}0",
        f"0{CODE}",
        f"+{CODE}",
        f"{CODE}.0",
        "-".join(HALVES),
        f"{CODE}\0",
        # Digits of other scripts, which `int` and `\d` read.
        CODE.translate({ord("0") + digit: 0x0660 + digit for digit in range(10)}),
        CODE.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)}),
        "\ud800",
        CODE * 100_000,
    ],
    ids=range(13),
)
def test_anything_else_is_wrong(typed: str) -> None:
    assert totp.matching_step(SECRET, totp.normalised(typed), NOW) is None


def test_secrets_have_160_random_bits() -> None:
    secrets = {totp.make_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert {len(each) for each in secrets} == {20}
    assert all(b32decode(totp.secret_text(each)) == each for each in secrets)


PARAMETERS = {
    "secret": b32encode(SECRET).decode(),
    "algorithm": "SHA1",
    "digits": "6",
    "period": "30",
}


@pytest.mark.parametrize(
    ("product", "issuer"),
    [
        ("Portico", "Portico"),
        ("The Analytical Engine", "The Analytical Engine"),
        ("Q&A+", "Q&A+"),
        ("100% #1 = good?", "100% #1 = good?"),
        ("A/B", "A/B"),
        ("Käsekönig 株式会社", "Käsekönig 株式会社"),
        # A colon ends the issuer in the label, and must be neither in it nor in an account.
        ("Acme: Cloud", "Acme Cloud"),
        ("a:b", "a b"),
        (":::", ""),
    ],
)
@pytest.mark.parametrize("account", ["ada@example.com", "ada+test&co@exämple.com"])
def test_apps_read_the_uri_as_it_is_meant(product: str, issuer: str, account: str) -> None:
    uri = urlsplit(totp.otpauth_uri(SECRET, account, product))

    label = f"{issuer}:{account}" if issuer else account
    assert (uri.scheme, uri.netloc, unquote(uri.path), uri.fragment) == (
        *("otpauth", "totp"),
        f"/{label}",
        "",
    )
    parameters = parse_qsl(uri.query, keep_blank_values=True, strict_parsing=True)
    assert dict(parameters) == PARAMETERS | ({"issuer": issuer} if issuer else {})
    assert len(parameters) == len(dict(parameters))
    # Apps that do not decode `+` show it.
    assert "+" not in uri.query
    assert uri.geturl().isascii()
