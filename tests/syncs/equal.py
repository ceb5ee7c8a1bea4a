"""What the OA's users should come to in the CRM, told by hand and not by the engine: the measure for every fault."""

import re

from integration_hub.core import texts
from integration_hub.syncs.books import books_of
from integration_hub.syncs.models import Link
from tests.faults.comparing import compared


def mapped(users):
    """userId → (name, e-mail), of those that can be mapped."""
    good = (u for u in users if u["name"].strip() and re.fullmatch(r"[^@ ]+@[^@ ]+", (u["email"] or "").strip()))
    return {u["userId"]: (u["name"].strip(), u["email"].strip().lower()) for u in good}


def assert_equal(sandbox):
    """The CRM holds each user of the OA that can be mapped, once, and each of these has its link."""
    expected = mapped(sandbox.records("oa", "user"))
    users = [u for u in sandbox.records("crm", "users") if u["employee_id"] in expected]
    assert {u["employee_id"]: (u["full_name"], u["email"]) for u in users} == expected
    assert len(users) == len(expected), "there are twins"
    assert set(expected) <= set(Link.objects.filter(ended_at=None).values_list("a_key", flat=True))


def users_of_crm(sandbox):
    return {user["employee_id"] for user in sandbox.records("crm", "users")}


def assert_books(run):
    run.refresh_from_db()
    books = books_of(run)
    assert run.balanced
    assert books.balance, books
    assert books.counts == run.sums()


def assert_each_once(sync, system, entity, run):
    assert_books(run)
    told = compared(sync)
    assert (told["missing"], told["differs"], told["twins"], told["left"]) == ([], [], [], {})
    created = sum(count for what, count in system.applied().items() if what in (f"{entity}.create", f"{entity}.upsert"))
    assert len(system.records(entity)) <= 5 + created
    return created


def told(run):
    """Why the run failed, as a person reads it."""
    return texts.render(run.error)


def reasons(rows):
    """Why records are left, as a person reads it, by key."""
    return {row.key: texts.render(row.reason) for row in rows}
