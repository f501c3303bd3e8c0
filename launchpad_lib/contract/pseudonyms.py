"""Pseudonyms of people: a keyed hash in the place of an id, the same for the same id, told by nobody without the salt.

HMAC-SHA256 (RFC 2104, FIPS 180-4) of the id's UTF-8 text under the salt, its first 128 bits in hexadecimal after `p_`.
Who has the salt can tell whether a known id is in the data, so it is a secret: it comes from the environment alone, and
no message, log or manifest has it. Another salt makes other people of everybody.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

VARIABLE = "LAUNCHPAD_PSEUDONYM_SALT"
LEAST_CHARACTERS = 16


class Pseudonyms:
    """Gives pseudonyms under one salt.

    >>> Pseudonyms("a salt of at least 16").of("u1")
    'p_2875a8f06abdc42348ec6fbff850d009'
    >>> Pseudonyms("a salt of at least 16")
    Pseudonyms(...)
    """

    def __init__(self, salt: str) -> None:
        """Raises:
        ValueError: the salt is too short.
        """
        if len(salt) < LEAST_CHARACTERS:
            raise ValueError(
                f"{VARIABLE}: has fewer than {LEAST_CHARACTERS} characters; set a long random text, such as openssl "
                "rand -hex 32 writes, and keep it: with another one everybody becomes somebody else"
            )
        self._salt = salt.encode()

    def __repr__(self) -> str:
        return "Pseudonyms(...)"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Pseudonyms:
        """Under the salt of the environment.

        Raises:
            ValueError: there is none, or it is too short.
        """
        if VARIABLE not in environment:
            raise ValueError(f"{VARIABLE}: is not set, and ids are to be pseudonymised; set it to a long random text")
        return cls(environment[VARIABLE])

    def of(self, user: str) -> str:
        """The pseudonym of an id."""
        return f"p_{hmac.digest(self._salt, user.encode(), 'sha256')[:16].hex()}"

    def of_column(self, users: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
        """Of a column of texts; NULL stays NULL. Each distinct id is hashed once."""
        whole = pa.chunked_array([users]) if isinstance(users, pa.Array) else users
        parts = []
        for chunk in whole.chunks:
            coded = pc.dictionary_encode(chunk.cast(pa.string()))
            names = pa.array([self.of(user) for user in coded.dictionary.to_pylist()], pa.string())
            parts.append(names.take(coded.indices))
        return pa.chunked_array(parts, pa.string())

    def of_rows(self, rows: pa.Table) -> pa.Table:
        """A table with the pseudonyms in its `user_id`."""
        place = rows.schema.get_field_index("user_id")
        return rows.set_column(place, rows.schema.field(place), self.of_column(rows["user_id"])) if place >= 0 else rows
