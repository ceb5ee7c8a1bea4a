"""Rejects are mended, cleared by an entry in a value map, linked by hand, and assigned."""

import pytest
from django.core.exceptions import ValidationError

from integration_hub.accounts.actor import Actor, Forbidden
from integration_hub.audit.models import Entry
from integration_hub.syncs import plans, resolving, services
from integration_hub.syncs.kept import unpacked_record
from integration_hub.syncs.models import Link, Mend, OpenRow, Sync
from integration_hub.syncs.services import NotPossible
from tests.syncs.conftest import finish
from tests.syncs.linked import company
from tests.syncs.shops import DEFINITION, add, number_of, replayed, shop, shops, stores, untold

__all__ = ["company", "shop", "shops", "untold"]

pytestmark = pytest.mark.django_db(transaction=True)


# --- mend -------------------------------------------------------------------------------------------------------------


def test_a_mended_value_is_taken_instead_of_the_source_s_until_its_record_changes(shop, shops, run_now, operator):
    add(shop, (1, "", "Germany", 5), (2, "Two", "Germany", 6))
    run_now(shops)
    row = OpenRow.objects.get()

    resolving.mend_reject(row, {"name": "One"}, by=operator, note="as on their site")
    run = replayed()

    row.refresh_from_db()
    assert (row.closed_as, run.balanced) == ("replayed", True)
    assert stores(shop)["1"] == ["One", "DE", 5]
    entry = Entry.objects.get(event="reject.mended")
    assert (entry.changes, entry.note, entry.actor_name) == ({"1 name": ["", "One"]}, "as on their site", "operator")
    again = run_now(shops)
    assert (again.state, again.sums()["unchanged"]) == ("succeeded", 2)
    shop.run("CRM", "UPDATE shops SET staff = 9 WHERE id = 1")
    changed = run_now(shops)
    assert (changed.state, changed.sums()["rejected"]) == ("with_rejects", 1)
    assert not Mend.objects.exists()
    assert stores(shop)["1"] == ["One", "DE", 5]


def test_a_value_that_is_not_of_its_field_s_type_changes_nothing(shop, shops, run_now, operator):
    add(shop, (1, "", "Germany", 5))
    run_now(shops)
    row = OpenRow.objects.get()

    for values, said in (
        ({"staff": "many", "name": "One"}, "“many” is not integer."),
        ({"id": "7"}, "id is no field whose values can be mended."),
        ({"nothing": "7"}, "nothing is no field whose values can be mended."),
        ({"name": ""}, "No value was changed."),
    ):
        with pytest.raises(ValidationError) as refused:
            resolving.mend_reject(row, values, by=operator)
        assert refused.value.messages == [said]

    row.refresh_from_db()
    assert not Mend.objects.exists()
    assert row.replay_at is None
    assert not Entry.objects.filter(event="reject.mended").exists()


def test_a_record_mended_in_one_field_and_left_for_another_keeps_what_the_source_says(shop, shops, run_now, operator):
    add(shop, (1, "", "Narnia", 5))
    run_now(shops)
    row = OpenRow.objects.get()
    first = row.field

    resolving.mend_reject(row, {"name": "One", "country": "Narnia "} if first == "name" else {"country": "Germany"}, by=operator)
    replayed()
    row.refresh_from_db()
    assert (row.closed_at, row.field) == (None, "name" if first == "country" else "country")
    assert (unpacked_record(row.record)["name"], unpacked_record(row.record)["country"]) == ("", "Narnia")
    resolving.mend_reject(row, {"name": "One", "country": "Germany"}, by=operator)
    replayed()

    assert Mend.objects.get().values == {"name": ["", "One"], "country": ["Narnia", "Germany"]}
    assert stores(shop)["1"] == ["One", "DE", 5]


def test_a_dry_run_takes_mended_values_and_forgets_none(shop, shops, run_now, operator):
    add(shop, (1, "", "Germany", 5))
    run_now(shops)
    row = OpenRow.objects.get()
    resolving.mend_reject(row, {"name": "One"}, by=operator)
    replayed()
    shop.run("CRM", "UPDATE shops SET staff = 9 WHERE id = 1")

    run = run_now(shops, dry=True)

    assert run.sums()["rejected"] == 1
    assert Mend.objects.exists()


