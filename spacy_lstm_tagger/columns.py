"""Batches as engines pass them: a column in, or the same batch with new columns out."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy


def read_column(batch: Any, column: str, new: Collection[str]) -> list[Any]:
    """Return the values of a column.

    batch (dict | pyarrow.Table | pandas.DataFrame): The batch.
    column (str): The name of the column.
    new (Collection[str]): The names of columns that are to be added.
    RETURNS (list[Any]): The values.
    RAISES: ValueError if the batch is of another kind, lacks the column, or has one of the new.
    """
    names = _names(batch)
    if column not in names:
        raise ValueError(f"the batch has no column {column!r}, but {names}: set column=...")
    taken = [name for name in names if name in new and name != column]
    if taken:
        raise ValueError(f"the batch has columns already that would be added: {taken}. Rename them")
    values = batch[column]
    return values.to_pylist() if hasattr(values, "to_pylist") else list(values)


def add_columns(batch: Any, columns: dict[str, list[Any]]) -> Any:
    """Return a batch of the same kind that has more columns.

    batch (dict | pyarrow.Table | pandas.DataFrame): The batch; it stays as it is.
    columns (dict[str, list[Any]]): The new columns: strings, or lists of strings, integers or
        floats.
    """
    if isinstance(batch, Mapping):
        return {**batch, **{name: _array(values) for name, values in columns.items()}}
    if hasattr(batch, "assign"):
        return batch.assign(**columns)
    for name, values in columns.items():
        if name in batch.column_names:
            batch = batch.drop_columns([name])
        batch = batch.append_column(name, _arrow_array(name, values))
    return batch


def _names(batch: Any) -> list[str]:
    if isinstance(batch, Mapping):
        return list(batch)
    if hasattr(batch, "append_column"):
        return list(batch.column_names)
    if hasattr(batch, "assign"):
        return list(batch.columns)
    raise ValueError(
        "a batch must be a dict of arrays, a pyarrow Table or a pandas DataFrame, not "
        f"{type(batch).__name__}"
    )


def _array(values: list[Any]) -> numpy.ndarray:
    """Return an array of lists, which NumPy would make a matrix of if they are equally long."""
    return numpy.fromiter(values, dtype=object, count=len(values))


def _arrow_array(name: str, values: list[Any]) -> Any:
    """Return an Arrow array of a type that doesn't depend on the values: all lists can be empty."""
    import pyarrow

    types = {
        "offsets": pyarrow.list_(pyarrow.int32()),
        "confidences": pyarrow.list_(pyarrow.float32()),
        "error": pyarrow.string(),
    }
    return pyarrow.array(values, types.get(name, pyarrow.list_(pyarrow.string())))
