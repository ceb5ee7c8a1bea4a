from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("syncs", "0014_mends_and_assignments")]

    operations = [migrations.AddField("pagerow", "agreed", models.CharField(blank=True, default="", max_length=200), preserve_default=False)]
