"""The expression language: what it says, what it refuses, and where."""

import datetime as dt
import itertools
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import FieldType, frame_type
from integration_hub.core.expressions import FUNCTIONS, OPERATORS, ExpressionError, condition, parse, parse_condition
from integration_hub.core.expressions.formats import check_zone, read_format
from integration_hub.core.expressions.functions import ALIASES
from integration_hub.core.expressions.paths import find_path
from integration_hub.core.expressions.patterns import check_pattern

T = FieldType
FIELDS = {
    "n": T.INTEGER,
    "m": T.INTEGER,
    "x": T.NUMBER,
    "s": T.TEXT,
    "d": T.DATE,
    "t": T.DATETIME,
    "b": T.BOOLEAN,
    "c": T.BOOLEAN,
    "j": T.JSON,
    "tags": T.JSON,
    "amount": T.DECIMAL,
    "address.city": T.TEXT,
    "Full Name": T.TEXT,
    "comment": T.TEXT,
    "姓名": T.TEXT,
}
RECORD = {
    "n": 7,
    "m": 2**63 - 1,
    "x": 2.5,
    "s": "Ann",
    "d": dt.date(2026, 11, 24),
    "t": dt.datetime(2026, 11, 24, 10, 42, tzinfo=dt.UTC),
    "b": True,
    "c": False,
    "j": '{"a":{"b":[1,"x"]},"k y":"z"}',
    "tags": '["p","q"]',
    "amount": Decimal("1.50"),
    "address.city": "Rom",
    "Full Name": "Ann Lee",
    "comment": "hm",
    "姓名": "李安",
}


def frame_of(*records):
    return pl.DataFrame([{**RECORD, **record} for record in records], schema={name: frame_type(type_) for name, type_ in FIELDS.items()})


