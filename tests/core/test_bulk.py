import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from integration_hub.core import bulk

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_broken_constraint_is_the_same_error_on_every_database():
    Group.objects.create(name="there")

    with pytest.raises(IntegrityError), transaction.atomic():
        bulk.insert(Group, {"name": ["new", "there"]})

    assert list(Group.objects.values_list("name", flat=True)) == ["there"]
