"""Match keys: by what a record without a link is looked for in the target. Alternatives are tried in their order, the next one for what the one before
did not find."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from integration_hub.core.keys import canonical_key

if TYPE_CHECKING:
    import polars as pl

    MatchKeys = Mapping[str, pl.Series | list[str | None]]  # alternative of match fields, as a JSON list → each record's value of it


def match_keys(frame: pl.DataFrame, alternatives: Sequence[Sequence[str]]) -> dict[str, pl.Series]:
    """Each alternative, as the JSON list of its fields → the records' canonical values of it; null where one of the fields is null, or its text empty."""
    known = [names for names in alternatives if set(names) <= set(frame.columns)]
    return {json.dumps(list(names), ensure_ascii=False): canonical_key(frame, names).replace("", None) for names in known}


def first_match(keys: MatchKeys, row: int) -> tuple[str, str] | None:
    """The first alternative that this record has a value for, with the value."""
    return next(((fields, value) for fields, values in keys.items() if (value := values[row]) is not None), None)
