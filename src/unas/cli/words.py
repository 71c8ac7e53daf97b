"""What is taken from a command line before its flags are known."""

from __future__ import annotations

from unas.common.errors import UserError


def take_name(words: list[str], what: str, example: str) -> tuple[str, list[str]]:
    """Return the first word, which isn't a flag, and the rest.

    Args:
        words: the command line after the command.
        what: what the word names, as in usage.
        example: a whole command.

    Raises:
        UserError: there is none.
    """
    if not words or words[0].startswith("-") or not words[0]:
        raise UserError(f"{what} is missing; it comes first, for example: {example}")
    return words[0], words[1:]


def take_flag(words: list[str], flag: str) -> tuple[list[str], list[str]]:
    """Return the values given to a flag, as `--flag VALUE` or `--flag=VALUE`, and the words without it.

    Raises:
        UserError: a value is missing.
    """
    values, rest, left = [], [], list(words)
    while left:
        word = left.pop(0)
        if word.startswith(f"{flag}="):
            values.append(word.partition("=")[2])
        elif word != flag:
            rest.append(word)
        elif left and not left[0].startswith("--"):
            values.append(left.pop(0))
        else:
            raise UserError(f"{flag} needs a value")
    return values, rest


def take_count(flag: str, default: int, words: list[str]) -> tuple[int, list[str]]:
    """Return the whole number of 1 or more that follows `flag`, and the words without both.

    Raises:
        UserError: it is none.
    """
    values, words = take_flag(words, flag)
    text = values[-1] if values else str(default)
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{flag} is {text!r}; it must be a whole number of 1 or more")
    return int(text), words
