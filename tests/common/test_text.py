import json
import pickle

from hypothesis import given
from hypothesis import strategies as st

from unas.common.errors import UserError, first_line, kind_and_line
from unas.common.text import drawable, printable, shown


@given(st.text())
def test_printable_text_prints_in_one_line_and_says_the_same(text: str) -> None:
    line = printable(text)
    assert line.isprintable()
    escaped = line.replace('"', '\\"') if "\\" not in text else None
    if escaped is not None:
        assert json.loads(f'"{escaped}"') == text


@given(st.text(max_size=4))
def test_a_shown_text_is_its_json(text: str) -> None:
    line = shown(text)
    assert line.isprintable()
    assert json.loads(line) == text


def test_values_are_shown_short() -> None:
    assert shown("\U000e0001") == '"\\udb40\\udc01"'
    assert shown("x" * 100) == '"' + "x" * 59 + "…"
    values: list[object] = [{}, [], None, 0.5]
    assert [shown(value) for value in values] == ["an object", "a list", "null", "0.5"]


@given(st.text())
def test_a_drawable_text_keeps_its_length_and_what_prints(text: str) -> None:
    drawn = drawable(text)
    assert len(drawn) == len(text)
    assert all(a == (b if b.isprintable() else "\ufffd") for a, b in zip(drawn, text, strict=True))


@given(st.text())
def test_the_message_of_a_user_error_is_one_line_that_prints(text: str) -> None:
    error = UserError(text)
    assert str(error).isprintable()
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - as it comes from another process
    assert str(copy) == str(error)
    if text.isprintable():
        assert str(error) == text


def test_an_error_is_told_in_one_line_whatever_it_says() -> None:
    assert first_line(RuntimeError("\n  no memory  \nat 0x7f")) == "no memory"
    assert first_line(RuntimeError("x" * 1000)) == "x" * 200
    assert kind_and_line(KeyError("step")) == "KeyError: 'step'"
    for silent in (RuntimeError(), RuntimeError(""), RuntimeError("\n \n")):
        assert first_line(silent) == "RuntimeError"
        assert kind_and_line(silent) == "RuntimeError"
