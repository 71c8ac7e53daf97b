import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unas.common import documents
from unas.common.errors import UserError

LETTER = documents.Format("post.letter", 2, "a letter", ("to",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"loss": [1, 2', "truncated"),
        (b"", "empty"),
        (b'{"loss": oops}', "is not JSON .* line 1, column 10"),
        (b'{"loss": NaN}', "NaN is not JSON"),
        (b"\xff\xfe\x00", "not text"),
        (b"[" * 200_000, "is not JSON"),
        (b"9" * 10_000, "is not JSON"),
    ],
)
def test_damaged_json_names_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "genotype.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"genotype\.json .*{message}") as caught:
        documents.read_json(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "post.parcel"}, 'not a letter; the document needs "format": "post.letter"'),
        ({"format": None}, "not a letter"),
        ({"version": 1}, "version is 1; this unas reads version 2"),
        ({"version": "\U000e0001\n"}, r'version is "\\udb40\\udc01\\n"; this unas'),
        ({"to": None}, "the field 'to' is missing"),
    ],
)
def test_a_document_of_another_kind_is_refused_in_one_line(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    letter = {**LETTER.head(), "to": "Ada"}
    path = tmp_path / "letter.json"
    documents.write_json(path, letter)
    assert LETTER.read(path) == letter
    changed = {**letter, **change}
    kept = {name: value for name, value in changed.items() if value is not None}
    documents.write_json(path, kept)
    with pytest.raises(UserError, match=r"letter\.json: .*" + message) as caught:
        LETTER.read(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_object_is_no_document() -> None:
    for text in ("[1, 2]", "null", '"post.letter"'):
        with pytest.raises(UserError, match="not a letter"):
            LETTER.parse(text, "letter.json")


@given(st.one_of(st.binary(), st.text(alphabet='{}[]",:0123456789.eE-+truefalsnI \\')))
def test_no_input_gives_anything_but_json_or_one_line(text: str) -> None:
    try:
        value = documents.parse_json(text, "config.json")
    except UserError as error:
        assert str(error).startswith("config.json")  # noqa: PT017
    else:
        assert json.loads(documents.to_json(value)) == value
