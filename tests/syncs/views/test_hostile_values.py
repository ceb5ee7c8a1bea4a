"""What comes from a system never becomes script in a page or a formula in a file, and a secret that it sends back is shown nowhere."""

import logging

import pytest
from django.urls import reverse
from django.utils.html import escape

from integration_hub.accounts.actor import Actor
from integration_hub.audit.models import Entry
from integration_hub.core import logs
from integration_hub.syncs import pipeline, services
from integration_hub.syncs.models import Link, LogLine, OpenRow
from integration_hub.systems import services as systems
from tests.connectors.conftest import contacts
from tests.connectors.shop import Server
from tests.syncs.conftest import FAST, published, registered

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert(1)</script>"
FORMULAS = ("=1+1", "+1", "@SUM(A1)", "-1+1", "\t=1", "\r=1")


def content_of(client, place, *args, **query):
    answer = client.get(reverse(place, args=args), query)
    assert answer.status_code == 200, (place, answer)
    return b"".join(answer.streaming_content).decode() if answer.streaming else answer.content.decode()


def test_script_in_a_record_is_text_on_every_page_that_shows_it(few, enter, users_sync, run_now):
    good, bad = few.oa.records("user")[:2]
    few.oa.change("user", good["userId"], name=SCRIPT)
    few.oa.change("user", bad["userId"], email=SCRIPT)
    run = run_now(users_sync)
    client, link, row = enter("operator"), Link.objects.get(a_key=good["userId"]), OpenRow.objects.open().get()

    pages = {
        "change": content_of(client, "runs:change", run.pk, link.change_set_id, link.change_row),
        "trace": content_of(client, "syncs:trace", users_sync.pk, key=good["userId"]),
        "rejects": content_of(client, "rejects:list"),
        "reject": content_of(client, "rejects:detail", row.pk),
        "cause": content_of(client, "rejects:cause", users_sync.pk, row.cause),
        "sample": content_of(client, "systems:sample", users_sync.source.system.slug, users_sync.source.name),
    }

    for name, page in pages.items():
        assert "alert(1)" in page, name
        assert SCRIPT not in page, name
        assert escape(SCRIPT) in page, name


def test_a_value_that_begins_like_a_formula_is_text_in_every_exported_file(few, enter, users_sync, run_now):
    users = few.oa.records("user")
    for user, formula in zip(users, FORMULAS, strict=False):
        few.oa.change("user", user["userId"], name=f"{formula}!")
    for user, formula in zip(users[10:], FORMULAS, strict=False):
        few.oa.change("user", user["userId"], email=formula)
    run = run_now(users_sync)
    client = enter("operator")

    for file in (content_of(client, "runs:changes_export", run.pk), content_of(client, "rejects:export")):
        cells = [cell.strip('"') for line in file.removeprefix("\ufeff").split("\n") for cell in line.rstrip("\r").split(",")]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
        assert any(cell.startswith("'=1+1") for cell in cells)


# --- secrets ------------------------------------------------------------------------------------------------------------

SECRET = "s3cret-token-of-the-shop"


@pytest.fixture
def shop_sync(few, crm, by):
    """A sync from a shop whose every answer we write ourselves."""
    server = Server()
    settings = {"base_url": server.shop.url, "auth": {"type": "bearer", "token": SECRET}, "connection": {**FAST, "tries": 1}}
    shop = registered("Shop", {**settings, "entities": [contacts(list={"pagination": {"type": "none"}})]}, by)
    source, target = shop.entities.get(), crm.entities.get(name="users")
    fields = [{"target": "full_name", "source": "name"}, {"target": "email", "source": "email"}]
    mapping = published("Contacts", source, target, {"fields": fields, "match": [["email"]]})
    sync = services.create_sync(by=by, source=source, target=target, name="Contacts", mapping=mapping, mode="full")
    sync.shop = server.shop
    yield sync
    server.close()


def breaks(monkeypatch, sync):
    """The hub itself fails, with the secret in what it was doing."""

    def fail(*args):
        raise RuntimeError(f"could not send Authorization: Bearer {SECRET}")

    sync.shop.answers["/contacts"] = (200, {"items": [{"id": 1, "name": "Ada", "email": "a@shop.example"}], "total": 1})
    monkeypatch.setattr(pipeline, "map_page", lambda *args, **kwargs: fail())


LEAKS = {
    "an error body": lambda patch, sync: sync.shop.answers.update({"/contacts": (401, {"message": f"token {SECRET} is wrong"})}),
    "an address": lambda patch, sync: sync.shop.answers.update({"/contacts": (302, b"", {"Location": f"/login?access_token={SECRET}"})}),
    "a web page": lambda patch, sync: sync.shop.answers.update({"/contacts": (200, f"<html>{SECRET}".encode())}),
    "a stack trace": breaks,
}


@pytest.mark.parametrize("where", LEAKS)
def test_a_secret_in_an_address_header_error_or_stack_trace_is_masked_in_logs_audit_pages_exports_and_api(
    where, shop_sync, run_now, enter, api, person, monkeypatch, caplog, by
):
    LEAKS[where](monkeypatch, shop_sync)
    with caplog.at_level(logging.DEBUG):
        run = run_now(shop_sync)
        systems.check_system(shop_sync.source.system, by=by)
        systems.change_system(shop_sync.source.system, by=by, requests_per_second=5)
    client, token = enter("administrator"), api(Actor.of(person("administrator", username="ada")))

    def answered(page):
        answer = token.get(f"/api/v1/{page}")
        assert answer.status_code == 200, page
        return answer.content.decode()

    api_pages = ("runs/", f"runs/{run.pk}/", f"runs/{run.pk}/log/", "systems/shop/", "systems/shop/checks/", f"syncs/{shop_sync.pk}/", "config/")

    shown = {
        "log": "\n".join(logs.Json().format(record) for record in caplog.records if record.name.startswith("integration_hub")),
        "run": str(run.error) + "".join(str(line.text) for line in LogLine.objects.all()),
        "audit": "".join(f"{entry.changes}{entry.note}" for entry in Entry.objects.all()),
        "pages": "".join(
            content_of(client, place, *args) for place, *args in (("runs:detail", run.pk), ("runs:log", run.pk), ("systems:detail", "shop"))
        ),
        "exports": content_of(client, "runs:export") + content_of(client, "systems:export"),
        "api": "".join(map(answered, api_pages)),
    }

    assert run.state == "failed"
    assert [place for place, text in shown.items() if SECRET in text] == []
    if where == "an error body":
        assert "•••" in shown["run"]
    if where == "a stack trace":
        assert "Traceback" in shown["log"]
        assert logs.MASK in shown["log"]
