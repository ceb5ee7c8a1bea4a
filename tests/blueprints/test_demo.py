"""The demo on a running sandbox: it installs itself, its syncs bring over what they should, and it leaves alone what people changed."""

import pytest

from integration_hub.audit.models import Entry
from integration_hub.blueprints.demo import SECRETS
from integration_hub.blueprints.models import Placed
from integration_hub.mappings.models import Mapping
from integration_hub.mappings.samples import samples_of
from integration_hub.mappings.services import preview_mapping
from integration_hub.syncs.models import Link, OpenRow, Run, Sync
from integration_hub.systems import services as systems
from integration_hub.systems.models import Entity, System

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def demo(manage, sandbox):
    code, out, err = manage("demo", "install", f"--url={sandbox.url}")
    assert code == 0, err
    return out


def test_the_demos_syncs_bring_over_what_they_should(demo, sandbox, run_now):
    assert System.objects.filter(state="reachable").count() == 6
    assert dict(Entity.objects.filter(name="users").values_list("system__name", "record_count")) == {"CRM": 12, "OA": 240}
    assert Sync.objects.filter(interval_seconds__range=(60, 300), next_due_at__isnull=False).count() == 4

    runs = [run_now(sync) for sync in Sync.objects.all()]

    assert {run.state for run in runs} == {"with_rejects"}
    assert all(run.balanced for run in runs)
    targets_equal_their_sources(sandbox)
    again = [run_now(sync, full=True) for sync in Sync.objects.all()]
    assert {(run.sums()["created"], run.sums()["updated"]) for run in again} == {(0, 0)}

    sandbox.live(120)
    runs = [run_now(sync) for sync in Sync.objects.all()]

    assert {(run.mode, run.balanced) for run in runs} == {("incremental", True)}
    assert sum(run.sums()["created"] + run.sums()["updated"] for run in runs) > 10
    targets_equal_their_sources(sandbox)


def test_each_of_its_mappings_shows_what_real_records_become(demo, hub):
    """Also those with fields that no mapping uses: of every type, and several of one."""
    for mapping in Mapping.objects.all():
        records = samples_of(mapping.source, by=hub).records
        assert records[0].keys() == {field.name for field in mapping.source.as_schema().fields}

        shown = preview_mapping(mapping, records, by=hub)

        assert shown["problems"] == []
        assert "record" in shown["records"][0], mapping


def targets_equal_their_sources(sandbox):
    """Every record but the dirty ones stands in the target as the mapping says, and each dirty one is a reject."""
    users = {record["employee_id"]: record for record in sandbox.records("crm", "users")}
    for person in clean(sandbox, "oa", "user", "OA users → CRM users", lambda r: r["name"].strip() and is_mail(r["email"])):
        assert (users[person["userId"]]["full_name"], users[person["userId"]]["email"]) == (person["name"], person["email"])
    assert len({record["email"] for record in users.values()}) == len(users), "users entered by hand were adopted, not made twice"

    customers = {record["EXT_REF"]: record for record in sandbox.records("erp", "customers")}
    good = lambda r: r["tax_id"] and len(r["address"]["country"]) == 2 and r["phone"] != "n/a"  # noqa: E731
    for account in clean(sandbox, "crm", "accounts", "CRM accounts → ERP customers", good):
        customer = customers[account["id"]]
        assert (customer["NAME"], customer["TAX_NO"]) == (account["name"].strip(), account["tax_id"])
        assert (customer["STREET"], customer["CITY"], customer["PHONE"]) == (
            account["address"]["street"],
            account["address"]["city"],
            account["phone"],
        )
    assert len({record["TAX_NO"] for record in customers.values()}) == len(customers)

    planned = {record["SalesOrderRef"]: record for record in sandbox.records("mrp", "production-orders")}
    good = lambda r: r["SKU"] and r["DELIVERY_DATE"] != "00000000" and float(r["QUANTITY"]) > 0  # noqa: E731
    for order in clean(sandbox, "erp", "sales_orders", "ERP sales orders → MRP production orders", good):
        day, made = order["DELIVERY_DATE"], planned[order["ORDER_NO"]]
        assert (made["ItemCode"], made["Quantity"]) == (order["SKU"], float(order["QUANTITY"]))
        assert made["DueDate"] == f"{day[6:]}/{day[4:6]}/{day[:4]} 00:00"

    subscribers = {record["email"]: record for record in sandbox.records("marketing", "subscribers")}
    good = lambda r: is_mail(r["email"]) and len(r["address"]["country"]) == 2  # noqa: E731
    for contact in clean(sandbox, "crm", "contacts", "CRM contacts → Marketing subscribers", good):
        subscriber = subscribers[contact["email"].lower()]
        assert subscriber["status"] == ("subscribed" if contact["marketing_consent"] else "unsubscribed")
        assert (subscriber["merge"]["FNAME"], subscriber["country"]) == (contact["name"]["first"], contact["address"]["country"])


