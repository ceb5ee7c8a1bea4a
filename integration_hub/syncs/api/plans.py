from __future__ import annotations

from typing import Any

from rest_framework import serializers

from integration_hub.core.rest.input import KnownNames
from integration_hub.syncs import plans
from integration_hub.syncs.models import PlanApproval, Run
from integration_hub.syncs.services import NotPossible


class FieldCountSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    updates = serializers.IntegerField()
    creates = serializers.IntegerField()


class ApprovalSerializer(serializers.ModelSerializer[PlanApproval]):
    is_counted = serializers.BooleanField(read_only=True, help_text="False: more changes fit, for counting them all would have taken too long.")

    class Meta:
        model = PlanApproval
        fields = ("digest", "operations", "rule", "except_keys", "approved_count", "is_counted", "reason", "actor_name", "at")
        read_only_fields = fields


class PlanSerializer(serializers.Serializer[Any]):
    run = serializers.IntegerField()
    changes = serializers.IntegerField(help_text="How many it would write.")
    expires_at = serializers.DateTimeField()
    refusal = serializers.CharField(allow_blank=True, help_text="Why it can no longer be approved and applied; empty while it can.")
    changed_fields = FieldCountSerializer(many=True, help_text="Of the target, the most updated first.")
    approval = ApprovalSerializer(allow_null=True)
    applied_by = serializers.IntegerField(allow_null=True, help_text="The run that applies it, or did.")


class ApprovingSerializer(KnownNames, serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=1_000)
    operations = serializers.ListField(
        child=serializers.CharField(max_length=20), required=False, help_text="create, update, adopt, delete, mark, unlink; empty: all."
    )
    rule = serializers.CharField(
        max_length=2_000, required=False, allow_blank=True, help_text="A condition over operation, source_key, target_key, before.… and after.…"
    )
    except_keys = serializers.ListField(child=serializers.CharField(max_length=500), required=False, max_length=10_000, help_text="Of the source.")


class UndoingSerializer(KnownNames, serializers.Serializer[Any]):
    keys = serializers.ListField(
        child=serializers.CharField(max_length=500), required=False, max_length=10_000, help_text="Of the source; without them all that it wrote."
    )


class UndoingVersionSerializer(KnownNames, serializers.Serializer[Any]):
    version = serializers.IntegerField(help_text="Number of the version of the sync's mapping.")
    since = serializers.DateTimeField(help_text="Runs that were started since then.")


def plain_plan(plan: Run) -> dict[str, Any]:
    """A plan as JSON can carry it. Raises NotPossible where the run has none."""
    refusal = ""
    try:
        plans.refuse_unless_good(plan)
    except NotPossible as error:
        if not plans.is_plan(plan):
            raise
        refusal = str(error)
    approval = plans.approval_of(plan)
    run = plans.applied_by(approval) if approval is not None else None
    return {
        "run": plan.pk,
        "changes": plans.count_of(plan),
        "expires_at": plans.expires_at(plan),
        "refusal": refusal,
        "changed_fields": plans.fields_of(plan),
        "approval": approval,
        "applied_by": run.pk if run is not None else None,
    }