def evaluate(text, **values):
    """(value, whether it failed)"""
    expression = parse(text, FIELDS)
    frame = frame_of(values)
    result = frame.select(expression.to_polars().alias("r")).to_series()
    if expression.type is not None:
        assert result.dtype == frame_type(expression.type)
    failed = frame.select(expression.failure()).item() if expression.failure else False
    return result.item(), failed


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_does_what_its_example_says(function):
    assert evaluate(function.example) == (True, False)
    assert function.description.endswith(".")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("upper(s) || '-' || n", "ANN-7"),
        ("address.city", "Rom"),
        ('"Full Name"', "Ann Lee"),
        ("姓名 || comment", "李安hm"),
        ("tags[0] || tags[-1]", "pq"),
        ("j.a.b[1]", "x"),
        ("j['k y']", "z"),
        ("j -> 'a' -> 'b' ->> 0", "1"),
        ("j.missing", None),
        ("n / 2", 3.5),
        ("n % 4", 3),
        ("-n % 4", -3),
        ("n * 2 + 1", 15),
        ("-9223372036854775808", -(2**63)),
        ("amount + 2.5", Decimal(4)),
        ("amount * n", Decimal("10.5")),
        ("x > n", False),
        ("n = '7'", True),
        ("d > '2026-01-01'", True),
        ("d + 7", dt.date(2026, 12, 1)),
        ("d - 24", dt.date(2026, 10, 31)),
        ("d - to_date('2026-11-01', 'YYYY-MM-DD')", 23),
        ("year(to_date('01.01.0001', 'DD.MM.YYYY'))", 1),
        ("regexp_replace(s, '(A)(?P<rest>n+)', '${rest}$1x$2-$$1')", "nnAxnn-$1"),
        ("t + INTERVAL '90 minutes'", dt.datetime(2026, 11, 24, 12, 12, tzinfo=dt.UTC)),
        ("d - INTERVAL '1 year'", dt.date(2025, 11, 24)),
        ("EXTRACT(month FROM t)", 11),
        ("CASE WHEN n > 5 THEN 'big' WHEN n > 1 THEN 'small' END", "big"),
        ("CASE s WHEN 'Bob' THEN 1 ELSE 2.5 END", 2.5),
        ("IF(b, 'yes', 'no')", "yes"),
        ("n IN (1, 7)", True),
        ("n NOT IN (1, 2)", True),
        ("s IN ('Ann', comment)", True),
        ("n BETWEEN 7 AND 8", True),
        ("s LIKE 'A%'", True),
        ("s LIKE '_n_'", True),
        ("s LIKE 'a%'", False),
        ("s ILIKE 'a%'", True),
        (r"'50%' LIKE '50\%'", True),
        ("'a.b' LIKE 'a_b'", True),
        ("'axb' LIKE 'a.b'", False),
        ("s ~ '^A.n$'", True),
        ("s !~ 'x'", True),
        ("s ~* '^a'", True),
        ("TRIM(BOTH 'A' FROM s)", "nn"),
        ("SUBSTRING(s FROM 2 FOR 1)", "n"),
        ("substring('abcd', 0, 2)", "a"),
        ("POSITION('n' IN s)", 2),
        ("strpos('上海ab', 'a')", 3),
        ("CAST(n AS text)", "7"),
        ("n::double precision", 7.0),
        ("TRY_CAST(s AS integer)", None),
        ("CAST('2026-11-24' AS date)", dt.date(2026, 11, 24)),
        ("s IS NULL", False),
        ("(n > 3) IS TRUE", True),
        ("n IS DISTINCT FROM 7", False),
        ("'it''s'", "it's"),
        ("s -- a remark", "Ann"),
        ("NULL", None),
    ],
)
def test_expressions_say(text, value):
    assert evaluate(text) == (value, False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n + m", None),
        ("m * 2", None),
        ("-m - 2", None),
        ("n / 0", None),
        ("n % 0", None),
        ("x / 0", None),
        ("amount / 0", None),
        ("div(n, 0)", None),
        ("power(x, 1000)", None),
        ("sqrt(-x)", None),
        ("CAST(s AS integer)", None),
        ("CAST(s AS date)", None),
        ("to_date(s, 'YYYY-MM-DD')", None),
        ("d + 99999999", None),
        ("d - 99999999", None),
        ("d + m", None),
        ("CAST('9999-12-01' AS date) + INTERVAL '1 month'", None),
        ("CAST('0001-01-01T00:00:00Z' AS timestamptz) - INTERVAL '1 hour'", None),
        ("to_date('24.11.26', 'DD.MM.YYYY')", None),
        ("to_datetime('24.11.26 10:42', 'DD.MM.YYYY HH:mm')", None),
        ("CAST(right('2026-11-24', 8) AS date)", None),
        ("CAST(s AS integer) + 1", None),
        ("coalesce(n / 0, 5)", 5.0),
        ("CASE WHEN b THEN CAST(s AS integer) ELSE 1 END", None),
        ("concat(s, n / 0)", "Ann"),
        ("NOT (n / 0 > 1)", None),
        ("b AND n / 0 > 1", None),
    ],
)
def test_what_cannot_be_computed_is_null_and_known_as_a_failure(text, value):
    assert evaluate(text) == (value, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("CASE WHEN c THEN CAST(s AS integer) ELSE 1 END", 1),
        ("CASE WHEN n = 0 THEN 0 ELSE 7 / n END", 1.0),
        ("c AND n / 0 > 1", False),
        ("b OR n / 0 > 1", True),
        ("coalesce(n, n / 0)", 7.0),
        ("n / nullif(0, 0)", None),
        ("nullif(s, 'Ann')", None),
        ("regexp_extract(s, '[0-9]')", None),
    ],
)
def test_what_is_not_reached_and_a_null_on_purpose_are_no_failures(text, value):
    assert evaluate(text) == (value, False)


def test_a_null_that_was_there_is_no_failure():
    assert evaluate("CAST(s AS integer) / n", s=None) == (None, False)
    assert evaluate("s || n", n=None) == (None, False)


TRUTH = {True: "true", False: "false", None: "CAST(NULL AS boolean)"}


@pytest.mark.parametrize(("left", "right"), list(itertools.product([True, False, None], repeat=2)))
def test_logic_has_three_values(left, right):
    def both(a, b):
        return False if a is False or b is False else None if a is None or b is None else True

    def either(a, b):
        return True if a is True or b is True else None if a is None or b is None else False

    for text in ("b AND c", f"{TRUTH[left]} AND {TRUTH[right]}"):
        assert evaluate(text, b=left, c=right)[0] is both(left, right)
    assert evaluate("b OR c", b=left, c=right)[0] is either(left, right)
    assert evaluate("NOT b", b=left)[0] is (None if left is None else not left)
    assert evaluate("b IS TRUE", b=left)[0] is (left is True)
    assert evaluate("b IS NOT FALSE", b=left)[0] is (left is not False)


