"""The records of the figures over databases: customers with twelve columns, contacts with ten mapped fields, and the mapping said twice.

`DEFINITION` is the mapping as the hub has it, `MAPPING` the same as one SQL statement; what both make of a table is held against each other.
"""

from __future__ import annotations

from typing import Any

COLUMNS = {  # of a customer, with their types in the hub
    "id": "integer",
    **dict.fromkeys(("first_name", "last_name", "email", "city", "status"), "text"),
    "amount": "decimal",
    **dict.fromkeys(("born", "phone", "active", "points"), "text"),
    "updated_at": "datetime",
}
_SQL = {"integer": "bigint", "text": "text", "decimal": "numeric(14, 4)", "datetime": "timestamptz"}
CUSTOMERS = ", ".join(f"{name} {_SQL[kind]}" for name, kind in COLUMNS.items())
CONTACTS = """
    id bigint PRIMARY KEY, name text, email text, stage text, amount numeric(14, 2), born date, phone text, active boolean, points integer, origin text
"""
FIELDS = ("id", "name", "email", "stage", "amount", "born", "phone", "active", "points", "origin")

MAKE_CUSTOMERS = """
    INSERT INTO {table}
    SELECT n, ' First' || n % 977 || ' ', 'Last' || n % 1009, ' Person' || n || '@Example.com', 'City ' || n % 500,
        (ARRAY['open', 'won', 'lost'])[n % 3 + 1], (n % 100000)::numeric / 7, to_char(date '1950-01-01' + n % 20000, 'DD.MM.YYYY'),
        CASE WHEN n % 10 > 0 THEN '+49 30 ' || lpad(n::text, 8, '0') END, (ARRAY['Yes', 'no', '1', '0'])[n % 4 + 1], (n % 5000)::text,
        timestamptz '2026-01-01 00:00+00' + n * interval '1 second'
    FROM generate_series(1, {count}) n
"""
CHANGE_CUSTOMERS = "UPDATE customers SET amount = amount + 1, updated_at = updated_at + interval '1 day' WHERE id % 100 = 7"  # 1 %

MAPPING = """
    SELECT id,
        trim(first_name) || ' ' || upper(last_name) AS name,
        lower(trim(email)) AS email,
        CASE status WHEN 'open' THEN 'NEW' WHEN 'won' THEN 'CLOSED' WHEN 'lost' THEN 'LOST' END AS stage,
        round(amount, 2) AS amount,
        to_date(born, 'DD.MM.YYYY') AS born,
        coalesce(phone, 'none') AS phone,
        CASE WHEN lower(active) IN ('true', 'yes', 'y', '1', 'on') THEN true
            WHEN lower(active) IN ('false', 'no', 'n', '0', 'off') THEN false END AS active,
        points::integer AS points,
        'crm'::text AS origin
    FROM {table}
"""
DEFINITION: dict[str, Any] = {
    "fields": [
        {"target": "id", "source": "id"},
        {"target": "name", "expression": "trim(first_name) || ' ' || upper(last_name)"},
        {"target": "email", "source": "email", "steps": [{"transform": "trim"}, {"transform": "lower"}]},
        {
            "target": "stage",
            "source": "status",
            "steps": [{"transform": "value_map", "table": {"open": "NEW", "won": "CLOSED", "lost": "LOST"}}],
        },
        {"target": "amount", "source": "amount", "steps": [{"transform": "round", "digits": 2}]},
        {"target": "born", "source": "born", "steps": [{"transform": "parse_date", "formats": ["DD.MM.YYYY"]}]},
        {"target": "phone", "source": "phone", "steps": [{"transform": "default", "value": "none"}]},
        {"target": "active", "source": "active", "steps": [{"transform": "parse_boolean"}]},
        {"target": "points", "source": "points"},
        {"target": "origin", "constant": "crm"},
    ],
    "match": [["id"]],
}

SUM = f"SELECT count(*), sum(hashtextextended(ROW({', '.join(FIELDS)})::text, 0)) FROM {{table}}"  # the same for the same records in any order

_SETS = ", ".join(f"{name} = excluded.{name}" for name in FIELDS[1:])
UPSERT = f"INSERT INTO contacts SELECT * FROM staging ON CONFLICT (id) DO UPDATE SET {_SETS}"
UPSERT_WHAT_DIFFERS = f"""
    INSERT INTO contacts SELECT s.* FROM staging s LEFT JOIN contacts t USING (id)
    WHERE t.id IS NULL OR ({", ".join(f"s.{name}" for name in FIELDS[1:])}) IS DISTINCT FROM ({", ".join(f"t.{name}" for name in FIELDS[1:])})
    ON CONFLICT (id) DO UPDATE SET {_SETS}
"""
