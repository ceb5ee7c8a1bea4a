from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("syncs", "0020_reconcile"),
    ]

    operations = [
        migrations.AddField(
            model_name="recorddrift",
            name="mended",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
