from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("syncs", "0024_links_by_bytes")]
    operations = [migrations.AddField("changeset", "answered", models.JSONField(default=dict))]
