"""Rejects are mended, cleared by a value map, linked, assigned and exported on their pages and over the API."""

import io
import json

import openpyxl
import pytest
from django.urls import reverse

from integration_hub.syncs import resolving, services
from integration_hub.syncs.models import Mend, OpenRow, Sync
from tests.syncs.linked import accounts_sync, company, contacts_sync
from tests.syncs.shops import add, number_of, replayed, shop, shops, stores, untold
from tests.syncs.views.conftest import press, shown

__all__ = ["accounts_sync", "company", "contacts_sync", "shop", "shops", "untold"]
pytestmark = pytest.mark.django_db(transaction=True)
JSON = "application/json"


@pytest.fixture
def left(shop, shops, run_now):
    """Three rejects: two for the country UK, one without a name."""
    add(shop, (1, "One", "UK", 1), (2, "Two", "UK", 2), (3, "", "Germany", 3))
    run_now(shops)
    return shops


def test_a_value_is_mended_on_the_page_of_its_record(enter, shop, left):
    client, row = enter("operator"), OpenRow.objects.get(key="3")

    form = shown(client, "rejects:mend", row.pk)
    wrong = press(client, "rejects:mend", row.pk, **{"value.name": "Three", "value.country": "Germany", "value.staff": "many"})
    done = press(client, "rejects:mend", row.pk, **{"value.name": "Three", "value.country": "Germany", "value.staff": "3"}, note="shop sign")

    assert "is used instead of what CRM says" in form
    assert "“many” is not integer." in wrong.content.decode()
    assert "The values are mended" in done.content.decode()
    replayed()
    assert stores(shop)["3"] == ["Three", "DE", 3]
    page = shown(client, "rejects:detail", row.pk)
    assert "mended Three by operator" in page
    press(client, "rejects:forget_mend", row.pk)
    assert "mended Three" not in shown(client, "rejects:detail", row.pk)


def test_nothing_is_mended_by_one_who_may_not(enter, left):
    client, row = enter("viewer"), OpenRow.objects.get(key="3")

    assert client.get(reverse("rejects:mend", args=[row.pk])).status_code == 403
    assert "Mend values" not in shown(client, "rejects:detail", row.pk)
    assert "becomes" not in shown(client, "rejects:cause", left.pk, OpenRow.objects.filter(value="UK")[0].cause)


def test_a_group_is_cleared_by_saying_what_its_value_becomes(enter, shop, left):
    client, row = enter("integrator"), OpenRow.objects.filter(value="UK").first()

    page = shown(client, "rejects:cause", left.pk, row.cause)
    refused = press(client, "rejects:value_map", row.pk, becomes="")
    done = press(client, "rejects:value_map", row.pk, becomes="GB")

    assert "In the value map of country , UK becomes" in page
    assert "Add, publish and replay 2" in page
    assert "Say what “UK” becomes." in refused.content.decode()
    assert "Shops v2 is published, and 2 records are replayed now." in done.content.decode()
    replayed()
    assert {stores(shop)[key][1] for key in ("1", "2")} == {"GB"}


def test_a_group_is_assigned_and_found_by_the_one_who_has_it(enter, client, person, left):
    ada = person("operator", username="ada", first_name="Ada", last_name="Lovelace")
    enter("integrator")
    cause = OpenRow.objects.filter(value="UK")[0].cause

    form = press(client, "rejects:assign", sync=left.pk, cause=cause)
    press(client, "rejects:assign", sync=left.pk, cause=cause, to=ada.pk, note="ask the British")

    assert "2 records are looked after by the person you choose." in form.content.decode()
    assert "assigned to Ada Lovelace" in shown(client, "rejects:list")
    client.force_login(ada)
    mine = shown(client, "rejects:list", assigned="me")
    assert "UK” is not in the value map" in mine
    assert "must not be empty" not in mine
    assert "must not be empty" in shown(client, "rejects:list", assigned="nobody")
    assert "ask the British" in shown(client, "rejects:cause", left.pk, cause, assigned=ada.pk)
    for whose in ("nobody", "²", "x"):
        press(client, "rejects:dismiss", sync=left.pk, cause=cause, assigned=whose, reason="x")
    assert OpenRow.objects.open().filter(cause=cause).count() == 2


