"""What `--help` prints, at every level, from the table of commands and from their flags."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence

from unas.cli.commands import COMMANDS, GROUPS, PURPOSE, Command
from unas.cli.flags import Flag, flags_of

HELP = {"--help", "-h"}
EXIT_CODES = (
    "exit codes:\n"
    "  0    done\n"
    "  1    done, and a budget isn't met, or a run of a sweep failed\n"
    "  2    a mistake in what was asked: one line says which\n"
    "  70   a fault of unas: its traceback, which the run directory keeps as traceback.txt\n"
    "  128+ stopped by the signal of this number"
)
_WIDEST_NAME = 28  # characters; what follows a longer one begins on the next line
_ASKED = Flag("--help", "", "show this")


class HelpAskedError(Exception):
    """Somebody asks for help, which is in the message: only there the flags are known."""


def overview() -> str:
    """Return what `unas --help` prints."""
    names = dict.fromkeys(name.split()[0] for name in COMMANDS)
    rows = [(name, GROUPS.get(name) or COMMANDS[name].summary) for name in names]
    width = max(len(name) for name in names)
    examples = [f"  {COMMANDS[name].example}" for name in ("run", "train", "show")]
    end = "unas COMMAND --help tells more; unas --version prints the version."
    return _joined(
        "usage: unas COMMAND …",
        PURPOSE,
        _table("commands:", rows, width),
        _lines("examples:", examples),
        EXIT_CODES,
        end,
    )


def group_help(group: str) -> str:
    """Return what `unas GROUP --help` prints, of commands of two words."""
    commands = [command for command in COMMANDS.values() if command.name.split()[0] == group]
    rows = [(command.name.removeprefix(f"{group} "), command.summary) for command in commands]
    width = max(len(name) for name, _ in rows)
    examples = [f"  {command.example}" for command in commands]
    return _joined(
        f"usage: unas {group} ACTION …",
        _sentence(GROUPS[group]),
        _table("actions:", rows, width),
        _lines("examples:", examples),
        f"unas {group} ACTION --help tells more.",
    )


def command_help(command: Command, *values: object) -> str:
    """Return what `unas COMMAND --help` prints.

    Args:
        command: the command.
        values: whatever has flags; without any, the command's own alone.
    """
    flags: dict[str, Flag] = {}
    for value in values or [options() for options in command.flags]:
        for flag in flags_of(value):
            flags.setdefault(flag.name, flag)  # of two that share a name, the first takes the words
    sections: dict[str, list[tuple[str, str]]] = {"": []}
    for flag in (*flags.values(), _ASKED):
        if flag.name not in command.sets:
            row = (f"{flag.name} {flag.metavar}".strip(), flag.explanation)
            sections.setdefault(flag.section, []).append(row)
    width = min(_WIDEST_NAME, max(len(name) for rows in sections.values() for name, _ in rows))
    tables = [_table(section or "flags:", rows, width) for section, rows in sections.items()]
    return _joined(
        f"usage: unas {command.name} {command.argument} [flags]",
        _sentence(command.summary),
        command.note,
        *tables,
        f"example:\n  {command.example}",
    )


def _table(heading: str, rows: Sequence[tuple[str, str]], width: int) -> str:
    """Return a heading and rows of a name and a text, the names in a column of this width."""
    columns = max(shutil.get_terminal_size((100, 24)).columns, 2 * width)
    indent = " " * (width + 4)
    lines = textwrap.wrap(heading, columns)
    for name, text in rows:
        start = f"  {name:<{width}}  "
        if len(name) > width:
            lines.append(start.rstrip())
            start = indent
        lines += textwrap.wrap(text, columns, initial_indent=start, subsequent_indent=indent)
    return "\n".join(lines)


def _lines(heading: str, lines: Iterable[str]) -> str:
    return "\n".join([heading, *lines])


def _joined(*paragraphs: str) -> str:
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
