"""Export, diff and apply: the same services as people use, all or nothing, twice is once."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from integration_hub.accounts.actor import Forbidden
from integration_hub.audit.models import Entry
from integration_hub.blueprints import schema, services
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.syncs.models import Pair, Sync
from integration_hub.syncs.services import pause_sync
from integration_hub.systems.connection import revealed
from integration_hub.systems.models import Entity, System

from .conftest import CRM

pytestmark = pytest.mark.django_db


@pytest.fixture
def applied(manage, secrets):
    code, out, err = manage("config", "apply", CRM)
    assert code == 0, err
    return out


# --- apply ------------------------------------------------------------------------------------------------------------


def test_a_file_makes_systems_mappings_and_syncs_on_an_empty_hub(applied):
    sync = Sync.objects.get()

    assert applied.count("+ ") == 4
    assert (str(sync.source), str(sync.target)) == ("CRM · contacts", "Shop · customers")
    assert sync.mapping.latest.number == 1
    assert sync.next_due_at is not None
    assert Entity.objects.get(name="contacts").as_schema().capabilities.create
    assert revealed(System.objects.get(name="Shop")) == {"auth/values": {"user": "hub", "password": "p-secret"}}


def test_applying_twice_changes_nothing_and_records_nothing(applied, manage):
    entries = Entry.objects.count()

    code, out, _err = manage("config", "apply", CRM)

    assert (code, out.strip()) == (0, "Nothing to change: the hub is as the files say.")
    assert Entry.objects.count() == entries


def test_only_what_differs_is_changed_and_told(applied, manage):
    changed = CRM.replace("interval_seconds: 60", "interval_seconds: 120").replace(
        "target: mail, source: email", "target: mail, source: email, required: true"
    )

    code, out, _err = manage("config", "diff", changed)
    assert code == 1
    assert Sync.objects.get().interval_seconds == 60
    code, out, _err = manage("config", "apply", changed)

    assert code == 0
    assert "~ mapping Contacts to customers\n    fields.1.required: nothing → true\n" in out
    assert "~ sync Contacts → customers\n    interval_seconds: 60 → 120\n" in out
    assert Sync.objects.get().interval_seconds == 120
    assert Mapping.objects.get().latest.number == 2
    assert manage("config", "diff", changed)[0] == 0


def test_a_draft_that_somebody_works_on_is_left_alone(applied, manage):
    Mapping.objects.update(draft={"fields": [{"target": "name", "source": "email"}]})

    manage("config", "apply", CRM)

    assert Mapping.objects.get().draft == {"fields": [{"target": "name", "source": "email"}]}
    assert Mapping.objects.get().versions.count() == 1


def test_a_paused_sync_stays_paused_unless_the_file_says_otherwise(applied, manage, hub):
    sync = Sync.objects.get()
    pause_sync(sync, by=hub)

    assert "Nothing to change" in manage("config", "apply", CRM)[1]
    assert "paused: true" in manage("config", "export")[1]
    manage("config", "apply", CRM.replace("interval_seconds: 60", "interval_seconds: 60\n    paused: false"))

    assert Sync.objects.get().paused_at is None


def test_all_or_nothing_and_every_mistake_with_its_line(manage, secrets):
    wrong = (
        CRM.replace("mode: incremental", "mode: sideways")
        .replace("connector: rest\n    settings:\n      base_url: https://shop", "connector: soap\n    settings:\n      base_url: https://shop")
        .replace("name: name, max_length: 40", "name: name, max_lenght: 40")
    )

    code, _out, err = manage("config", "apply", wrong)
    assert code == 2
    assert ":38: mode must be one of full, incremental." in err

    code, _out, err = manage("config", "apply", wrong.replace("sideways", "incremental"))
    assert code == 2
    assert re.search(r":10: .*max_lenght", err), err
    assert re.search(r":16: There is no connector “soap”", err), err
    assert not System.objects.exists()
    assert not Entry.objects.exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 1", "version: 2", "version 1 of the format, not 2"),
        ("entities: [contacts]", "entities: [contacts]\n    colour: red", "colour"),
        ("entities: [contacts]", "entities: [contacts, orders]", "orders"),
        ("source: CRM/contacts", "source: CRM/people", "no entity CRM/people"),
        ("transform: trim", "transform: trimm", "Did you mean trim"),
        ("source: email}", "source: e_mail}", "e_mail"),
        ("match: [[mail]]", "match: [[phone]]", "phone"),
        ("mapping: Contacts to customers\n", "mapping: Contacts\n", "no mapping Contacts"),
        ("interval_seconds: 60", "crontab: never", "no crontab"),
        ("interval_seconds: 60", "filter: email ~~ 1", ""),
        ("${ENV:CRM_TOKEN}", "t-plain", "does not stand in a file"),
        ("${ENV:CRM_TOKEN}", "${ENV:CRM_TOKEN_2}", "The environment has no CRM_TOKEN_2"),
        ("${ENV:SHOP_USER}", "hub", "does not stand in a file"),
        ("${ENV:CRM_TOKEN}", "${ENV:CREDENTIAL_KEYS}", "hub's own"),
    ],
)
def test_unknown_keys_plain_credentials_other_versions_and_what_does_not_exist_are_refused_with_their_line(manage, secrets, old, new, said):
    assert old in CRM

    text = CRM.replace(old, new, 1)
    line = text[: text.index(new) + len(new.strip())].count("\n") + 1

    code, _out, err = manage("config", "apply", text)

    assert code == 2
    assert re.search(rf"yaml:{line}: ", err), err
    assert said in err
    assert "secret" not in err.replace("A secret does", "")
    assert not System.objects.exists()


def test_a_list_with_a_bad_entry_is_not_called_empty_as_well(manage):
    bad = "version: 1\nmappings:\n  M:\n    source: A/b\n    target: A/c\n    fields:\n      - {target: x, source: y, colour: red}\n"

    code, _out, err = manage("config", "apply", bad)

    assert code == 2
    assert re.findall(r"yaml:(\d+): (.*)", err) == [("7", "fields.1.colour is not known here.")]


def test_syncs_that_run_after_each_other_in_a_circle_are_refused_with_their_line(applied, manage):
    circle = f"{CRM}    after: [Other]\n  Other:\n    mapping: Contacts to customers\n    mode: full\n    after: [Contacts → customers]\n"

    code, _out, err = manage("config", "apply", circle)

    assert code == 2
    assert re.search(r"yaml:\d+: .*cannot run after", err), err
    assert Sync.objects.count() == 1


def test_programs_get_mistakes_as_json(manage, secrets):
    code, out, _err = manage("config", "diff", "--json", CRM.replace("version: 1", "version: 7"))

    assert code == 2
    assert json.loads(out)["errors"][0]["line"] == 1


def test_several_files_are_one_and_nothing_may_be_in_two(manage, secrets):
    systems, rest = CRM.split("mappings:\n")

    assert manage("config", "apply", systems, f"version: 1\nmappings:\n{rest}")[0] == 0
    code, _out, err = manage("config", "apply", CRM, systems)

    assert code == 2
    assert "“CRM” is there already" in err


def test_a_mapping_keeps_its_entities_and_a_system_its_connector(applied, manage):
    code, _out, err = manage("config", "apply", CRM.replace("source: CRM/contacts", "source: Shop/customers"))

    assert code == 2
    assert "keeps its entities" in err


def test_who_may_not_apply_cannot(operator, auditor, secrets):
    files = [("x.yaml", CRM)]
    for person in (operator, auditor):
        with pytest.raises(Forbidden):
            services.apply_config(files, by=person, dry=True)
    with pytest.raises(Forbidden):
        services.export_config(by=operator)
    assert services.export_config(by=auditor) == {"version": 1}


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_new_secret_is_told_without_its_value(applied, manage, monkeypatch):
    monkeypatch.setenv("CRM_TOKEN", "another-secret")

    _code, out, err = manage("config", "apply", CRM)

    assert "settings.auth.token:" in out
    assert "another-secret" not in out + err + str(list(Entry.objects.values_list("changes", flat=True)))
    assert revealed(System.objects.get(name="CRM"))["auth/token"] == "another-secret"


def test_a_secret_whose_variable_is_not_set_is_kept_but_not_for_another_host(applied, manage, monkeypatch):
    monkeypatch.delenv("CRM_TOKEN")
    monkeypatch.delenv("SHOP_PASSWORD")

    code, _out, err = manage("config", "apply", CRM)
    assert code == 0
    assert "CRM_TOKEN is not set; CRM keeps the secret it has." in err
    assert revealed(System.objects.get(name="Shop"))["auth/values"]["password"] == "p-secret"

    code, _out, err = manage("config", "apply", CRM.replace("crm.example.com", "elsewhere.example.net"))
    assert code == 2
    assert "not sent to another host" in err


def test_a_file_says_what_becomes_of_deletes_and_what_a_run_may_do_without_asking(applied, manage):
    said = "interval_seconds: 60\n    deletes: mark\n    mark_field: mail\n    mark_value: gone\n    left_filter: delete\n    most_creates: 100\n    most_deletes_percent: 5"

    assert manage("config", "apply", CRM.replace("interval_seconds: 60", said))[0] == 0
    sync = Sync.objects.get()
    assert (sync.deletes, sync.mark_field, sync.mark_value, sync.left_filter) == ("mark", "mail", "gone", "delete")
    assert (sync.most_creates, sync.most_deletes_percent, sync.most_updates) == (100, 5, None)
    exported = yaml.safe_load(manage("config", "export")[1])["syncs"]["Contacts → customers"]
    assert (exported["deletes"], exported["most_creates"], exported["most_deletes_percent"]) == ("mark", 100, 5)
    assert "most_updates" not in exported
    code, __, err = manage("config", "apply", CRM.replace("interval_seconds: 60", "interval_seconds: 60\n    deletes: delete"))
    assert code != 0
    assert "cannot be deleted through its connector" in err


def test_a_file_says_when_all_keys_are_read_to_see_deletes(applied, manage):
    said = "interval_seconds: 60\n    deletes: mark\n    mark_field: mail\n    mark_value: gone\n    roster_crontab: 0 3 * * *"
    follows = CRM.replace("interval_seconds: 60", said)

    code, __, err = manage("config", "apply", follows)
    assert code == 2
    assert "cannot be asked for single records, and its order is not stable" in err
    assert manage("config", "apply", follows.replace("list: {path: /contacts,", "list: {path: /contacts, stable_order: true,"))[0] == 0

    sync = Sync.objects.get()
    assert (sync.roster_crontab, sync.roster_due_at is not None) == ("0 3 * * *", True)
    exported = yaml.safe_load(manage("config", "export")[1])["syncs"]["Contacts → customers"]
    assert exported["roster_crontab"] == "0 3 * * *"
    assert "roster_interval_seconds" not in exported


# --- export -----------------------------------------------------------------------------------------------------------


def test_an_export_is_stable_and_holds_no_secret(applied, manage):
    first, second = manage("config", "export")[1], manage("config", "export")[1]

    assert first == second
    assert "secret" not in first
    assert "${ENV:SHOP_AUTH_VALUES_PASSWORD}" in first
    assert yaml.safe_load(first)["syncs"]["Contacts → customers"] == {
        "mapping": "Contacts to customers",
        "mode": "incremental",
        "interval_seconds": 60,
    }


def test_an_export_applies_to_an_empty_hub_without_a_difference(applied, manage, monkeypatch):
    exported = manage("config", "export")[1]
    for name, value in {"CRM_AUTH_TOKEN": "t-secret", "SHOP_AUTH_VALUES_USER": "hub", "SHOP_AUTH_VALUES_PASSWORD": "p-secret"}.items():
        monkeypatch.setenv(name, value)
    assert manage("config", "diff", exported)[0] == 0

    for model in (Sync, Pair, MappingVersion, Mapping, System):
        model.objects.all().delete()
    assert manage("config", "apply", exported)[0] == 0

    assert manage("config", "export")[1] == exported


def test_what_was_learnt_from_the_system_is_exported_with_its_fields(applied, manage):
    entity = Entity.objects.get(name="contacts")
    entity.schema["fields"].append({"name": "nickname", "type": "text"})
    entity.save()

    exported = manage("config", "export", "CRM")[1]

    found = yaml.safe_load(exported)["systems"]["CRM"]["schemas"]["contacts"]
    assert found["fields"][-1] == {"name": "nickname"}
    assert manage("config", "diff", exported)[0] == 0


def test_some_objects_come_with_what_they_build_on(applied, manage):
    assert list(yaml.safe_load(manage("config", "export", "CRM")[1])) == ["version", "systems"]
    assert list(yaml.safe_load(manage("config", "export", "Contacts → customers")[1])) == ["version", "systems", "mappings", "syncs"]
    assert manage("config", "export", "Nobody")[0] == 2


# --- the schema -------------------------------------------------------------------------------------------------------


def test_the_published_schema_is_current():
    assert json.loads(schema.PUBLISHED.read_text()) == json.loads(json.dumps(schema.config_schema())), (
        f"python manage.py config schema > {schema.PUBLISHED.relative_to(Path.cwd())}"
    )


def test_the_schema_takes_what_the_hub_takes_and_refuses_what_it_refuses():
    published = json.loads(schema.PUBLISHED.read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    check = jsonschema.Draft202012Validator(published)

    for text in (CRM, (schema.PUBLISHED.parent / "demo.yaml").read_text()):
        assert [error.message for error in check.iter_errors(yaml.safe_load(text))] == []
    for wrong in (
        CRM.replace("connector: rest", "connector: rest\n    colour: red", 1),
        CRM.replace("${ENV:CRM_TOKEN}", "plain"),
        CRM.replace("transform: trim", "transform: trimm"),
        CRM.replace("base_url: https://crm.example.com", "base_address: x"),
    ):
        assert list(check.iter_errors(yaml.safe_load(wrong)))
