"""From the words of a command line to its command, and from what happened to an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from unas import __version__
from unas.cli.commands import COMMANDS, GROUPS, Command
from unas.cli.help import HELP, HelpAskedError, command_help, group_help, overview
from unas.cli.messages import log_on_standard_error, tell, tell_error
from unas.common.errors import Interrupted, RankZeroError, UserError, kind_and_line
from unas.common.registry import one_of
from unas.compute.torchrun import rank, size

_OF_SEVERAL = ("run", "search", "train")  # commands that several processes do together
_USAGE_ERROR = 2
_FAULT = 70  # of unas: "internal software error" in sysexits.h
_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: what follows `unas` in a shell; those of this process by default.

    Returns:
        The exit code: 0; 1 if a budget isn't met; 2 for a mistake of the user, told in one line on
        standard error; 70 for a fault of unas, with its traceback and a line that says where to
        report it; 128 + the signal's number for a run that was stopped.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _prepare_streams()
    try:
        with log_on_standard_error():
            code = _dispatch(words)
        sys.stdout.flush()
    except HelpAskedError as help_asked:
        print(help_asked)
        code = 0
    except RankZeroError:  # rank 0 tells it
        code = _USAGE_ERROR
    except UserError as error:
        tell_error(str(error))
        code = _USAGE_ERROR
    except Interrupted as error:
        if rank() == 0:
            tell(str(error))
        code = 128 + error.signal_number
    except KeyboardInterrupt:
        tell_error("stopped")
        code = _INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; Python's own flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = _BROKEN_PIPE
    except Exception as error:
        code = _told(error)
    return code


def _told(error: Exception) -> int:
    """Tell an error that nobody has foreseen; return the exit code."""
    if _is_out_of_memory(error):
        tell_error("out of memory; use a smaller batch size, or fewer channels")
        return _USAGE_ERROR
    traceback.print_exception(error)
    tell_error(
        f"{kind_and_line(error)}: a fault of unas, unless the traceback ends in code of your own; "
        "please open an issue in the repository of unas, with the traceback and the command"
    )
    return _FAULT


def _prepare_streams() -> None:
    """Let every character print, and print nothing where the shell has closed a stream."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in {*HELP, "help"}:
        raise HelpAskedError(overview())
    if words[0] == "--version":
        print(f"unas {__version__}")
        return 0
    if words[0] in GROUPS and HELP & set(words[1:2]):
        raise HelpAskedError(group_help(words[0]))
    command, words = _take_command(words)
    if HELP & set(words) and words[0].startswith("-"):
        raise HelpAskedError(command_help(command))
    if size() > 1 and command.name not in _OF_SEVERAL:
        one = ", ".join(_OF_SEVERAL)
        raise UserError(
            f"unas {command.name} is for one process, and torchrun has started several: it is for "
            f"{one}; start this without it"
        )
    module, _, function = command.function.partition(":")
    code = getattr(importlib.import_module(f"unas.cli.{module}"), function)(command, words)
    return code or 0


def _take_command(words: list[str]) -> tuple[Command, list[str]]:
    """Return the command that the first word or two name, and the words after it."""
    name, *others = words
    if name in GROUPS:
        actions = [command.split()[1] for command in COMMANDS if command.split()[0] == name]
        if not others or others[0].startswith("-"):
            example = COMMANDS[f"{name} {actions[0]}"].example
            raise UserError(f"ACTION is missing; it comes first, for example: {example}")
        action, *others = others
        if action not in actions:
            hint = one_of(action, tuple(actions))
            raise UserError(f"unas {name} {action} does not exist; {hint}")
        name = f"{name} {action}"
    if name not in COMMANDS:
        what = "flag" if name.startswith("-") else "command"
        known = tuple(dict.fromkeys(command.split()[0] for command in COMMANDS))
        raise UserError(f"unrecognised {what} {name}; {one_of(name, known)}")
    return COMMANDS[name], others


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")  # what has not been imported has raised nothing
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    # PyTorch's own allocator on the host raises a plain RuntimeError.
    return type(error) is RuntimeError and "can't allocate memory" in str(error)
