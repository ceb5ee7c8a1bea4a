from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("syncs", "0016_rosters_on_a_schedule"),
    ]

    operations = [
        migrations.AddField(
            model_name="changeset",
            name="digest",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.AddField(
            model_name="changeset",
            name="sends",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="planapproval",
            name="is_counted",
            field=models.BooleanField(default=True),
        ),
    ]