def test_in_with_null_follows_sql():
    assert evaluate("n IN (7, NULL)")[0] is True
    assert evaluate("n IN (8, NULL)")[0] is None
    assert evaluate("n NOT IN (8, NULL)")[0] is None
    assert evaluate("n IN (7)", n=None)[0] is None


REFUSED = [
    ("", "The expression is empty.", 1, 1),
    ("uppr(s)", "There is no function uppr. Did you mean upper?", 1, 1),
    ("\n\n  uppr(s)", "There is no function uppr. Did you mean upper?", 3, 3),
    ("s || address.cty", "There is no field address.cty. Did you mean address.city?", 1, 14),
    ("s || city", "There is no field city. Did you mean address.city?", 1, 6),
    ("s ||", "Something is missing after “||”.", 1, 3),
    ("upper(s", "A closing parenthesis is missing after “s”.", 1, 7),
    ("s s", "“s” is not expected here.", 1, 3),
    ("s || 'abc", "A quotation mark is opened here but never closed.", 1, 6),
    ("upper(s, s)", "upper is written upper(text).", 1, 1),
    ("s.city", "s is text, not JSON: there is nothing inside it.", 1, 3),
    ("s > 1", "integer does not go with text here. Use CAST(… AS …) to make one of the other.", 1, 1),
    ("d > 'soon'", "“soon” is not date.", 1, 1),
    ("s + 1", "“+” works on numbers, but this is text.", 1, 1),
    ("99999999999999999999", "“99999999999999999999” is not integer.", None, None),
    ("CASE WHEN n THEN 1 END", "boolean is needed here, but this is integer.", 1, 11),
    ("CASE WHEN b THEN 1 ELSE s END", "integer does not go with text here. Use CAST(… AS …) to make one of the other.", 1, 11),
    ("t AT TIME ZONE 'UTC'", "Write to_datetime(…, format, zone), to_char(…, format, zone) or date(…, zone) instead of AT TIME ZONE.", 1, 1),
    ("date(t, 'Europe/Berlinn')", "There is no time zone Europe/Berlinn. Did you mean Europe/Berlin?", 1, 1),
    ("to_date(s, 'soon')", "“soon” is not a format of dates or times. Write it like YYYY-MM-DD HH:mm:ss or %Y-%m-%d.", 1, 1),
    ("s ~ '('", "“(” is not a pattern: unclosed group.", 1, 1),
    ("s ~ '(?=x)'", "“(?=x)” is not a pattern: look-around, including look-ahead and look-behind, is not supported.", 1, 1),
    ("regexp_replace(s, '(A)', '$2')", "The pattern has no group 2. A $ itself is written $$.", 1, 1),
    ("n IN (SELECT 1)", "After IN comes a list of values: IN ('a', 'b').", 1, 1),
    ("s LIKE comment", "After LIKE comes a pattern of at most 200 characters in quotes, such as 'A%'.", 1, 1),
    ("CAST(d AS boolean)", "date cannot be made boolean.", 1, 6),
    ("CAST(s AS bytea)", "There is no type bytea. Use text, integer, double precision, numeric, boolean, date, time, timestamp or json.", 1, 6),
]


@pytest.mark.parametrize(("text", "message", "line", "column"), REFUSED)
def test_a_mistake_is_told_with_its_place(text, message, line, column):
    with pytest.raises(ExpressionError) as refused:
        parse(text, FIELDS)
    assert str(refused.value) == message
    if line is not None:
        assert (refused.value.line, refused.value.column) == (line, column)


