import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Nothing was ever claimed before, so the table is made anew."""

    dependencies = [
        ("systems", "0001_initial"),
        ("syncs", "0004_replays_that_wait"),
    ]

    operations = [
        migrations.DeleteModel(name="Claim"),
        migrations.CreateModel(
            name="Claim",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("match", models.CharField(max_length=32)),
                ("row", models.PositiveIntegerField()),
                ("change_set", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="claims", to="syncs.changeset")),
                ("entity", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="systems.entity")),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("entity", "match"), name="claimed_once")],
            },
        ),
        migrations.AlterField(
            model_name="changeset",
            name="planned_at",
            field=models.DateTimeField(),
        ),
    ]
