from django.db import migrations, models


class Migration(migrations.Migration):
    """A cursor of a system's own may be an address of any length."""

    dependencies = [
        ("syncs", "0007_links_without_a_check_of_their_pair"),
    ]

    operations = [
        migrations.AlterField(
            model_name="pagerow",
            name="last_value",
            field=models.TextField(blank=True),
        ),
        migrations.AlterField(
            model_name="run",
            name="since_value",
            field=models.TextField(blank=True),
        ),
        migrations.AlterField(
            model_name="synccursor",
            name="value",
            field=models.TextField(),
        ),
    ]
