import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mappings", "0001_initial"),
        ("syncs", "0019_fair_turns"),
    ]

    operations = [
        migrations.AddField(
            model_name="sync",
            name="reconcile_interval_seconds",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="reconcile every … seconds"),
        ),
        migrations.AddField(
            model_name="sync",
            name="reconcile_crontab",
            field=models.CharField(blank=True, default="", max_length=100, verbose_name="reconcile by crontab"),
        ),
        migrations.AddField(
            model_name="sync",
            name="reconcile_due_at",
            field=models.DateTimeField(db_index=True, null=True),
        ),
        migrations.AlterField(
            model_name="run",
            name="mode",
            field=models.CharField(choices=[("full", "Full"), ("incremental", "Incremental"), ("reconcile", "Reconcile")], max_length=20),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(condition=models.Q(("mode", "reconcile")), fields=["sync", "-id"], name="runs_that_reconcile"),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None), ("mode", "reconcile")), fields=("pair",), name="one_reconcile_run_of_a_pair"
            ),
        ),
        migrations.CreateModel(
            name="RecordDrift",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("differing", models.PositiveIntegerField()),
                ("gone", models.PositiveIntegerField()),
                ("missing", models.PositiveIntegerField()),
                ("surplus", models.PositiveIntegerField()),
                ("due", models.PositiveIntegerField()),
                ("fields", models.JSONField()),
                ("unlinked", models.PositiveIntegerField(null=True)),
                ("unlinked_keys", models.JSONField(default=list)),
                ("run", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name="drift", to="syncs.run")),
            ],
        ),
    ]