HOSTILE = {
    "file": "read_csv('/etc/passwd')",
    "file by subquery": "n IN (SELECT n FROM read_csv('/etc/passwd'))",
    "subquery": "(SELECT 1)",
    "exists": "EXISTS(SELECT 1)",
    "select": "SELECT 1",
    "statement": "DROP TABLE x",
    "two statements": "n; DROP TABLE x",
    "deep sum": "+".join(["n"] * 20_000),
    "long sum": "+".join(["n"] * 400),
    "deep parentheses": "(" * 33 + "n" + ")" * 33,
    "minus signs": "- " * 900 + "n",
    "nots": "NOT " * 450 + "b",
    "cases": "CASE WHEN b THEN " * 60 + "n" + " END" * 60,
    "brackets": "[" * 900,
    "ors": " OR ".join(["b"] * 5_000),
    "pipes": "||".join(["s"] * 3_000),
    "wide pad": "lpad(s, 1000000000000, 'x')",
    "computed pad": "lpad(s, n, 'x')",
    "nested replace": "replace(" * 20 + "s" + ",'a','aaaaaaaaaa')" * 20,
    "growing pattern": "regexp_replace(s, '', '" + "x" * 190 + "')",
    "concat of itself": "concat(" + ",".join(["s"] * 150) + ")",
    "huge interval": "d + INTERVAL '99999999999 years'",
    "odd concat_ws": "concat_ws(s, s)",
    "no arguments": "concat_ws()",
    "repeat": "s ~ '([a-z]{0,200}){0,200}x'",
    "nested repeat": "s ~ '([a-z]{0,90}){0,90}x'",
    "huge class": r"s ~ '(\w{100}){10}'",
    "computed pattern": "s ~ comment",
    "long pattern": "s ~ '" + "a" * 201 + "'",
    "aggregate": "sum(n)",
    "window": "sum(n) OVER ()",
    "row number": "row_number() OVER ()",
    "star": "*",
    "count star": "count(*)",
    "star of a field": "j.*",
    "unnest": "unnest(tags)",
    "columns": "columns('*')",
    "parameter": "$1",
    "placeholder": "?",
    "named placeholder": ":x",
    "attribute": "s.__class__",
    "import": "__import__('os')",
    "lambda": "lambda x: 1",
    "array": "ARRAY[1]",
    "row": "(1, 2)",
    "struct": "{'a': 1}",
    "collation": 's COLLATE "C"',
    "hex": "0x1F",
    "bytes": "x'ff'",
    "computed index": "tags[n]",
    "NUL": "'\0'",
    "surrogate": "'\ud800'",
    "nothing": "\n \t",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_an_expression_that_reaches_for_attributes_imports_or_anything_else_hostile_is_refused(text):
    with pytest.raises(ExpressionError):
        parse(text, FIELDS)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "s ~ '(a+)+$'",
        "s ~ '(x{0,9}){0,90}y'",
        "CAST(n AS decimal(9999, 9999)) = 1",
        " OR ".join(["b"] * 95) + " OR b",
        "||".join(["s"] * 99),
        "+".join(["n"] * 99),
        "/".join(["x"] * 99),
    ],
)
def test_what_is_allowed_is_quick_on_large_text(text):
    expression = parse(text, FIELDS)

    frame_of({"s": "a" * 20_000}).select(expression.to_polars(), expression.failure().alias("f") if expression.failure else pl.lit(1).alias("f"))


NUMBERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20), st.sampled_from(["+", "-", "*", "%"]))
def test_whole_numbers_never_wrap_around(pairs, sign):
    def exact(a, b):
        if a is None or b is None or (sign == "%" and b == 0):
            return None
        result = {"+": a + b, "-": a - b, "*": a * b, "%": 0 if not b else (abs(a) % abs(b)) * (1 if a >= 0 else -1)}[sign]
        return result if -(2**63) <= result < 2**63 else None

    expression = parse(f"n {sign} m", FIELDS)
    frame = frame_of(*({"n": a, "m": b} for a, b in pairs))

    assert frame.select(expression.to_polars()).to_series().to_list() == [exact(a, b) for a, b in pairs]
    lost = [a is not None and b is not None and exact(a, b) is None for a, b in pairs]
    assert frame.select(expression.failure()).to_series().to_list() == lost


def test_fields_used_are_named():
    assert parse("coalesce(s, address.city) || tags[0]", FIELDS).fields == ("s", "address.city", "tags")


def test_a_condition_must_be_true_or_false():
    assert parse_condition("n > 3", FIELDS).type is T.BOOLEAN
    with pytest.raises(ExpressionError, match="A condition must be true or false, but this is integer"):
        parse_condition("n", FIELDS)


