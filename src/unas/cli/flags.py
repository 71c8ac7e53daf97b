"""Flags from dataclasses: each field is one, at any depth, and what was typed goes back into it.

A command's own options say about a flag what `flag` is told; the fields of a configuration have
their help in the docstring of their class. Needs no torch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, get_origin, get_type_hints

from unas.common.errors import UserError, naming
from unas.common.values import as_text, metavar, parse_text

T = TypeVar("T")

_WITHOUT_PREFIX = {"runtime"}  # --device, not --runtime.device
_NOT_A_FLAG = {"budgets"}  # --budget also adds the term that steers toward it


@dataclass(frozen=True)
class Flag:
    """One flag.

    Args:
        name: with its dashes, for example "--search.policy.lr".
        metavar: what stands for its value in help; "" for a switch, which takes none.
        help: what it does.
        hint: the type of its value.
        default: its value where it is not typed.
        is_repeatable: whether it may be typed more than once, for a tuple of values.
        at_least: the smallest number that is taken.
        at_most: the largest number that is taken.
        section: the heading in help, "" for a command's own flags.
    """

    name: str
    metavar: str
    help: str
    hint: Any = str
    default: Any = None
    is_repeatable: bool = False
    at_least: int | None = None
    at_most: int | None = None
    section: str = ""

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar

    @property
    def explanation(self) -> str:
        """What help says: what it does, and what it is without being typed."""
        if self.is_repeatable:
            return f"{self.help}; can be repeated"
        if (
            self.is_switch
            or "(default: " in self.help
            or (self.default is None and not self.section)
        ):
            return self.help
        return f"{self.help} (default: {as_text(self.default)})"

    def read(self, texts: Sequence[str]) -> Any:
        """Return the value that was typed.

        Args:
            texts: what followed the flag, each time that it was typed; nothing follows a switch.

        Raises:
            UserError: it can't be read as the flag's type.
        """
        if self.is_switch:
            return True
        if self.is_repeatable:
            return tuple(parse_text(str, text, self.name) for text in texts)
        value = parse_text(self.hint, texts[-1], self.name)
        if self.at_least is not None and value is not None and value < self.at_least:
            raise UserError(f"{self.name} is {value}; it must be {self.at_least} or more")
        if self.at_most is not None and value is not None and value > self.at_most:
            raise UserError(f"{self.name} is {value}; it must be {self.at_most} or less")
        return value


def flag(
    placeholder: str,
    says: str,
    default: Any = None,
    *,
    name: str = "",
    at_least: int | None = None,
    at_most: int | None = None,
) -> Any:
    """Return the field of a command's options that is a flag.

    Args:
        placeholder: stands for its value in help; "" for a switch, which takes none.
        says: its help.
        default: its value where it is not typed; a tuple, if it can be repeated.
        name: with its dashes; made from the field's name by default.
        at_least: the smallest number that is taken.
        at_most: the largest number that is taken.
    """
    if not placeholder:
        default = False
    kept = Flag(
        name,
        placeholder,
        says,
        default=default,
        is_repeatable=isinstance(default, tuple),
        at_least=at_least,
        at_most=at_most,
    )
    return field(default=default, metadata={"flag": kept})


def flags_of(value: Any, path: str = "") -> Iterator[Flag]:
    """Yield the flags of a dataclass, or of a dict of dataclasses, at any depth."""
    for member in _members(value, path):
        if member.flag is None:
            yield from flags_of(member.value, member.path)
        else:
            yield member.flag


def with_typed(value: T, typed: Mapping[str, Sequence[str]], path: str = "") -> T:
    """Return a dataclass, or a dict of dataclasses, with what was typed for its flags.

    Args:
        value: what has the flags.
        typed: what followed each flag that was typed, by the flag's name.
        path: where `value` is, dotted.

    Raises:
        UserError: a value is wrong, or the resulting object is refused.
    """
    changes: dict[str, Any] = {}
    for member in _members(value, path):
        changed = member.value
        if member.flag is None:
            changed = with_typed(member.value, typed, member.path)
        elif member.flag.name in typed:
            changed = member.flag.read(typed[member.flag.name])
        if changed is not member.value:
            changes[member.name] = changed
    if not changes:
        return value
    if isinstance(value, dict):
        return {**value, **changes}  # type: ignore[return-value]
    with naming(path):
        return replace(value, **changes)  # type: ignore[type-var]


def flag_name(path: str) -> str:
    """Return the flag of a field's dotted path."""
    return "--" + path.replace("_", "-")


def field_help(cls: type) -> dict[str, str]:
    """Return what the docstrings of a class, and of those it derives from, say about each field."""
    says: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, arguments = inspect.cleandoc(base.__doc__ or "").partition("Args:\n")
        block = re.split(r"\n\S", arguments, maxsplit=1)[0]
        for name, text in re.findall(r"^    (\w+): (.*(?:\n     .*)*)", block, re.MULTILINE):
            says[name] = " ".join(text.split()).removesuffix(".")
    return says


def _summary(cls: type) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]


@dataclass(frozen=True)
class _Member:
    """A field of a dataclass, or an item of a dict; without a flag, it has members of its own."""

    name: str
    value: Any
    path: str
    flag: Flag | None


def _members(value: Any, path: str) -> Iterator[_Member]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name.isidentifier():  # others can't be typed
                yield _Member(name, item, f"{path}.{name}", None)
        return
    cls = type(value)
    hints = get_type_hints(cls)
    says = field_help(cls)
    section = f"{path}: {_summary(cls)}" if path else ""
    for each in fields(value):
        hint = hints[each.name]
        # A model or a function can't be typed.
        if not each.init or each.name in _NOT_A_FLAG or Callable in {hint, get_origin(hint)}:
            continue
        item = getattr(value, each.name)
        here = f"{path}.{each.name}".lstrip(".")
        if is_dataclass(item) or isinstance(item, dict):
            place = path if each.name in _WITHOUT_PREFIX else here
            yield _Member(each.name, item, place, None)
        elif "flag" in each.metadata:
            kept = each.metadata["flag"]
            name = kept.name or flag_name(each.name)
            yield _Member(each.name, item, here, replace(kept, name=name, hint=hint))
        else:
            shown = Flag(
                flag_name(here), metavar(hint), says.get(each.name, ""), hint, item, section=section
            )
            yield _Member(each.name, item, here, shown)
