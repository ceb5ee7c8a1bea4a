"""What a reader of another language is told in it, where the text comes from more than a page."""

import pytest
from django.utils import translation

from connectors.base import Field, FieldType
from integration_hub.accounts.actor import Actor
from integration_hub.audit import services as audit
from integration_hub.audit import texts as audit_texts
from integration_hub.audit.models import Entry
from integration_hub.core import texts
from integration_hub.mappings.preview import preview
from integration_hub.syncs import services
from integration_hub.syncs.models import Run
from integration_hub.systems.drift import schema_changes
from integration_hub.systems.models import Entity
from integration_hub.systems.services import accept_schema
from tests.fakes import CONTACTS
from tests.mappings.mapped import entity
from tests.test_permissions import things  # noqa: F401 a fixture: a sync of which a run is going

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def chinese():
    with translation.override("zh-hans"):
        yield


@pytest.mark.parametrize("type_", [type_ for type_ in FieldType if type_ != FieldType.JSON], ids=str)
def test_the_types_of_fields(type_):
    changed = CONTACTS.model_copy(update={"fields": [*CONTACTS.fields, Field(name="new", type=type_)]})

    (change,) = schema_changes(CONTACTS, changed)

    assert texts.type_word(type_) != type_.value
    assert texts.type_word(type_) in texts.render(change.text)
    assert type_.value in str(change.text)  # as it is written down


@pytest.mark.parametrize(
    ("acts", "said"),
    [(["pause_run"], "Ada 暂停了执行"), (["pause_run", "resume_run"], "Ada 恢复了执行"), (["cancel_run"], "Ada 请求取消")],
    ids=["paused", "resumed", "cancelled"],
)
def test_what_somebody_did_to_a_run_in_its_log(things, person, acts, said):  # noqa: F811

    ada = Actor.of(person("operator", first_name="Ada"))

    for act in acts:
        getattr(services, act)(Run.objects.get(), by=ada)

    assert [texts.render(line.text) for line in Run.objects.get().log.order_by("pk")][-1] == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"connector": ["", "rest"]}, "连接器: rest"),
        ({"entities": ["contacts", "contacts, orders"]}, "数据对象: contacts → contacts, orders"),
        ({"secrets": ["", "changed"]}, "机密值: 已变更"),
        ({"read_only": [False, True]}, "只读: 否 → 是"),
        ({"state": ["unknown", "reachable"]}, "状态: 尚未检查 → 可连接"),
        ({"settings.base_url": ["https://a", "https://b"]}, "settings.base_url: https://a → https://b"),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_what_changed_in_the_audit_log(make_system, hub, changes, said):
    entry = audit.record("system.changed", make_system(), by=hub, changes=changes)

    assert audit_texts.details(entry) == said


def test_which_fields_changed_in_the_audit_log(make_system, hub):
    entity = Entity.objects.create(system=make_system(), name="contacts", schema=CONTACTS.model_dump(mode="json"))
    shown = CONTACTS.model_copy(update={"fields": (*CONTACTS.fields[:-1], Field(name="city"))})
    entity.found_schema = shown.model_dump(mode="json")
    entity.save()

    accept_schema(entity, by=hub)

    assert audit_texts.details(Entry.objects.get()) == f"结构: {CONTACTS.fields[-1].name} 已消失、city 为新增，类型 文本"


def test_the_types_in_what_is_wrong_with_a_mapping():
    step = {"fields": [{"target": "n", "source": "s", "steps": [{"transform": "round"}]}]}

    found = preview(step, entity("s").model_dump(), entity({"name": "n", "type": "integer"}).model_dump(), [])["problems"]

    assert texts.render(found[0]["text"]) == "“取整”适用于 小数, 整数, 数字 类型，但得到的是 文本 类型。请在它之前添加一个转换步骤。"


def test_the_types_in_the_help(client, person):
    client.force_login(person("viewer"))

    assert "小数" in client.get("/help/transforms/", headers={"Accept-Language": "zh-hans"}).content.decode()