def test_open_rows_are_exported_to_excel_and_run_nothing_there(enter, left):
    client = enter("operator")
    OpenRow.objects.filter(key="3").update(value="=cmd|' /C calc'!A0", assigned_note="bad \x01 sign")

    answer = client.get(reverse("rejects:export_excel"))
    sheet = openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content))).active
    head, *rows = sheet.iter_rows(values_only=True)

    assert answer["Content-Type"].endswith("spreadsheetml.sheet")
    assert sorted(row[head.index("Key")] for row in rows) == ["1", "2", "3"]
    told = next(row for row in rows if row[head.index("Key")] == "3")
    assert (told[head.index("Value")], told[head.index("Note")], told[head.index("Tries")]) == ("'=cmd|' /C calc'!A0", "bad \ufffd sign", 1)
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    assert reverse("rejects:export_excel") in client.get(reverse("rejects:list")).content.decode()


def test_a_parked_record_leads_to_what_it_waits_for(enter, company, accounts_sync, contacts_sync, run_now):
    client = enter("operator")
    company.contacts(c1=42)
    run_now(contacts_sync)
    row = OpenRow.objects.get(state="parked")

    page = client.get(reverse("rejects:detail", args=[row.pk])).content.decode()
    group = client.get(reverse("rejects:cause", args=[contacts_sync.pk, row.cause])).content.decode()

    trace = f"{reverse('syncs:trace', args=[accounts_sync.pk])}?key=42"
    assert trace in page
    assert trace in group
    assert "It has waited since" in page
    assert "accounts" in page


def test_a_row_closed_by_a_later_pass_says_so(enter, shop, left, run_now):
    client, row = enter("viewer"), OpenRow.objects.get(key="3")
    shop.run("CRM", "UPDATE shops SET name = 'Three' WHERE id = 3")
    run_now(left)

    page = shown(client, "rejects:detail", row.pk)

    assert "Closed by a later pass" in page
    assert "A later run met this record again and it went through" in page


def test_a_record_of_which_nobody_could_tell_is_linked_on_a_page_of_its_own(enter, shop, untold):
    client, number = enter("operator"), number_of(shop, "3")

    page = shown(client, "rejects:detail", untold.pk)
    form = shown(client, "rejects:link", untold.pk)
    wrong = press(client, "rejects:link", untold.pk, target_key="999")
    done = press(client, "rejects:link", untold.pk, target_key=number, note="seen there")

    assert "see in the target: link it there, replay it if it is not there, or dismiss it." in page
    assert "If ERP has it after all, say under which key" in form
    assert "ERP has no record with the key 999." in wrong.content.decode()
    assert "The two are linked; they are compared now." in done.content.decode()
    assert f"It is linked to ERP · stores {number} already." in shown(client, "rejects:link", untold.pk)
    replayed()
    assert "Link by hand" not in shown(client, "rejects:detail", untold.pk)
    assert client.post(reverse("rejects:link", args=[untold.pk + 1])).status_code == 404


# --- API --------------------------------------------------------------------------------------------------------------


