"""`TagBatch` on Dask."""

from pathlib import Path
from typing import Any

import pytest

from spacy_lstm_tagger.batch import TagBatch

pytest.importorskip("pandas")
dask_frames = pytest.importorskip("dask.dataframe")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.filterwarnings("ignore"),  # Dask's own
]


@pytest.mark.parametrize("scheduler", ["processes", "threads"])
def test_tags_are_those_of_the_pipeline(
    scheduler: str, saved_pipeline: Path, parquet: Path, expected: Any
) -> None:
    frame = dask_frames.read_parquet(str(parquet))
    tagged = frame.map_partitions(TagBatch(saved_pipeline))
    rows = tagged.compute(scheduler=scheduler, num_workers=2)
    assert dict(zip(rows["id"], map(list, rows["tags"]), strict=True)) == expected
    assert len(rows) == len(expected)
