import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now


def forget_approvals_of_decisions(apps, schema_editor):
    """An older release knows approvals of plans alone. It would take a run that writes what a decision has accepted for one that reads everything,
    with no guard, so such a run is cancelled."""
    approvals = apps.get_model("syncs", "PlanApproval").objects.filter(plan=None)
    apps.get_model("syncs", "Run").objects.filter(applies__in=approvals, ended_at=None, cancel_at=None).update(cancel_at=Now())
    approvals.delete()
    schema_editor.connection.check_constraints()  # PostgreSQL alters no table that has checks to come


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0001_decisions"),
        ("syncs", "0014_mends_and_assignments"),
    ]

    operations = [
        migrations.AddField(
            model_name="planapproval",
            name="decision",
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="approvals.decision"),
        ),
        migrations.AlterField(
            model_name="planapproval",
            name="digest",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AlterField(
            model_name="planapproval",
            name="plan",
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="approval", to="syncs.run"),
        ),
        migrations.RunPython(migrations.RunPython.noop, forget_approvals_of_decisions),
    ]
