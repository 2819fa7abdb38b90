"""Labels in custom extensions: `token._.NAME`."""

from typing import Any

from spacy.attrs import IDX
from spacy.tokens import Doc, Token


def register_label(name: str) -> None:
    """Register the extension for labels, unless it exists; ValueError if its name is not a name in
    Python, or if the application has an extension of this name that can't be written.
    """
    if not name.isidentifier():
        raise ValueError(f"extension = {name!r} must be a name as Python has them, such as 'slot'")
    if not Token.has_extension(name):
        Token.set_extension(name, default=None)
    _, method, getter, _ = Token.get_extension(name)
    if method is not None or getter is not None:
        raise ValueError(
            f"labels can't be written to token._.{name}, as the application computes it: choose "
            "another extension"
        )


def read_labels(doc: Doc, name: str) -> list[str]:
    """Return the label of each token, "" for none; ValueError if a value is not a string."""
    default = Token.get_extension(name)[0] if Token.has_extension(name) else None
    data: Any = doc.user_data
    labels = [data.get(_key(name, i), default) or "" for i in doc.to_array(IDX).tolist()]
    if not all(isinstance(label, str) for label in labels):
        wrong = next(label for label in labels if not isinstance(label, str))
        raise ValueError(f"token._.{name} must be a string, not {wrong!r:.80}")
    return labels


def label_extensions(doc: Doc) -> set[str]:
    """Return the names of the extensions in which tokens of a Doc have strings."""
    data: dict[Any, Any] = doc.user_data
    return {
        key[1]
        for key, value in data.items()
        if isinstance(value, str) and isinstance(key, tuple) and len(key) == 4
        if isinstance(key[2], int) and key == _key(key[1], key[2])
    }


def write_labels(doc: Doc, name: str, labels: list[str], overwrite: bool) -> bool:
    """Write the label of each token, "" for none; return whether there was anything to write."""
    present = [""] * len(doc) if overwrite else read_labels(doc, name)
    data: Any = doc.user_data
    is_written = False
    for i, label, old in zip(doc.to_array(IDX).tolist(), labels, present, strict=True):
        if label and not old:
            data[_key(name, i)] = label
            is_written = True
    return is_written


def _key(name: str, offset: int) -> tuple[str, str, int, None]:
    """Return the key in a Doc's user data of the extension of a token."""
    return "._.", name, offset, None
