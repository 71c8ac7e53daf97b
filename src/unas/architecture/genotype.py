"""The result of a search: one named option for each choice of a space."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from unas.common.documents import Format
from unas.common.errors import UserError
from unas.common.registry import Registry, is_built_in, one_of

FORMAT = Format("unas.genotype", 1, "a genotype", ("space", "choices"))
MAX_JSON_CHARACTERS = 1_000_000


class ChoiceTable(ABC):
    """What a genotype is checked against; every search space is one.

    The genotype sits at the bottom of the house and the spaces above it, so the table is found by
    the space's name.
    """

    @classmethod
    @abstractmethod
    def all_choices(cls) -> Mapping[str, tuple[str, ...]] | None:
        """Return every choice of the space with all options it can have.

        None where only an instance knows.
        """

    @classmethod
    def choices_like(cls, names: Iterable[str]) -> Mapping[str, tuple[str, ...]] | None:  # noqa: ARG003
        """Return every choice of the space that a genotype with choices of these names is of.

        It is `all_choices` where all spaces of the class have the same choices.
        """
        return cls.all_choices()


space_registry: Registry[ChoiceTable] = Registry("space", "unas.spaces", ChoiceTable)  # type: ignore[type-abstract]


@dataclass(frozen=True)
class Genotype:
    """An architecture of a search space.

    Args:
        space: the space's name, for example "darts".
        choices: the chosen option of each choice, by the choice's name.
    """

    space: str
    choices: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", MappingProxyType(dict(self.choices)))

    def __hash__(self) -> int:
        return hash((self.space, frozenset(self.choices.items())))

    def __reduce__(self) -> tuple[type[Genotype], tuple[str, dict[str, str]]]:
        return Genotype, (self.space, dict(self.choices))

    def to_json(self) -> str:
        """Return the genotype as JSON that a person can read and edit."""
        document = {**FORMAT.head(), "space": self.space, "choices": dict(self.choices)}
        return json.dumps(document, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "genotype") -> Genotype:
        """Read what `to_json` wrote and check it against its space.

        Args:
            text: a JSON document.
            source: what messages call it, for example the file's name.

        Raises:
            UserError: it isn't a genotype, or not one of its space.
        """
        if len(text) > MAX_JSON_CHARACTERS:
            raise UserError(
                f"{source}: {len(text)} characters; a genotype has at most {MAX_JSON_CHARACTERS}"
            )
        document = FORMAT.parse(text, source)
        choices = document["choices"]
        is_table = isinstance(choices, dict)
        if not is_table or not all(isinstance(option, str) for option in choices.values()):
            raise UserError(f"{source}: choices must map each choice's name to an option's name")
        genotype = cls(str(document["space"]), choices)
        if is_built_in(genotype.space):
            table = space_registry.get(genotype.space).choices_like(choices)
            if table is not None:
                genotype.check(table, source)
        return genotype

    def check(self, table: Mapping[str, tuple[str, ...]], source: str = "genotype") -> None:
        """Check that the genotype takes exactly one known option for each choice of `table`.

        Raises:
            UserError: a choice is missing or unknown, or an option is.
        """
        for name in self.choices:
            if name not in table:
                known = _described(name, tuple(table))
                raise UserError(
                    f"{source}: {name!r} is not a choice of the {self.space} space; {known}"
                )
        missing = [name for name in table if name not in self.choices]
        if missing:
            options = ", ".join(table[missing[0]])
            raise UserError(
                f"{source}: {len(missing)} of the {self.space} space's {len(table)} choices are "
                f"missing, the first is {missing[0]!r}; give it one of {options}"
            )
        for name, option in self.choices.items():
            if option not in table[name]:
                options = ", ".join(table[name])
                raise UserError(
                    f"{source}: choices[{name!r}] is {option!r}; "
                    f"the {self.space} space has {options}"
                )


def _described(name: str, names: tuple[str, ...]) -> str:
    """Return the end of an error line: a choice's close match, and all others if they are few."""
    description = one_of(name, names)
    if len(names) <= 8:
        return description
    return description.partition("There are")[0] + f"it has {len(names)} choices"
