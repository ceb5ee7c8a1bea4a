from __future__ import annotations

from typing import Any

from rest_framework import serializers

from integration_hub.syncs.api.runs import ChangeSerializer, plain_change
from integration_hub.syncs.models import Link
from integration_hub.syncs.story import Story


class LinkSerializer(serializers.ModelSerializer[Link]):
    class Meta:
        model = Link
        fields = ("a_key", "b_key", "part", "made_at", "ended_at")
        read_only_fields = fields


class StoryChangeSerializer(serializers.Serializer[Any]):
    run = serializers.IntegerField()
    sync = serializers.CharField(help_text="Its name when the run was made.")
    mapping_version = serializers.IntegerField()
    trigger = serializers.CharField()
    actor_name = serializers.CharField()
    change = ChangeSerializer()


class StorySerializer(serializers.Serializer[Any]):
    links = LinkSerializer(many=True, help_text="The present one first, then those that ended.")
    changes = StoryChangeSerializer(many=True)
    next = serializers.CharField(allow_blank=True, help_text="Mark for `after`; empty at the end.")


def plain_story(story: Story) -> dict[str, Any]:
    """A story as JSON can carry it."""
    changes = []
    for change in story.changes:
        run = change.change_set.run
        told = {"run": run.pk, "sync": run.name, "mapping_version": run.mapping_version.number, "trigger": run.trigger, "actor_name": run.actor_name}
        changes.append({**told, "change": plain_change(change)})
    return {"links": LinkSerializer(story.links, many=True).data, "changes": changes, "next": story.after}
