"""`TagBatch` on Spark."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spacy_lstm_tagger.batch import TagBatch

sql = pytest.importorskip("pyspark.sql")
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.filterwarnings("ignore"),  # Spark's own
    pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java"),
]
SCHEMA = "id long, text string, tokens array<string>, tags array<string>, offsets array<int>"
SCHEMA += ", error string"


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    session = (
        sql.SparkSession.builder.master("local[2, 4]")  # two workers; four trials of a task
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "localhost")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "512m")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "20")
        .getOrCreate()
    )
    yield session
    session.stop()


def tag_files(spark: Any, tag: TagBatch, source: Path, target: Path) -> dict[int, list[str]]:
    """Tag Parquet files into others; return the tags by id."""
    texts = spark.read.parquet(str(source))
    texts.mapInPandas(lambda frames: map(tag, frames), SCHEMA).write.parquet(str(target))
    rows = spark.read.parquet(str(target)).collect()
    tags = {row["id"]: row["tags"] for row in rows}
    assert len(tags) == len(rows)
    return tags


def test_tags_are_those_of_the_pipeline(
    spark: Any, saved_pipeline: Path, parquet: Path, tmp_path: Path, expected: Any
) -> None:
    assert tag_files(spark, TagBatch(saved_pipeline), parquet, tmp_path / "tagged") == expected


def test_a_killed_worker_loses_and_doubles_nothing(
    spark: Any,
    mortal: type[TagBatch],
    saved_pipeline: Path,
    parquet: Path,
    tmp_path: Path,
    expected: Any,
) -> None:
    assert tag_files(spark, mortal(saved_pipeline), parquet, tmp_path / "tagged") == expected
    assert (tmp_path / "killed").exists()


def test_a_bad_text_is_a_row_with_an_error(spark: Any, saved_pipeline: Path) -> None:
    texts = spark.createDataFrame([(0, "The dog"), (1, None)], "id long, text string")
    tag = TagBatch(saved_pipeline)
    rows = texts.mapInPandas(lambda frames: map(tag, frames), SCHEMA).orderBy("id").collect()
    assert [bool(row["error"]) for row in rows] == [False, True]
    assert [len(row["tags"]) for row in rows] == [2, 0]