def test_the_api_mends_assigns_and_fills_value_maps(client, person, shop, left):
    client.force_login(person("integrator"))
    v1 = "/api/v1/rejects"
    row, british = OpenRow.objects.get(key="3"), OpenRow.objects.filter(value="UK").first()

    def post(address, **body):
        return client.post(f"{v1}/{address}/", json.dumps(body), content_type=JSON)

    wrong = post(f"{row.pk}/mend", values={"staff": "many"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (400, "#/staff")
    mended = post(f"{row.pk}/mend", values={"name": "Three"}, note="shop sign")
    assert (mended.status_code, mended.json()["mended"], mended.json()["is_replaying"]) == (200, {"name": "Three"}, True)
    replayed()
    assert stores(shop)["3"][0] == "Three"
    assert post(f"{row.pk}/forget-mend").json()["mended"] == {}
    assert post(f"{row.pk}/forget-mend").status_code == 409
    assert post("assign", sync=left.pk, cause=british.cause, to="integrator", note="mine").json() == {"count": 2}
    found = client.get(f"{v1}/?assigned_to__username=integrator").json()["items"]
    assert {(each["assigned_to"], each["assigned_note"]) for each in found} == {("integrator", "mine")}
    added = post(f"{british.pk}/value-map", becomes="GB")
    assert added.json() == {"version": 2, "in_draft": True, "count": 2}
    assert post(f"{british.pk}/value-map", becomes="GB").status_code == 409


def test_records_of_which_nobody_could_tell_are_linked_from_their_group_and_replayed_only_when_sure(enter, untold):
    client = enter("operator")

    page = client.get(reverse("rejects:list")).content.decode()

    assert reverse("rejects:link", args=[untold.pk]) in page
    assert reverse("rejects:mend", args=[untold.pk]) not in page
    assert "see in the target: link by hand what is there, replay what is not, or dismiss it." in page
    assert "when they are replayed" not in page
    assert 'data-confirm="Replay 1 record?"' in page
    assert 'data-confirm="Replay the selected records?"' in page
    assert 'data-confirm="Replay 1 record?"' in client.get(reverse("rejects:detail", args=[untold.pk])).content.decode()


def test_the_api_links_a_record_of_which_nobody_could_tell(client, person, shop, untold):
    client.force_login(person("operator"))

    def post(**body):
        return client.post(f"/api/v1/rejects/{untold.pk}/link/", json.dumps(body), content_type=JSON)

    assert post(target_key="999").json()["errors"][0]["pointer"] == "#/target_key"
    linked = post(target_key=number_of(shop, "3"), note="seen there")
    assert (linked.status_code, linked.json()["is_replaying"]) == (200, True)
    assert post(target_key=number_of(shop, "3")).status_code == 409
    assert replayed().balanced


def test_all_rejects_of_a_sync_are_replayed_but_for_those_of_which_nobody_can_tell(client, person, shop, untold, run_now):
    client.force_login(person("operator"))
    add(shop, (4, "", "Germany", 4))
    run_now(Sync.objects.get(pk=untold.sync_id))
    assert dict(OpenRow.objects.open().values_list("key", "state")) == {"3": "unknown", "4": "rejected"}

    told = client.post("/api/v1/rejects/replay/", {"sync": untold.sync_id}, content_type=JSON)

    assert told.json() == {"count": 1}
    assert replayed().keys == ["4"]
    assert shop.run("ERP", "SELECT count(*) FROM stores WHERE crm_id = '3'") == [(1,)]


def test_what_waits_for_a_decision_is_not_mended_over_the_api_either(client, person, shop, shops, run_now, by):
    add(shop, (1, "One", "Germany", 1))
    run_now(shops)
    shop.run("CRM", "UPDATE shops SET staff = 2")
    run_now(services.change_sync(shops, by=by, most_updates=0))
    row = OpenRow.objects.open().get()
    client.force_login(person("operator"))

    told = client.post(f"/api/v1/rejects/{row.pk}/mend/", {"values": {"staff": "3"}}, content_type=JSON)

    assert (told.status_code, told.json()["detail"]) == (409, "It waits for a decision. Accept or refuse that first.")
    assert not Mend.objects.exists()


def test_the_trace_of_a_record_is_found_whatever_its_key_is(enter, shop, left, run_now):
    OpenRow.objects.filter(key="3").update(key="A&B #3")
    row = OpenRow.objects.get(key="A&B #3")

    page = enter("operator").get(reverse("rejects:detail", args=[row.pk])).content.decode()

    assert f"{reverse('syncs:trace', args=[row.sync_id])}?key=A%26B+%233" in page


def test_a_mended_record_is_shown_mended_on_its_way(enter, left, operator):
    resolving.mend_reject(OpenRow.objects.get(key="3"), {"name": "Three"}, by=operator)

    client = enter("administrator")
    page = shown(client, "syncs:trace", left.pk, key="3")

    assert "name = Three taken instead of what the source says" in page
    assert "3 mended" in shown(client, "rejects:list", field="name")
