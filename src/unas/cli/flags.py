"""Flags from dataclasses: a parser with one flag a field, and what was typed put back into them."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass, replace
from typing import Annotated, Any, get_type_hints

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from unas.common.errors import UserError
from unas.config.document import join, naming
from unas.config.values import metavar, parse_text


class Typed(str):
    """What was typed for a flag, before it is read; a value of any other type is a default."""

    __slots__ = ()


def parse(
    options: Any, words: Sequence[str], program: str, description: str, flat: Sequence[str] = ()
) -> Any:
    """Return `options` with what `words` say.

    Args:
        options: a dataclass instance; dataclasses and dicts of dataclasses in it give flags with a
            prefix. A False is a switch if its name is in `flat`, and takes true or false otherwise.
        words: the command line.
        program: what usage calls it.
        description: printed on top of the help.
        flat: dataclass fields whose own fields have no prefix, and switches.

    Raises:
        UserError: a flag is unknown, has no value or a wrong one, or the resulting object is
            refused.
        SystemExit: help was asked for, and printed.
    """
    known = dict(_flags(options, "", flat))
    _check_words(words, known, program)
    mirrored = _mirror(options, flat)
    try:
        typed: Any = tyro.cli(mirrored, prog=program, description=description, args=list(words))
    except SystemExit as error:
        if error.code:
            raise UserError(f"the flags can't be read; see {program} --help") from error
        raise
    return _apply(options, typed, "", flat)


def field_help(cls: type) -> dict[str, str]:
    """Return what the "Args:" of a class's docstring, and of those it derives from, say about each field."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, text = (inspect.cleandoc(base.__doc__ or "")).partition("Args:\n")
        block = re.split(r"\n\S", text, maxsplit=1)[0]
        for name, says in re.findall(r"^    (\w+): (.*(?:\n     .*)*)", block, re.MULTILINE):
            found[name] = " ".join(says.split()).removesuffix(".")
    return found


def flag_name(path: str) -> str:
    """Return the flag of a field's dotted path."""
    return "--" + path.replace("_", "-")


def _flags(value: Any, path: str, flat: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yield (flag, takes a value) for every field at any depth."""
    for name, item in _items(value):
        here = path if name in flat and is_dataclass(item) else join(path, name)
        if is_dataclass(item) or isinstance(item, dict):
            yield from _flags(item, here, flat)
        else:
            yield flag_name(here), not (name in flat and isinstance(item, bool))


def _items(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(name, item) for name, item in value.items() if name.isidentifier()]
    found = [(each.name, getattr(value, each.name)) for each in fields(value) if each.init]
    # A model can't be typed; an estimator can be called too, but has fields.
    return [
        (name, item)
        for name, item in found
        if type(item) is not type and (is_dataclass(item) or not callable(item))
    ]


def _check_words(words: Sequence[str], known: dict[str, bool], program: str) -> None:
    """Refuse what tyro would answer with a box of its own, or would leave over."""
    rest, seen = list(words), set()
    while rest:
        word = rest.pop(0)
        flag, has_value, _ = (
            word.replace("_", "-").partition("=") if word.startswith("--") else (word, "", "")
        )
        if flag in {"--help", "-h"}:
            return
        if not word.startswith("-"):
            raise UserError(
                f"unexpected argument {word!r}; every value follows its flag, see {program} --help"
            )
        if flag not in known:
            close = difflib.get_close_matches(flag, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"see {program} --help"
            raise UserError(f"unrecognised flag {word.partition('=')[0]}; {hint}")
        if flag in seen:
            raise UserError(f"{flag} is given twice; leave one out")
        seen.add(flag)
        if known[flag] and not has_value and (not rest or rest.pop(0).startswith("--")):
            raise UserError(f"{flag} needs a value; for example {flag}=VALUE, see {program} --help")
        if not known[flag] and has_value:
            raise UserError(f"{flag} takes no value; write {flag} alone")


def _mirror(value: Any, flat: Sequence[str]) -> type:
    """Return a dataclass whose fields take text and show the values of `value` as their defaults."""
    cls = type(value)
    helps = {} if isinstance(value, dict) else field_help(cls)
    hints = {} if isinstance(value, dict) else get_type_hints(cls)
    members: list[Any] = []
    for name, item in _items(value):
        if is_dataclass(item) or isinstance(item, dict):
            nested = _mirror(item, flat)
            kind: Any = Annotated[nested, tyro.conf.arg(name="")] if name in flat else nested
            members.append((name, kind, field(default_factory=nested)))
        elif name in flat:
            switch = Annotated[
                bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help=helps.get(name, ""))
            ]
            members.append((name, switch, field(default=item)))
        else:
            members.append((name, _text(hints[name], helps.get(name, "")), field(default=item)))
    mirrored = make_dataclass(cls.__name__, members)
    mirrored.__doc__ = (
        "" if isinstance(value, dict) else (inspect.getdoc(cls) or "").splitlines()[0]
    )
    return mirrored


def _text(hint: Any, says: str) -> Any:
    spec: PrimitiveConstructorSpec[Any] = PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar(hint),
        instance_from_str=lambda words: Typed(words[0]),
        is_instance=lambda _: True,
        str_from_instance=lambda value: [_plain(value)],
    )
    return Annotated[Any, spec, tyro.conf.arg(help=says)]


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(_plain(item) for item in value) or "none"
    return {"True": "true", "False": "false", "None": "none"}.get(str(value), str(value))


def _apply(value: Any, typed: Any, path: str, flat: Sequence[str]) -> Any:
    hints = {} if isinstance(value, dict) else get_type_hints(type(value))
    changes: dict[str, Any] = {}
    for name, item in _items(value):
        given = getattr(typed, name)
        here = path if name in flat and is_dataclass(item) else join(path, name)
        if is_dataclass(item) or isinstance(item, dict):
            changed = _apply(item, given, here, flat)
            changes |= {} if changed is item else {name: changed}
        elif isinstance(given, Typed):
            changes[name] = parse_text(hints[name], str(given), flag_name(here))
        elif given is not item:
            changes[name] = given
    if not changes:
        return value
    if isinstance(value, dict):
        return {**value, **changes}
    with naming(path):
        return replace(value, **changes)
