from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("syncs", "0022_refused_changes"),
    ]

    operations = [
        migrations.AddField(model_name="changeset", name="key_hashes", field=models.BinaryField(null=True)),
    ]