ROWS = [
    ("n", "equals", 7, True),
    ("n", "equals", "7", True),
    ("n", "not_equals", 7, False),
    ("s", "contains", "nn", True),
    ("s", "not_contains", "nn", False),
    ("s", "starts_with", "A", True),
    ("s", "ends_with", "A", False),
    ("s", "in", ["Ann", "Bob"], True),
    ("n", "not_in", ["1", "2"], True),
    ("x", "greater", "2", True),
    ("x", "greater_or_equal", 2.5, True),
    ("n", "less", -1, False),
    ("amount", "less_or_equal", "1.5", True),
    ("d", "before", "2026-12-01", True),
    ("t", "after", "2026-11-24T10:00:00+00:00", True),
    ("s", "is_empty", None, False),
    ("n", "is_not_empty", None, True),
    ("address.city", "equals", "Rom", True),
    ("Full Name", "equals", "Ann Lee", True),
    ("tags[0]", "equals", "p", True),
    ("tags[-1]", "in", ["p"], False),
    ("b", "equals", True, True),
    ("b", "equals", "false", False),
]


@pytest.mark.parametrize(("field", "operator", "value", "answer"), ROWS)
def test_rows_of_a_form_make_the_same_conditions(field, operator, value, answer):
    built = condition([{"field": field, "operator": operator, "value": value}], "all", FIELDS)

    assert frame_of({}).select(built.to_polars()).item() is answer
    written = parse(built.text, FIELDS)
    assert frame_of({}).select(written.to_polars()).item() is answer


def test_every_operator_is_tried():
    assert {operator for _field, operator, _value, _answer in ROWS} == set(OPERATORS)


def test_rows_join_by_all_or_any():
    rows = [{"field": "n", "operator": "equals", "value": 7}, {"field": "s", "operator": "equals", "value": "Bob"}]
    assert frame_of({}).select(condition(rows, "all", FIELDS).to_polars()).item() is False
    assert frame_of({}).select(condition(rows, "any", FIELDS).to_polars()).item() is True
    assert frame_of({}).select(condition([], "all", FIELDS).to_polars()).item() is True
    assert frame_of({"s": ""}).select(condition([{"field": "s", "operator": "is_empty"}], "all", FIELDS).to_polars()).item() is True
    assert frame_of({"s": None}).select(condition([{"field": "s", "operator": "is_empty"}], "all", FIELDS).to_polars()).item() is True


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"field": "n", "operator": "equal", "value": 1}, "There is no operator equal. Did you mean equals?"),
        ({"field": "nn", "operator": "equals", "value": 1}, "There is no field nn. Did you mean n?"),
        ({"field": "n", "operator": "contains", "value": 1}, "“contains” cannot be asked of n, which is integer."),
        ({"field": "n", "operator": "equals"}, "“equals” needs a value."),
        ({"field": "n", "operator": "in", "value": 1}, "“in” needs a list of values."),
        ({"field": "n", "operator": "equals", "value": "many"}, "“many” is not integer."),
    ],
)
def test_a_bad_row_is_named(row, message):
    with pytest.raises(ExpressionError) as refused:
        condition([{"field": "s", "operator": "is_empty"}, row], "all", FIELDS)
    assert str(refused.value) == message
    assert refused.value.line == 2


def test_aliases_lead_to_functions():
    assert set(ALIASES.values()) <= set(FUNCTIONS)
    assert evaluate("char_length(s)") == (3, False)


def test_paths_find_the_longest_field_name():
    assert find_path("address.city", FIELDS).field == "address.city"
    assert find_path("j.a.b[0]", FIELDS).inside == ("a", "b", 0)
    assert find_path('j."k y"', FIELDS).inside == ("k y",)
    for wrong in ("j..a", "j[x]", "", 'j."a\\b"'):
        with pytest.raises(ExpressionError):
            find_path(wrong, FIELDS)


def test_formats_are_read_both_ways():
    assert read_format("DD.MM.YYYY HH:mm:ss") == "%d.%m.%Y %H:%M:%S"
    assert read_format("%d.%m.%Y") == "%d.%m.%Y"
    assert read_format("D/M/YY") == "%-d/%-m/%y"
    assert check_zone("Asia/Shanghai") == "Asia/Shanghai"


@pytest.mark.parametrize("pattern", [r"^\d{4}-\d{2}-\d{2}$", "[a-z]{1,64}@[a-z]{1,63}", r"(a|b){1,10}", r"[\]{200}]", r"\{300}", r"\p{Han}+"])
def test_plain_patterns_are_allowed(pattern):
    check_pattern(pattern)