def test_a_plan_with_a_mended_record_is_applied_as_long_as_the_source_has_not_changed_it(shop, shops, run_now, operator, by):
    add(shop, (1, "", "Germany", 5), (2, "", "Germany", 6))
    run_now(shops)
    for row in OpenRow.objects.order_by("key"):
        resolving.mend_reject(row, {"name": f"Shop {row.key}"}, by=operator)
        replayed()
    Link.objects.all().delete()
    shop.run("ERP", "DELETE FROM stores")
    plan = run_now(shops, dry=True)
    shop.run("CRM", "UPDATE shops SET staff = 9 WHERE id = 2")

    run = finish(plans.apply_plan(plans.approve_plan(plan, by=by, reason="Checked"), by=by))

    assert (run.counts["created"], run.counts["moved"], run.balanced) == (1, 1, True)
    assert stores(shop) == {"1": ["Shop 1", "DE", 5]}


def test_a_mend_is_taken_back(shop, shops, run_now, operator):
    add(shop, (1, "", "Germany", 5))
    run_now(shops)
    row = OpenRow.objects.get()
    resolving.mend_reject(row, {"name": "One"}, by=operator)
    replayed()
    row.refresh_from_db()

    resolving.forget_mend(row, by=operator)

    assert run_now(shops).sums()["rejected"] == 1
    with pytest.raises(NotPossible, match="No value of this record is mended"):
        resolving.forget_mend(row, by=operator)


def test_what_is_closed_or_of_unknown_outcome_is_not_mended(shop, shops, run_now, operator):
    add(shop, (1, "", "Germany", 5))
    run_now(shops)
    OpenRow.objects.update(state="unknown")
    with pytest.raises(NotPossible, match="Nobody can tell"):
        resolving.mend_reject(OpenRow.objects.get(), {"name": "One"}, by=operator)
    services.dismiss_rejects(OpenRow.objects.all(), by=operator, note="x")
    with pytest.raises(NotPossible, match="not open any more"):
        resolving.mend_reject(OpenRow.objects.get(), {"name": "One"}, by=operator)


@pytest.mark.parametrize("asked_by_key", [True, False], ids=["read anew", "as it was kept"])
def test_a_value_that_could_not_be_read_is_mended(shop, shops, run_now, operator, asked_by_key):
    if not asked_by_key:
        source = shops.source
        source.schema["capabilities"]["lookup_by_key"] = False
        source.save()
    add(shop, (1, "", "Germany", "many"), (2, "Two", "Germany", 6))
    run_now(shops)
    row = OpenRow.objects.get()
    assert (row.step, row.field, row.value) == ("read", "staff", "many")

    resolving.mend_reject(row, {"staff": "5"}, by=operator)
    replayed()
    row.refresh_from_db()
    assert (row.closed_at, row.field) == (None, "name")
    resolving.mend_reject(row, {"name": "One"}, by=operator)
    assert replayed().balanced

    assert Mend.objects.get().values == {"staff": ["many", "5"], "name": ["", "One"]}
    assert stores(shop)["1"] == ["One", "DE", 5]
    assert run_now(shops).sums()["unchanged"] == 2
    shop.run("CRM", "UPDATE shops SET staff = 'few' WHERE id = 1")
    assert run_now(shops).sums()["rejected"] == 1
    assert not Mend.objects.exists()


def test_a_replayed_record_that_cannot_be_read_still_holds_up_no_other(shop, shops, run_now, operator):
    add(shop, (1, "One", "Germany", "many"), (2, "", "Germany", 6), (3, "", "Germany", 7))
    run_now(shops)
    shop.run("CRM", "UPDATE shops SET name = 'Two' WHERE id = 2")
    shop.run("CRM", "UPDATE shops SET name = 'Three', staff = 'few' WHERE id = 3")

    services.replay_rejects(OpenRow.objects.all(), by=operator)
    run = replayed()

    assert (run.state, run.balanced, run.sums()["rejected"]) == ("with_rejects", True, 2)
    assert stores(shop) == {"2": ["Two", "DE", 6]}
    assert {row.key: row.step for row in OpenRow.objects.open()} == {"1": "read", "3": "read"}


def test_no_value_is_put_where_a_field_takes_none(shop, shops, run_now, operator):
    add(shop, (1, "One", "Germany", "many"))
    run_now(shops)

    resolving.mend_reject(OpenRow.objects.get(), {"staff": None}, by=operator)
    replayed()

    assert stores(shop)["1"] == ["One", "DE", None]


def test_a_mended_value_of_a_field_that_is_of_another_type_now_is_no_null(shop, shops, run_now, operator):
    add(shop, (1, "", "Germany", 5))
    run_now(shops)
    resolving.mend_reject(OpenRow.objects.get(), {"name": "One"}, by=operator)
    replayed()
    Mend.objects.update(values={"name": ["", "One"], "staff": ["5", "a dozen"]})

    run_now(shops)

    row = OpenRow.objects.open().get()
    assert (row.step, row.field, row.value) == ("read", "staff", "a dozen")


