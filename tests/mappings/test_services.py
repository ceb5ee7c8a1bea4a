"""What can be done to a mapping, by whom, and what is kept of it."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from connectors.base import Entity as Schema
from connectors.base import Field
from integration_hub.accounts.actor import Forbidden
from integration_hub.audit.models import Entry
from integration_hub.mappings import services
from integration_hub.mappings.definition import DefinitionError
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.systems.models import Entity, System

pytestmark = pytest.mark.django_db

GOOD = {"fields": [{"target": "full_name", "source": "name", "steps": [{"transform": "trim"}]}]}
BAD = {"fields": [{"target": "full_name", "source": "nmae"}]}


@pytest.fixture
def entities():
    def make(system, *names):
        schema = Schema(name="users", key=("id",), fields=(Field(name="id"), *(Field(name=name) for name in names)))
        owner = System.objects.create(name=system, slug=system.lower(), connector="memory")
        return Entity.objects.create(system=owner, name="users", schema=schema.model_dump(mode="json"), selected=True)

    return make("OA", "name", "mail"), make("CRM", "full_name", "email")


@pytest.fixture
def mapping(entities, integrator):
    source, target = entities
    return services.create_mapping(name="Users", source=source, target=target, definition=GOOD, by=integrator)


def test_publishing_makes_numbered_versions_that_keep_what_they_said(mapping, integrator):
    first = services.publish_mapping(mapping, by=integrator)
    services.change_mapping(mapping, definition={"fields": [{"target": "email", "source": "mail"}]}, by=integrator)
    second = services.publish_mapping(mapping, by=integrator)

    assert (first.number, second.number) == (1, 2)
    assert MappingVersion.objects.get(number=1).definition == GOOD
    assert mapping.latest == second
    assert list(Entry.objects.order_by("pk").values_list("event", flat=True))[-4:] == [
        "mapping.created",
        "mapping.published",
        "mapping.changed",
        "mapping.published",
    ]


def test_a_published_version_never_changes(mapping, integrator):
    version = services.publish_mapping(mapping, by=integrator)

    version.definition = BAD
    with pytest.raises(TypeError, match="A published version never changes"):
        version.save()
    with pytest.raises(IntegrityError), transaction.atomic():
        MappingVersion.objects.create(mapping=mapping, number=1, definition=GOOD, source_schema={}, target_schema={}, published_by="x")


def test_a_wrong_draft_is_kept_but_not_published(mapping, integrator):
    services.change_mapping(mapping, definition=BAD, by=integrator)

    with pytest.raises(DefinitionError, match=r"There is no field nmae\. Did you mean name\?"):
        services.publish_mapping(mapping, by=integrator)
    assert not mapping.versions.exists()


def test_two_mappings_cannot_have_one_name(mapping, integrator):
    with pytest.raises(ValidationError):
        services.create_mapping(name="Users", source=mapping.source, target=mapping.target, definition=GOOD, by=integrator)


@pytest.mark.parametrize("role", ["operator", "approver", "auditor", "viewer"])
def test_others_look_but_do_not_change(mapping, person, role):
    from integration_hub.accounts.actor import Actor

    by = Actor.of(person(role))

    assert Mapping.objects.visible_to(by).exists()
    for attempt in (
        lambda: services.change_mapping(mapping, definition=GOOD, by=by),
        lambda: services.publish_mapping(mapping, by=by),
        lambda: services.create_mapping(name="N", source=mapping.source, target=mapping.target, definition=GOOD, by=by),
        lambda: services.suggest_mapping(mapping.source, mapping.target, by=by),
    ):
        with pytest.raises(Forbidden):
            attempt()


def test_a_preview_tells_what_would_become_of_sample_records(mapping, viewer):
    told = services.preview_mapping(mapping, [{"id": "1", "name": " Ann "}, {"id": "2", "name": "a\0b"}], by=viewer)

    assert told["problems"] == []
    assert told["records"][0]["record"] == {"full_name": "Ann"}
    assert told["records"][1]["rejected"]["transform"] == "text"
    assert [step["value"] for step in told["trace"][0]["steps"]] == ["Ann"]


def test_a_preview_of_a_wrong_draft_tells_its_problems(mapping, viewer):
    told = services.preview_mapping(mapping, [], by=viewer, definition=BAD)
    assert [(p["field"], p["text"]["values"]["suggestion"]) for p in told["problems"]] == [("full_name", "name")]


def test_a_suggestion_can_be_created_and_published(entities, integrator):
    source, target = entities
    definition = services.suggest_mapping(source, target, by=integrator)

    mapping = services.create_mapping(name="Guessed", source=source, target=target, definition=definition, by=integrator)

    assert services.publish_mapping(mapping, by=integrator).number == 1
