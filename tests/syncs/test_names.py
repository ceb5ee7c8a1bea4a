"""What people would call a record."""

import pytest

from integration_hub.syncs.journal import name_of


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"full_name": "Lin Wei", "first_name": "Lin"}, "Lin Wei"),
        ({"merge.FNAME": "Julia", "merge.LNAME": "Hart"}, "Julia Hart"),
        ({"name.first": "伟", "name.last": "林"}, "林伟"),
        ({"first_name": "Julia", "last_name": None, "email": "j.hart@hailan.example"}, "Julia"),
        ({"first": "Julia", "last": None, "email": "j.hart@hailan.example"}, "j.hart@hailan.example"),
        ({"LNAME": "Hart"}, "Hart"),
        ({"first": 1, "last": 20, "subject": "Page 1"}, "Page 1"),
        ({"id": 7}, ""),
    ],
)
def test_a_record_is_called_by_its_name(record, name):
    assert name_of(record) == name
