"""`TagBatch` on Ray Data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spacy_lstm_tagger.batch import TagBatch

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    ray.init(
        num_cpus=3, object_store_memory=100 * 2**20, include_dashboard=False, log_to_driver=False
    )
    yield
    ray.shutdown()


def tag_files(
    kind: type[TagBatch], pipeline: Path, source: Path, target: Path, batch_format: str
) -> dict[int, list[str]]:
    """Tag Parquet files into others; return the tags by id."""
    texts = ray.data.read_parquet(str(source))
    tagged = texts.repartition(target_num_rows_per_block=20).map_batches(
        kind,
        fn_constructor_kwargs={"pipeline": str(pipeline)},
        compute=ray.data.ActorPoolStrategy(size=2),
        batch_size=20,
        batch_format=batch_format,
    )
    tagged.write_parquet(str(target))
    rows = ray.data.read_parquet(str(target)).take_all()
    tags = {row["id"]: list(row["tags"]) for row in rows}
    assert len(tags) == len(rows)
    return tags


@pytest.mark.parametrize("batch_format", ["pyarrow", "pandas", "numpy"])
def test_tags_are_those_of_the_pipeline(
    batch_format: str, saved_pipeline: Path, parquet: Path, tmp_path: Path, expected: Any
) -> None:
    target = tmp_path / "tagged"
    assert tag_files(TagBatch, saved_pipeline, parquet, target, batch_format) == expected


def test_a_killed_worker_loses_and_doubles_nothing(
    mortal: type[TagBatch], saved_pipeline: Path, parquet: Path, tmp_path: Path, expected: Any
) -> None:
    assert tag_files(mortal, saved_pipeline, parquet, tmp_path / "tagged", "pyarrow") == expected
    assert (tmp_path / "killed").exists()
