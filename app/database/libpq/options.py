"""Splits the parameter `options` into settings and other words."""

import re

WORD = re.compile(r"(?:\\.|[^\\\s])+", re.DOTALL)
SETTING = re.compile(r"(?:-c|--)([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)


def split_options(options: str) -> tuple[dict[str, str], list[str]]:
    """Returns the settings (`-c name=value`, `--name=value`) and the words that are no settings.

    As the server does it: words end at white space, and a backslash escapes the next character.
    """
    settings: dict[str, str] = {}
    others: list[str] = []
    words = iter(WORD.findall(options))
    for word in words:
        whole = word + next(words, "") if word == "-c" else word
        setting = SETTING.fullmatch(re.sub(r"\\(.)", r"\1", whole, flags=re.DOTALL))
        if setting is None:
            others.append(word)
        else:
            settings[setting[1].replace("-", "_")] = setting[2]
    return settings, others
