"""Rules that pick files by name, and patterns that give them new names."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

SIGNS = re.compile(r"[*?\[]")
FIELD = re.compile(r"\{([a-z_0-9]+)(?::(\d+))?\}")


def picked(path: str, rules: Sequence[str], exclude: Sequence[str] = (), *, case: bool = False) -> bool:
    """Whether a path fits any of ``rules`` (of none: yes) and none of ``exclude``.

    A rule is one or more words joined by ``+``, all of which must fit. A word with ``*``, ``?`` or ``[`` is a pattern for the file name
    (with ``/`` in it: for the whole path), any other word a part of the file name. Capitals do not count unless ``case``.
    """
    fits = [_fits(path, rule, case) for rule in rules]
    return (any(fits) or not rules) and not any(_fits(path, rule, case) for rule in exclude)


def _fits(path: str, rule: str, case: bool) -> bool:
    if not case:
        path, rule = path.lower(), rule.lower()
    return all(_word_fits(path, word.strip()) for word in rule.split("+"))


def _word_fits(path: str, word: str) -> bool:
    subject = path if "/" in word else path.rsplit("/", 1)[-1]
    return fnmatchcase(subject, word) if SIGNS.search(word) else word in subject


def new_name(pattern: str, fields: Mapping[str, str | int | None]) -> str:
    """A name without suffix, from a pattern such as ``{session}_{camera}_{n:3}``; a number after ``:`` fills up with zeros.

    Raises:
        ValueError: a field that is unknown or has no value, signs that no file name may have, or an empty name.
    """
    if stray := re.sub(FIELD, "", pattern).strip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-+()"):
        raise ValueError(f"'{stray[0]}' is no sign for a file name; use letters, digits, '.', '_', '-' and fields in braces")

    def filled(match: re.Match[str]) -> str:
        name, width = match[1], match[2]
        if name not in fields:
            raise ValueError(f"unknown field '{{{name}}}'; known: {', '.join(sorted(fields))}")
        value = fields[name]
        if value is None or value == "":
            raise ValueError(f"'{{{name}}}' has no value here")
        return str(value).zfill(int(width)) if width else str(value)

    name = re.sub(r"[/\\\0]", "-", FIELD.sub(filled, pattern)).strip()
    if not name.strip("."):
        raise ValueError("the new name is empty")
    return name


def clashes(moves: Mapping[str, str], taken: Sequence[str]) -> list[str]:
    """Sentences about new names that two files would get, or that another file has. Names that differ in capitals only clash too."""
    old = {name.lower() for name in moves}
    others = {name.lower() for name in taken} - old
    owners: dict[str, str] = {}
    faults = []
    for source, target in sorted(moves.items()):
        first = owners.setdefault(target.lower(), source)
        if first != source:
            faults.append(f"{source}: {first} gets the same name {target}")
        elif target.lower() in others:
            faults.append(f"{source}: {target} is there already")
    return faults
