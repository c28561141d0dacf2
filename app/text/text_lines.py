"""Single lines of text that people write, such as names: allowed characters and normal form.

The rules are those of nicknames (RFC 8266) on the FreeformClass of RFC 8264, as far as they suit a
name that is shown and never compared:

- Spaces of any kind become one U+0020, and are removed at both ends (RFC 8266, 2.1).
- NFC, not NFKC: NFKC changes what people chose (`™️` would be `TM`) and is needed only for
  comparison. Case is kept for the same reason.
- Controls, invisible characters and characters that change the direction of text are refused.
- Joiners are accepted where the orthography of a language uses them (RFC 5892, A.1 and A.2). So are
  emoji sequences (UTS #51) and variation sequences of Han (UTS #37) and Mongolian.
- Middle dots and Arabic digits are accepted anywhere: the rules of RFC 5892, A.3 to A.9, keep
  identifiers from being confused, and a name is not an identifier.
"""

import unicodedata

import regex

# A non-joiner between Arabic letters that do not join has no visible effect. Many people type it by
# habit, so it is removed instead of refused.
_JOINS = r"(?<=[\p{jt=L}\p{jt=D}]\p{jt=T}*)\u200C(?=\p{jt=T}*[\p{jt=R}\p{jt=D}])"
_INVISIBLE_NON_JOINER = regex.compile(
    rf"(?!{_JOINS})(?<=\p{{Arabic}}\p{{jt=T}}*)\u200C(?=\p{{jt=T}}*\p{{Arabic}})"
)
_SPACES = regex.compile(r"\p{Zs}+")

# Each alternative consumes one step of the line and never backtracks, so the time is linear.
_LINE = regex.compile(
    rf"""(?V1x)(?:
      # Emoji (UTS #51, 1.4.9): flags of subdivisions, keycaps, and sequences joined by ZWJ.
      \U0001F3F4 [\U000E0030-\U000E0039\U000E0061-\U000E007A]{{3,7}} \U000E007F
    | [0-9\#*] \uFE0F \u20E3
    | \p{{ExtPict}} [\p{{EMod}}\uFE0E\uFE0F]? (?: \u200D \p{{ExtPict}} [\p{{EMod}}\uFE0F]? )*
      # Variation sequences: of Han (UTS #37), of Mongolian, and its vowel separator.
    | \p{{Unified_Ideograph}} [\uFE00-\uFE02\U000E0100-\U000E01EF]
    | [\p{{Mongolian}}&&\p{{L}}] [\u180B-\u180D\u180F]
    | (?<=[\p{{Mongolian}}&&\p{{L}}]) \u180E (?=[\u1820\u1821])
      # Joiners: after a virama, between letters that join, and between a letter and its virama,
      # as Bengali and Kannada have it (Unicode Standard, 12.2 and 12.8).
    | (?<=\p{{ccc=Virama}}) [\u200C\u200D]
    | {_JOINS}
    | (?<=\p{{L}}) \u200D (?=\p{{ccc=Virama}}\p{{L}})
      # Every visible character, and the space.
    | [[\p{{L}}\p{{M}}\p{{N}}\p{{P}}\p{{S}}\x20]--\p{{Default_Ignorable_Code_Point}}]
    )*+"""
)
# U+2800, the blank Braille pattern, is a symbol but invisible.
_VISIBLE = regex.compile(
    r"(?V1)[[\p{L}\p{N}\p{P}\p{S}\p{ExtPict}]--[\p{Default_Ignorable_Code_Point}\u2800]]"
)


def normalised(text: str) -> str:
    """Returns the form in which a line is stored. Idempotent."""
    composed = unicodedata.normalize("NFC", text)
    spaced = _SPACES.sub(" ", composed.strip())
    return unicodedata.normalize("NFC", _INVISIBLE_NON_JOINER.sub("", spaced))


def is_line(text: str) -> bool:
    """Whether a normalised text has only allowed characters, at least one of them visible."""
    return _LINE.fullmatch(text) is not None and _VISIBLE.search(text) is not None