# --- value map --------------------------------------------------------------------------------------------------------


@pytest.fixture
def british(shop, shops, run_now):
    add(shop, (1, "One", " UK", 1), (2, "Two", "UK", 2), (3, "Three", "Germany", 3), (4, "Four", "Narnia", 4))
    run_now(shops)
    return OpenRow.objects.filter(value="UK")


def test_one_entry_in_the_value_map_clears_the_whole_group(shop, shops, british, integrator):
    mapping = shops.mapping
    mapping.draft = {**DEFINITION, "note": "not ready"}
    mapping.save()

    added = resolving.add_to_value_map(british[0], "GB", by=integrator)
    run = replayed()

    mapping.refresh_from_db()
    assert (added.version.number, added.count, added.in_draft) == (2, 2, True)
    assert run.mapping_version == added.version
    assert added.version.definition["fields"][2]["steps"][1]["table"] == {"Germany": "DE", "UK": "GB"}
    assert added.version.definition.get("note", "") == ""
    assert (mapping.draft["note"], mapping.draft["fields"][2]["steps"][1]["table"]) == ("not ready", {"Germany": "DE", "UK": "GB"})
    assert {key: country for key, (__, country, ___) in stores(shop).items() if key.isdigit()} == {"1": "GB", "2": "GB", "3": "DE"}
    assert [row.value for row in OpenRow.objects.open()] == ["Narnia"]


def test_one_who_may_not_publish_changes_the_draft_alone(shops, british, person):
    by = Actor("token", "CI", 1, Actor.of(person("integrator")).role, frozenset({"mappings.change", "rejects.resolve"}))

    added = resolving.add_to_value_map(british[0], "GB", by=by)

    shops.mapping.refresh_from_db()
    assert (added.version, added.count, shops.mapping.latest.number) == (None, 0, 1)
    assert shops.mapping.draft["fields"][2]["steps"][1]["table"]["UK"] == "GB"
    assert british.filter(replay_at=None).count() == 2


@pytest.mark.parametrize("is_dismissed", [True, False])
def test_no_version_is_published_for_what_is_not_open_any_more(shop, shops, british, run_now, integrator, is_dismissed):
    row = OpenRow.objects.open().first()
    if is_dismissed:
        services.dismiss_rejects(OpenRow.objects.filter(pk=row.pk), by=integrator, note="closed")
    else:
        shop.run("CRM", "UPDATE shops SET country = 'Germany'")
        run_now(shops)
    row.refresh_from_db()

    with pytest.raises(services.NotPossible):
        resolving.add_to_value_map(row, "GB", by=integrator)

    assert shops.mapping.versions.count() == 1


def test_an_entry_that_would_not_help_changes_nothing(shops, british, integrator, operator):
    with pytest.raises(ValidationError, match="Say what “UK” becomes"):
        resolving.add_to_value_map(british[0], "", by=integrator)
    with pytest.raises(Forbidden):
        resolving.add_to_value_map(british[0], "GB", by=operator)
    OpenRow.objects.update(step="required")
    with pytest.raises(NotPossible):
        resolving.add_to_value_map(british[0], "GB", by=integrator)

    assert shops.mapping.latest.number == 1


def test_a_value_that_is_not_allowed_becomes_one_that_is(shop, shops, by, run_now, integrator):
    definition = {**DEFINITION, "fields": [*DEFINITION["fields"][:2], {"target": "country", "source": "country", "allowed": ["DE", "FR"]}]}
    shops.mapping.versions.model.objects.create(
        mapping=shops.mapping, number=2, definition=definition, source_schema={}, target_schema={}, published_by="x"
    )
    add(shop, (1, "One", "Deutschland", 1), (2, "Two", "Allemagne", 2))
    run_now(shops)

    with pytest.raises(ValidationError, match="It would be rejected still"):
        resolving.add_to_value_map(OpenRow.objects.get(value="Deutschland"), "Germany", by=integrator)
    assert resolving.missing_entry(OpenRow.objects.get(value="Deutschland")).known == ("DE", "FR")
    resolving.add_to_value_map(OpenRow.objects.get(value="Deutschland"), "DE", by=integrator)
    replayed()
    added = resolving.add_to_value_map(OpenRow.objects.open().get(), "DE", by=integrator)
    replayed()

    steps = added.version.definition["fields"][2]["steps"]
    assert [step["transform"] for step in steps] in (["value_map"], ["value_map", "value_map"])
    assert {key: country for key, (__, country, ___) in stores(shop).items()} == {"1": "DE", "2": "DE"}


