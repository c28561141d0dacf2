"""Lines of text that people write, such as names: which characters they may have, and their form.

The rules are those of nicknames (RFC 8266) on the FreeformClass of RFC 8264, where they fit a name
that is shown and never compared:

- Any space becomes one U+0020, and none is left at the ends (RFC 8266, 2.1).
- NFC, not NFKC: NFKC rewrites what people chose (`™️` would be `TM`), and only comparison needs it.
  Case stays for the same reason.
- Controls, invisible characters and those that change the direction of text are refused.
- Joiners are part of the orthography of many languages, and are accepted where they are (RFC 5892,
  A.1 and A.2). So are emoji sequences (UTS #51) and variation sequences of Han (UTS #37) and
  Mongolian.
- Middle dots and Arabic digits stand anywhere: the rules of RFC 5892, A.3 to A.9, guard identifiers
  against confusion, and a name is none.
"""

import unicodedata

import regex

# Between letters of the Arabic script that do not join anyway it changes nothing that can be seen.
# Many people type it by habit, so it is no reason to refuse their name: it is left out.
_JOINS = r"(?<=[\p{jt=L}\p{jt=D}]\p{jt=T}*)\u200C(?=\p{jt=T}*[\p{jt=R}\p{jt=D}])"
_IDLE_NON_JOINER = regex.compile(
    rf"(?!{_JOINS})(?<=\p{{Arabic}}\p{{jt=T}}*)\u200C(?=\p{{jt=T}}*\p{{Arabic}})"
)
_SPACES = regex.compile(r"\p{Zs}+")

# Each alternative is one step through the line; none gives back what it took, so that the time is
# linear.
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
      # All that can be seen, and the space.
    | [[\p{{L}}\p{{M}}\p{{N}}\p{{P}}\p{{S}}\x20]--\p{{Default_Ignorable_Code_Point}}]
    )*+"""
)
# A blank pattern of Braille is a symbol that shows nothing.
_SHOWN = regex.compile(
    r"(?V1)[[\p{L}\p{N}\p{P}\p{S}\p{ExtPict}]--[\p{Default_Ignorable_Code_Point}\u2800]]"
)


def normalised(text: str) -> str:
    """Write a line in the one form in which it is stored. Doing it twice changes nothing."""
    composed = unicodedata.normalize("NFC", text)
    spaced = _SPACES.sub(" ", composed.strip())
    return unicodedata.normalize("NFC", _IDLE_NON_JOINER.sub("", spaced))


def is_line(text: str) -> bool:
    """Whether a normalised text has only characters that a line may have, and one to be seen."""
    return _LINE.fullmatch(text) is not None and _SHOWN.search(text) is not None
