from django.db import migrations, models
from django.db.models.functions import Now


def cancel_what_reads_keys_alone(apps, schema_editor):
    """An older release would read and write the whole records."""
    apps.get_model("syncs", "Run").objects.filter(keys_only=True, ended_at=None, cancel_at=None).update(cancel_at=Now())


class Migration(migrations.Migration):
    dependencies = [
        ("syncs", "0015_approvals_of_withheld_changes"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="keys_only",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="sync",
            name="roster_crontab",
            field=models.CharField(blank=True, default="", max_length=100, verbose_name="look for deletes, crontab"),
        ),
        migrations.AddField(
            model_name="sync",
            name="roster_due_at",
            field=models.DateTimeField(db_index=True, null=True),
        ),
        migrations.AddField(
            model_name="sync",
            name="roster_interval_seconds",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="look for deletes every … seconds"),
        ),
        migrations.AddField(
            model_name="sync",
            name="roster_read_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunPython(migrations.RunPython.noop, cancel_what_reads_keys_alone),
    ]