# --- link -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_asked", [True, False], ids=["looked up", "taken at one's word"])
def test_a_record_that_is_there_after_all_is_linked_by_hand_and_compared(shop, shops, untold, run_now, operator, is_asked):
    target = shops.target
    target.schema["capabilities"]["lookup_by_key"] = is_asked
    target.save()
    shop.run("ERP", "UPDATE stores SET name = 'Tree' WHERE crm_id = '3'")
    number = number_of(shop, "3")

    resolving.link_unknown(untold, f" {number} ", by=operator, note="seen there")
    run = replayed()

    untold.refresh_from_db()
    assert (untold.closed_as, run.sums()["updated"], run.balanced) == ("replayed", 1, True)
    assert Link.objects.live(shops.pair_id).get(a_key="3").b_key == number
    assert stores(shop)["3"] == ["Three", "DE", 3]
    entry = Entry.objects.get(event="reject.linked")
    assert (entry.changes, entry.note, entry.actor_name) == ({"3": [None, number]}, "seen there", "operator")
    again = run_now(Sync.objects.get(pk=shops.pk))
    assert (again.sums()["unchanged"], len(stores(shop))) == (3, 3)


def test_a_record_is_linked_to_none_that_is_missing_or_of_another(shop, untold, operator, person):
    taken = number_of(shop, "1")

    for key, said in (
        ("", "Say under which key ERP has it."),
        ("999", "ERP has no record with the key 999."),
        (taken, f"ERP · stores {taken} already belongs to record 1 of the source."),
    ):
        with pytest.raises(ValidationError) as refused:
            resolving.link_unknown(untold, key, by=operator)
        assert refused.value.message_dict == {"target_key": [said]}
    with pytest.raises(Forbidden):
        resolving.link_unknown(untold, number_of(shop, "3"), by=Actor.of(person("viewer")))

    untold.refresh_from_db()
    assert (untold.replay_at, Link.objects.filter(a_key="3").exists()) == (None, False)
    assert not Entry.objects.filter(event="reject.linked").exists()


def test_a_target_that_does_not_answer_is_no_reason_to_believe(shop, untold, operator):
    number = number_of(shop, "3")
    shop.run("ERP", "ALTER TABLE stores RENAME TO closed")

    with pytest.raises(NotPossible, match=f"ERP could not be asked for {number}: "):
        resolving.link_unknown(untold, number, by=operator)

    assert not Link.objects.filter(a_key="3").exists()


def test_only_what_nobody_can_tell_of_is_linked_by_hand(shop, untold, operator):
    number = number_of(shop, "3")
    resolving.link_unknown(untold, number, by=operator)
    with pytest.raises(NotPossible, match=f"It is linked to ERP · stores {number} already. Replay it"):
        resolving.link_unknown(untold, number, by=operator)
    replayed()
    untold.refresh_from_db()
    with pytest.raises(NotPossible, match="not open any more"):
        resolving.link_unknown(untold, number, by=operator)
    OpenRow.objects.update(state="refused", closed_at=None)
    untold.refresh_from_db()
    with pytest.raises(NotPossible, match="Only a record of which nobody can tell"):
        resolving.link_unknown(untold, number, by=operator)


# --- assign -----------------------------------------------------------------------------------------------------------


def test_rows_are_assigned_with_a_note_and_to_nobody_again(shops, british, operator, person, django_user_model):
    ada = person("viewer", username="ada", first_name="Ada", last_name="Lovelace")

    assert resolving.assign_rejects(british, to=ada, by=operator, note="ask the British") == 2

    assert {(row.assigned_to, row.assigned_note) for row in british} == {(ada, "ask the British")}
    entry = Entry.objects.get(event="rejects.assigned")
    assert (entry.changes, entry.note) == ({"assigned_to": [None, "Ada Lovelace"]}, "2: ask the British")
    resolving.assign_rejects(british, to=None, by=operator)
    assert {(row.assigned_to, row.assigned_note) for row in british.all()} == {(None, "")}
    django_user_model.objects.filter(pk=ada.pk).update(is_active=False)
    ada.refresh_from_db()
    with pytest.raises(ValidationError, match="cannot look after rejects"):
        resolving.assign_rejects(british, to=ada, by=operator)
