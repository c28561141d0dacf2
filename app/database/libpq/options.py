"""Splits the parameter `options` into settings and what is none."""

import re

WORD = re.compile(r"(?:\\.|[^\\\s])+", re.DOTALL)
SETTING = re.compile(r"(?:-c|--)([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)


def settings_of(options: str) -> tuple[dict[str, str], list[str]]:
    """Take `options` apart into settings (`-c name=value`, `--name=value`) and the other words.

    As the server does: words end at white space, and a backslash takes the next character as it is.
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
