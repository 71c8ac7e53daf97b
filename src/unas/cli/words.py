"""The words of a command line: what follows which flag, what comes first, what nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TypeVar

from unas.cli.commands import Command
from unas.cli.flags import Flag, flags_of, with_typed
from unas.cli.help import HELP, HelpAskedError, command_help
from unas.common.errors import UserError

T = TypeVar("T")


def take(options: T, words: Sequence[str]) -> tuple[T, list[str]]:
    """Return a dataclass with what was typed for its flags, and the words that are left.

    Raises:
        UserError: a value is missing or wrong.
    """
    typed, left = _split(flags_of(options), words)
    return with_typed(options, typed), left


def take_name(command: Command, words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the first word, which isn't a flag, and the others.

    Raises:
        UserError: there is none.
    """
    if not words or not words[0] or words[0].startswith("-"):
        what = command.argument.partition(" ")[0].rstrip(",…")
        raise UserError(f"{what} is missing; it comes first, for example: {command.example}")
    return words[0], list(words[1:])


def require_no_more(command: Command, words: Sequence[str], *taken: object) -> None:
    """Answer or refuse the words that are left when all flags are taken.

    Args:
        command: what to name in messages.
        words: the words.
        taken: whatever has had flags.

    Raises:
        HelpAskedError: one of the words asks for help.
        UserError: there is another word.
    """
    if HELP & set(words):
        raise HelpAskedError(command_help(command, *taken))
    if not words:
        return
    see = f"see unas {command.name} --help"
    if not words[0].startswith("-"):
        raise UserError(f"unexpected argument {words[0]!r}; every value follows its flag, {see}")
    name = words[0].partition("=")[0]
    known = [flag.name for value in taken for flag in flags_of(value)]
    close = difflib.get_close_matches(name.replace("_", "-"), known, 1)
    hint = f"did you mean {close[0]}?" if close else see
    raise UserError(f"unrecognised flag {name}; {hint}")


def parse(command: Command, options: T, words: Sequence[str]) -> tuple[str, T]:
    """Return the name that a command is about, and its options; there are no other words.

    Raises:
        UserError: the name is missing, a flag is unknown, or a value is missing or wrong.
        HelpAskedError: one of the words asks for help.
    """
    options, words = take(options, words)
    name, words = take_name(command, words)
    require_no_more(command, words, options)
    return name, options


def _split(flags: Iterable[Flag], words: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return what follows each flag, as `--flag VALUE` or `--flag=VALUE`, and the words of no flag.

    Raises:
        UserError: a flag has no value, or one too many.
    """
    known = {flag.name: flag for flag in flags}
    typed: dict[str, list[str]] = {}
    others: list[str] = []
    left = list(reversed(words))
    while left:
        word = left.pop()
        name, equals, text = word.partition("=")
        flag = known.get(name.replace("_", "-"))
        if flag is None:
            others.append(word)
            continue
        if flag.name in typed and not flag.is_repeatable:
            raise UserError(f"{flag.name} is given twice; leave one out")
        if flag.is_switch and equals:
            raise UserError(f"{flag.name} takes no value; write {flag.name} alone")
        if not flag.is_switch and not equals:
            if not left or left[-1].startswith("--"):
                example = f"{flag.name}={flag.metavar}"
                raise UserError(f"{flag.name} needs a value; for example {example}")
            text = left.pop()
        typed.setdefault(flag.name, []).append(text)
    return typed, others
