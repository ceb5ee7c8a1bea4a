import polars as pl

from connectors.base import Outcome, Result
from integration_hub.syncs.record import settle
from integration_hub.syncs.write import Portion


class WorkStub:
    system = "CRM"


def test_a_record_created_under_an_untold_key_is_left_as_itself_where_rows_before_it_are_missing():
    changes = pl.DataFrame(
        {
            "row": pl.Series([3], dtype=pl.UInt32),
            "operation": ["create"],
            "source_key": ["third"],
            "target_key": pl.Series([None], dtype=pl.String),
            "link_id": pl.Series([None], dtype=pl.Int64),
            "found_by": pl.Series([None], dtype=pl.String),
            "print": [b""],
            "source": [{"id": "third"}],
            "source_print": [b""],
        }
    )

    settled = settle(WorkStub(), Portion(None, changes, 0, 5, {3: Outcome(3, Result.WRITTEN)}))

    assert [(left.key, left.record, left.change_row) for left in settled.left] == [("third", {"id": "third"}, 3)]
