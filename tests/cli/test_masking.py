"""Addresses with secrets in them, as `portico settings` shows them."""

import hypothesis
import pytest
from hypothesis import strategies as st

from app.cli.masking import MASK, masked_url

SCHEMES = st.sampled_from(["postgresql", "postgres", "smtp", "smtps", "https", "x"])
PUNCTUATION = st.text("@:/?#[]%&=+ ,;'\"\\\n\0é", max_size=6)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql://portico:hunter2@db.example:5432/portico?sslmode=require",
            f"postgresql://portico:{MASK}@db.example:5432/portico?sslmode=require",
        ),
        ("postgresql://portico@db.example/portico", "postgresql://portico@db.example/portico"),
        ("postgresql://[::1]:5432/portico", "postgresql://[::1]:5432/portico"),
        (
            "postgresql://u:hunter2@a.example:1,b.example:2/x?target_session_attrs=read-write",
            f"postgresql://u:{MASK}@a.example:1,b.example:2/x?target_session_attrs=read-write",
        ),
        (
            "postgresql:///portico?host=/run/postgresql&user=u&password=hunter2",
            f"postgresql:///portico?host=/run/postgresql&user=u&{MASK}",
        ),
        ("postgresql://u:p@ss/word@db.example/portico", MASK),
        ("host=db.example password=hunter2", MASK),
        ("smtp://key:hunter2@smtp.example:587", f"smtp://{MASK}@smtp.example:587"),
        ("smtp://127.0.0.1:25?tls=none", "smtp://127.0.0.1:25?tls=none"),
        ("https://hibp.example/range/", f"https://hibp.example/{MASK}"),
        ("https://hibp.example?key=hunter2", f"https://hibp.example?{MASK}"),
        ("console:", "console:"),
        ("", MASK),
    ],
)
def test_the_host_is_shown_and_the_secret_is_masked(url: str, shown: str) -> None:
    assert masked_url(url) == shown


@hypothesis.given(scheme=SCHEMES, before=PUNCTUATION, within=PUNCTUATION, after=PUNCTUATION)
def test_no_part_of_a_password_is_shown_however_it_is_written(
    scheme: str, before: str, within: str, after: str
) -> None:
    password = f"{before}LEFT{within}RIGHT{after}"

    shown = masked_url(f"{scheme}://portico:{password}@db.example:5432/portico")

    assert ("LEFT" in shown, "RIGHT" in shown) == (False, False)


@hypothesis.given(within=PUNCTUATION)
def test_no_part_of_an_unknown_parameter_is_shown(within: str) -> None:
    shown = masked_url(f"postgresql://db.example/portico?sslpassword=LEFT{within}RIGHT")

    assert ("LEFT" in shown, "RIGHT" in shown) == (False, False)
