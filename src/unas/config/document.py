"""A configuration as JSON: what a run directory's config.json holds, and how it is read again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from types import NoneType
from typing import Any, cast, get_args, get_origin, get_type_hints

from unas.budgets.budget import Budget
from unas.budgets.text import BudgetText
from unas.common.documents import to_json
from unas.common.errors import UserError, one_line_errors
from unas.common.registry import one_of
from unas.common.text import shown
from unas.config.components import (
    NAMES,
    base_of,
    callable_name,
    component_class,
    import_callable,
    is_callable_hint,
    require_trust,
)
from unas.config.run_config import Config
from unas.config.values import check_value
from unas.latency.backends import Backend
from unas.runs.names import CONFIG_FORMAT
from unas.spaces import NetworkOptions

BUDGETS = tuple[Budget, ...]  # the type of a field whose values are text where they can be


def config_to_json(config: Config) -> str:
    """Return the whole configuration as JSON that a person can read and edit.

    A component is an object with its registry's name of it under "name" and its options beside.

    Raises:
        UserError: a number is not finite, or a value is of no type that JSON can hold.
    """
    return to_json({**CONFIG_FORMAT.head(), **_encode(config, "")}, indent=2) + "\n"


def config_from_json(
    text: str, source: str = "config.json", trusted: Collection[str] = ()
) -> Config:
    """Read what `config_to_json` wrote; fields that are missing take their defaults.

    Args:
        text: a JSON document.
        source: what messages call it.
        trusted: components outside unas, `package.module:Class`, that may be imported. No others
            are: a run directory may be somebody else's.

    Raises:
        UserError: names the field by its dotted path.
    """
    document = CONFIG_FORMAT.parse(text, source)
    values = {name: value for name, value in document.items() if name not in CONFIG_FORMAT.head()}
    try:
        return cast("Config", _Reader(trusted).instance(Config, values, ""))
    except UserError as error:
        raise UserError(f"{source}: {error}") from error


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Put the path of the object that is made in the block before its errors, which name their fields alone."""
    try:
        with one_line_errors("it can't be made"):
            yield
    except UserError as error:
        message, own = str(error), path.rpartition(".")[2]
        if not path:
            raise
        text = (
            path + message.removeprefix(own)
            if message.startswith(f"{own}.")
            else f"{path}: {message}"
        )
        raise UserError(text) from error


def join(path: str, name: str) -> str:
    """Return the dotted path of a field."""
    return f"{path}.{name}" if path else name


def _encode(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            _term_name(key, path): _encode_field(type(item), item, join(path, key))
            for key, item in value.items()
        }
    hints = get_type_hints(type(value))
    content = {
        field.name: _encode_field(
            hints[field.name], getattr(value, field.name), join(path, field.name)
        )
        for field in fields(value)
        if field.init
    }
    base = base_of(type(value))
    return {"name": NAMES[base].name_of(type(value)), **content} if base else content


def _encode_field(hint: Any, value: Any, path: str) -> Any:
    if hint == BUDGETS:
        return [_encode_budget(budget, path) for budget in value]
    if is_callable_hint(hint):
        return callable_name(value, path)
    return (
        _encode(value, path)
        if isinstance(value, dict) or is_dataclass(value)
        else check_value(hint, value, path)
    )


def _encode_budget(budget: Budget, path: str) -> Any:
    """Return a budget as text; as an object, where its text doesn't say how it is measured."""
    if budget.backend is None or not has_options(budget.backend):
        return str(budget)
    return {"budget": str(budget), "backend": _encode(budget.backend, f"{path}.backend")}


def has_options(component: Any) -> bool:
    """Return whether an option of a component isn't as it is by default."""
    for field in fields(component):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if getattr(component, field.name) != default:
            return True
    return False


def _term_name(name: str, path: str) -> str:
    if not name.isidentifier():
        raise UserError(f"{path} has {shown(name)}; name it with letters, digits and _")
    return name


@dataclass(frozen=True)
class _Reader:
    """Turn JSON values into what their type hints say.

    Args:
        trusted: see `config_from_json`.
    """

    trusted: Collection[str]

    def instance(self, cls: type, document: dict[str, Any], path: str) -> Any:
        """Return an instance of a dataclass from its fields."""
        known = tuple(field.name for field in fields(cls) if field.init)
        for name in document:
            if name not in known:
                owner = f"{path} has" if path else "there is"
                raise UserError(
                    f"{owner} no field {shown(name)}; {one_of(name, known) if known else 'it has none'}"
                )
        hints = get_type_hints(cls)
        values: dict[str, Any] = {}
        for field in fields(cls):
            hint = (
                type(values["space"]).network_options
                if hints[field.name] is NetworkOptions
                else hints[field.name]
            )
            if field.name in document:
                values[field.name] = self.value(hint, document[field.name], join(path, field.name))
            elif is_required(field):
                values[field.name] = self._missing(hint, join(path, field.name))
        with naming(path):
            return cls(**values)

    def value(self, hint: Any, value: Any, path: str) -> Any:
        """Return one field's value."""
        if hint == BUDGETS:
            return self._budgets(value, path)
        if value is not None and NoneType in get_args(hint):
            hint = next((member for member in get_args(hint) if is_dataclass(member)), hint)
        if hint in NAMES:
            return self._component(hint, value, path)
        if get_origin(hint) is dict:
            items = _object(value, path).items()
            return {
                _term_name(key, path): self.value(get_args(hint)[1], item, join(path, key))
                for key, item in items
            }
        if is_dataclass(hint) and isinstance(hint, type):
            return self.instance(hint, _object(value, path), path)
        if is_callable_hint(hint):
            with naming(path):
                return import_callable(check_value(str, value, path), self.trusted)
        return check_value(hint, value, path)

    def _component(self, base: type, value: Any, path: str) -> Any:
        document = _object(value, path)
        if "name" not in document:
            raise UserError(f"{path}.name is missing; {one_of('', NAMES[base].names())}")
        name = check_value(str, document["name"], f"{path}.name")
        with naming(f"{path}.name"):
            cls = component_class(base, name, self.trusted)
        return self.instance(
            cls, {key: item for key, item in document.items() if key != "name"}, path
        )

    def _budgets(self, value: Any, path: str) -> tuple[Budget | str, ...]:
        """Return budgets; those that are text stay text, and a configuration reads them."""
        if not isinstance(value, list):
            raise UserError(f"{path} is {shown(value)}; it must be a list of budgets")
        return tuple(self._budget(item, f"{path}[{i}]") for i, item in enumerate(value))

    def _budget(self, value: Any, path: str) -> Budget | str:
        text = value.get("budget") if isinstance(value, dict) else value
        typed = BudgetText.of(check_value(str, text, path))
        for name in typed.outside_names():
            require_trust(name, self.trusted)
        if not isinstance(value, dict):
            return typed.text
        backend = self.value(Backend, value.get("backend"), f"{path}.backend")
        budget = Budget.parse(typed.text, {typed.backend or "": backend})
        if budget.backend is not backend:
            raise UserError(f"{path}.backend is not the backend that {typed.text} names")
        return budget

    def _missing(self, hint: Any, path: str) -> Any:
        if isinstance(hint, type) and issubclass(hint, NetworkOptions):
            return hint()
        raise UserError(f"{path} is missing; it has no default")


def is_required(field: Field[Any]) -> bool:
    """Return whether a dataclass can't be made without this field."""
    return field.init and field.default is MISSING and field.default_factory is MISSING


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{path} is {shown(value)}; it must be an object with fields")
    return value
