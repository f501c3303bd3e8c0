"""Start trials as they are kept, part by part: which users' are drawn, and the table that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from launchpad_lib.metrics.kernels.trials import WRITTEN

WEEKDAY_OF_1970 = 3  # 1 January 1970 was a Thursday; Monday is 0


class Chunk(NamedTuple):
    """Trials of one question from one part, and the luck of their users."""

    user: np.ndarray
    luck: np.ndarray
    at: np.ndarray
    treated: np.ndarray
    returned: np.ndarray
    known: np.ndarray
    where: dict[str, np.ndarray]

    def within(self, halvings: int) -> Chunk:
        """The trials whose users are still drawn."""
        is_kept = is_within(self.luck, halvings)
        user, luck, at, treated, returned, known = (values[is_kept] for values in self[:6])
        where = {name: values[is_kept] for name, values in self.where.items()}
        return Chunk(user, luck, at, treated, returned, known, where)


def trial_table(chunks: list[Chunk], texts: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Grain: one row per trial, in order of the users' luck; columns as `metrics.trials.Trials` has them."""
    joined = {name: _joined(chunks, name) for name in ("luck", "user", "at", "treated", "returned")}
    order = np.lexsort((joined["at"], joined["user"], joined["luck"]))
    joined = {name: values[order] for name, values in joined.items()}
    known = np.concatenate([c.known for c in chunks]) if chunks else np.empty((0, len(WRITTEN)), np.float32)
    known = known[order]
    where = {
        name: np.concatenate([c.where[name] for c in chunks])[order] if chunks else np.empty(0, np.int32)
        for name in ("day", "minute", "platform", "country")
    }
    table = pd.DataFrame(known, columns=list(WRITTEN), copy=False)
    before, did_control = table.pop("events_before"), table.pop("did_control")
    busy = before[before > 0].median()  # of those who were there: else both checks would be one where most were not
    table.insert(0, "user", joined["user"])
    table.insert(1, "began_at", joined["at"].view("datetime64[us]"))
    table.insert(2, "treated", joined["treated"])
    table.insert(3, "returned", joined["returned"])
    table["hour"] = (where["minute"] / 60).astype(np.float32)
    table["weekday"] = ((where["day"] + WEEKDAY_OF_1970) % 7).astype(np.int8)
    for name in ("platform", "country"):
        known_texts = texts.get(name, [])
        place = np.append(np.argsort(np.argsort(known_texts)), -1).astype(np.int32)  # in order of the alphabet
        table[name] = pd.Categorical.from_codes(place[where[name]], categories=sorted(known_texts))
    table["did_control"] = did_control.astype(np.uint8)
    table["active_before"] = (before > 0).astype(np.float32).where(before.notna())
    table["was_busy_before"] = (before > busy).astype(np.float32).where(before.notna())
    return table


def _joined(chunks: list[Chunk], name: str) -> np.ndarray:
    return np.concatenate([getattr(c, name) for c in chunks]) if chunks else np.empty(0, np.int64)


def is_within(luck: np.ndarray, halvings: int) -> np.ndarray:
    """Whether a user is in the part 1 / 2^halvings."""
    return luck >> np.uint64(64 - halvings) == 0 if halvings else np.ones(len(luck), np.bool_)


def mixed(hashes: np.ndarray, seed: int) -> np.ndarray:
    """The user's hash with the seed, spread over all 64 bits (the finaliser of splitmix64)."""
    mixed = hashes.view(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
