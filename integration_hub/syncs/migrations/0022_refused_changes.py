from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("syncs", "0021_mended_drift"),
    ]

    operations = [
        migrations.AddField(model_name="changeset", name=name, field=models.PositiveIntegerField(default=0))
        for name in ("creates_refused", "updates_refused", "deletes_refused")
    ]
