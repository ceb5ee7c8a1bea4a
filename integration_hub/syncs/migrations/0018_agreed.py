from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("syncs", "0017_plans_of_a_million")]

    operations = [
        migrations.AddField("pagerow", "agreed", models.CharField(blank=True, default="", max_length=200), preserve_default=False),
        migrations.AddIndex("pagerow", models.Index(condition=~models.Q(agreed=""), fields=["partition"], name="pages_with_prints")),
    ]