def is_mail(text):
    return text and "@" in text


def clean(sandbox, system, entity, sync, good):
    records = sandbox.records(system, entity)
    found = [record for record in records if good(record)]
    assert len(records) - len(found) == OpenRow.objects.rejects().filter(sync__name=sync).count(), sync
    return found


def test_installing_again_changes_nothing(demo, manage, sandbox):
    entries = Entry.objects.count()

    code, out, _err = manage("demo", "install", f"--url={sandbox.url}")

    assert (code, out.strip()) == (0, "The demo is installed.")
    assert Entry.objects.count() == entries


def test_what_people_changed_or_deleted_stays_so(demo, manage, sandbox, hub):
    systems.change_system(System.objects.get(name="CRM"), by=hub, notes="Ours now.")
    Sync.objects.filter(name="CRM contacts → Marketing subscribers").update(interval_seconds=900)
    Sync.objects.get(name="OA users → CRM users").delete()

    out = manage("demo", "install", f"--url={sandbox.url}")[1]

    assert "CRM was changed and stays as it is." in out
    assert "not installed again: OA users → CRM users" in out
    assert System.objects.get(name="CRM").notes == "Ours now."
    assert Sync.objects.get(name="CRM contacts → Marketing subscribers").interval_seconds == 900
    assert Sync.objects.count() == 3
    assert "Installed: OA users → CRM users" in manage("demo", "install", f"--url={sandbox.url}", "--again")[1]


def test_a_sandbox_that_moved_is_followed(demo, manage, sandbox):
    manage("demo", "install", f"--url={sandbox.url.replace('127.0.0.1', 'localhost')}")

    assert all("localhost" in system.settings["base_url"] for system in System.objects.all())


def test_a_system_of_ones_own_under_the_demos_name_is_never_touched(manage, sandbox, hub):
    systems.register_system(name="CRM", connector="rest", settings={"base_url": "https://crm.example.com"}, by=hub)

    code, _out, err = manage("demo", "install", f"--url={sandbox.url}")

    assert code == 1
    assert "CRM are here already" in err
    assert System.objects.count() == 1


def test_removing_takes_the_history_too_and_says_what_it_kept(demo, manage, sandbox, hub, run_now):
    run_now(Sync.objects.get(name="OA users → CRM users"))
    systems.change_system(System.objects.get(name="Marketing"), by=hub, notes="Ours now.")

    out = manage("demo", "remove")[1]

    assert "Marketing was changed and stays." in out
    assert [system.name for system in System.objects.all()] == ["Marketing"]
    assert not Mapping.objects.exists()
    assert not any(model.objects.exists() for model in (Run, Link, Sync))
    assert Placed.objects.exists()
    manage("demo", "install", f"--url={sandbox.url}")
    assert System.objects.count() == 1, "what somebody removed does not come back by itself"


def test_the_demos_secrets_are_those_of_the_sandbox():
    from sandbox.systems import SYSTEMS

    shown = {value for system in SYSTEMS for value in system.credentials.values()}
    assert set(SECRETS.values()) <= shown
