"""The formats that hold an scrypt hash."""

from app.security.password_hashes.derivations import FirebaseScrypt, Scrypt, ScryptSettings
from app.security.password_hashes.encodings import from_base64, from_hex, number, settings
from app.security.password_hashes.passlib_handlers import crypt64
from app.security.password_hashes.preparations import NFKC
from app.security.password_hashes.refusals import DAMAGED, TOO_MUCH_WORK, UnusableHash
from app.security.password_hashes.regex_format import BASE64, HEX, Parts, RegexFormat

MAX_LOG_COST = 63
CRYPT64 = r"[./0-9A-Za-z]"


def _cost(logarithm: int) -> int:
    if logarithm > MAX_LOG_COST:
        raise UnusableHash(TOO_MUCH_WORK)
    return 1 << logarithm


def _phc(parts: Parts) -> Scrypt:
    given = settings(parts["settings"])
    if set(given) != {"ln", "r", "p"}:
        raise UnusableHash(DAMAGED)
    chosen = ScryptSettings(_cost(number(given["ln"])), number(given["r"]), number(given["p"]))
    return Scrypt(chosen, from_base64(parts["salt"]), from_base64(parts["output"]))


def _django(parts: Parts) -> Scrypt:
    return Scrypt(_numbers(parts), parts["salt"].encode(), from_base64(parts["output"]))


def _werkzeug(parts: Parts) -> Scrypt:
    return Scrypt(_numbers(parts), parts["salt"].encode(), from_hex(parts["output"]))


def _numbers(parts: Parts) -> ScryptSettings:
    return ScryptSettings(
        number(parts["cost"]), number(parts["block_size"]), number(parts["parallelism"])
    )


def _crypt(parts: Parts) -> Scrypt:
    chosen = ScryptSettings(
        1 << crypt64.decode_int6(parts["cost"].encode()),
        crypt64.decode_int30(parts["block_size"].encode()),
        crypt64.decode_int30(parts["parallelism"].encode()),
    )
    output: bytes = crypt64.decode_bytes(parts["output"].encode())
    return Scrypt(chosen, parts["salt"].encode(), output)


def _spring(parts: Parts) -> Scrypt:
    """Unpack one number: log2 of the cost, then 8 bits each for block size and parallelism."""
    packed = int(parts["packed"], 16)
    chosen = ScryptSettings(_cost(packed >> 16), packed >> 8 & 0xFF, packed & 0xFF)
    return Scrypt(chosen, from_base64(parts["salt"]), from_base64(parts["output"]))


def _better_auth(parts: Parts) -> Scrypt:
    # The salt is the hexadecimal text, not the decoded bytes.
    chosen = ScryptSettings(16384, 16, 1)
    return Scrypt(chosen, parts["salt"].encode(), from_hex(parts["output"]), NFKC)


def _firebase(parts: Parts) -> FirebaseScrypt:
    given = settings(parts["settings"])
    if set(given) != {"m", "r", "ss", "sk"}:
        raise UnusableHash(DAMAGED)
    return _firebase_scrypt(parts, given["m"], given["r"], given["ss"], given["sk"])


def _supabase(parts: Parts) -> FirebaseScrypt:
    given = settings(parts["settings"])
    if set(given) != {"v", "n", "r", "p", "ss", "sk"} or (given["v"], given["p"]) != ("1", "1"):
        raise UnusableHash(DAMAGED)
    return _firebase_scrypt(parts, given["n"], given["r"], given["ss"], given["sk"])


def _firebase_scrypt(
    parts: Parts, memory_cost: str, rounds: str, separator: str, signer_key: str
) -> FirebaseScrypt:
    salt = from_base64(parts["salt"])
    if not salt:
        raise UnusableHash(DAMAGED)
    return FirebaseScrypt(
        # Firebase's "rounds" is the block size.
        ScryptSettings(_cost(number(memory_cost)), number(rounds), 1),
        salt + from_base64(separator),
        from_base64(signer_key),
        from_base64(parts["output"]),
    )


SCRYPT_FORMATS = (
    RegexFormat(
        "scrypt",
        r"\$scrypt\$",
        rf"\$scrypt\$(?P<settings>[^$]*)\$(?P<salt>{BASE64})\$(?P<output>{BASE64})",
        _phc,
    ),
    # The format of crypt(3).
    RegexFormat(
        "scrypt_crypt",
        r"\$7\$",
        rf"\$7\$(?P<cost>{CRYPT64})(?P<block_size>{CRYPT64}{{5}})(?P<parallelism>{CRYPT64}{{5}})"
        rf"(?P<salt>{CRYPT64}*)\$(?P<output>{CRYPT64}{{43}})",
        _crypt,
    ),
    RegexFormat(
        "django_scrypt",
        r"scrypt\$",
        r"scrypt\$(?P<cost>[0-9]+)\$(?P<salt>[^$]*)\$(?P<block_size>[0-9]+)"
        rf"\$(?P<parallelism>[0-9]+)\$(?P<output>{BASE64})",
        _django,
    ),
    RegexFormat(
        "werkzeug_scrypt",
        r"scrypt:",
        r"scrypt:(?P<cost>[0-9]+):(?P<block_size>[0-9]+):(?P<parallelism>[0-9]+)"
        rf"\$(?P<salt>[^$]*)\$(?P<output>{HEX})",
        _werkzeug,
    ),
    RegexFormat(
        "spring_scrypt",
        r"(?i:\{scrypt(?:@SpringSecurity_v5_8)?\})?\$[0-9a-f]{5,6}\$",
        r"(?i:\{scrypt(?:@SpringSecurity_v5_8)?\})?\$(?P<packed>[0-9a-f]{5,6})"
        rf"\$(?P<salt>{BASE64})\$(?P<output>{BASE64})",
        _spring,
    ),
    RegexFormat(
        "better_auth",
        r"[0-9a-f]{32}:[0-9a-f]{128}\Z",
        r"(?P<salt>[0-9a-f]{32}):(?P<output>[0-9a-f]{128})",
        _better_auth,
    ),
    RegexFormat(
        "firebase_scrypt",
        r"\$firebase-scrypt\$",
        rf"\$firebase-scrypt\$(?P<settings>[^$]*)\$(?P<salt>{BASE64})\$(?P<output>{BASE64})",
        _firebase,
    ),
    # The same hash, as Supabase writes it.
    RegexFormat(
        "supabase_firebase_scrypt",
        r"\$fbscrypt\$",
        rf"\$fbscrypt\$(?P<settings>[^$]*)\$(?P<salt>{BASE64})\$(?P<output>{BASE64})",
        _supabase,
    ),
)
