"""Whether a text that was kept as it came, such as a refused row, names a person by an id.

Ids are literal: they are compared whole, never searched for, so `u1` is not in `u10`. Only a text that is neither JSON
nor the fields of a table is searched, between characters of which no id is made.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable

from launchpad_lib.contract.event.rules import SPACES

_DELIMITERS = ",;\t|"
_OF_AN_ID = r"[\w@.:+-]"


def forms_of(user: str) -> frozenset[str]:
    """An id as it is stored: as it was given, and without the white space around it, which is no part of an id.

    Raises:
        ValueError: it is blank.
    """
    if not user.strip(SPACES):
        raise ValueError(f"user={user!r}: is blank; name the id as it stands in the events' user_id")
    return frozenset({user, user.strip(SPACES)})


def names_person(text: str, ids: frozenset[str]) -> bool:
    r"""Whether a value of a JSON text (a number counts by its digits), a field of a CSV record, or a word of any other
    text is one of the ids.

    >>> names_person('{"visitor": 42, "of": "420"}', frozenset({"42"}))
    True
    >>> names_person('{"visitor": 421}', frozenset({"42"})), names_person('e1;u10;"x"', frozenset({"u1"}))
    (False, False)
    """
    try:
        return any(_is_one(value, ids) for value in _values(json.loads(text, parse_int=str, parse_float=str)))
    except (ValueError, RecursionError):
        pass
    if text[:1] not in ("{", "["):
        try:
            fields = [f for d in _DELIMITERS for record in csv.reader([text], delimiter=d, strict=True) for f in record]
            if len(fields) > len(_DELIMITERS):
                return any(_is_one(field, ids) for field in fields)
        except csv.Error:
            pass
    return mentions_person(text, ids)


def mentions_person(text: str, ids: frozenset[str]) -> bool:
    """Whether one of the ids stands in a text as a word of its own.

    >>> mentions_person("refused: user_id 'u1'", frozenset({"u1"})), mentions_person("u1-b", frozenset({"u1"}))
    (True, False)
    """
    written = {form for one in ids for form in (one, json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1])}
    return any(re.search(rf"(?<!{_OF_AN_ID}){re.escape(form)}(?!{_OF_AN_ID})", text) for form in written)


def _values(found: object) -> Iterable[str]:
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            yield value
            if value[:1] in ("{", "["):
                try:
                    waiting.append(json.loads(value, parse_int=str, parse_float=str))
                except (ValueError, RecursionError):
                    continue


def _is_one(value: str, ids: frozenset[str]) -> bool:
    return value in ids or value.strip(SPACES) in ids
