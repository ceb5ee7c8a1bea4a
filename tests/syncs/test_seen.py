import polars as pl

from integration_hub.syncs.seen import Seen


def matches(*values: str | None) -> dict[str, pl.Series]:
    return {'["email"]': pl.Series(values, dtype=pl.String)}


def test_a_match_key_is_met_from_its_second_time_on():
    seen = Seen()

    assert seen.add(matches("a@x", "b@x")).tolist() == [False, False]
    assert seen.add(matches("b@x", "c@x")).tolist() == [True, False]


def test_a_record_without_a_match_key_is_never_met():
    seen = Seen()

    assert seen.add(matches(None, "a@x", None)).tolist() == [False, False, False]
    assert seen.add(matches(None, None)).tolist() == [False, False]


def test_a_record_is_met_by_any_of_its_match_keys():
    seen = Seen()
    seen.add({**matches("a@x"), '["phone"]': pl.Series(["1"])})

    assert seen.add({**matches("b@x", "1", None), '["phone"]': pl.Series(["1", "2", None])}).tolist() == [True, False, False]


def test_hardly_any_of_many_is_met_by_mistake():
    seen = Seen()

    met = [seen.add(matches(*(f"{page}.{n}@x" for n in range(1000)))).sum() for page in range(100)]

    assert sum(met) == 0
