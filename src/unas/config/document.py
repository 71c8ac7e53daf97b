"""A configuration as JSON: what a run directory's config.json holds, and how it is read again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from types import NoneType
from typing import Any, cast, get_args, get_origin, get_type_hints

from unas.budgets.budget import Budget
from unas.budgets.text import BudgetText
from unas.common.documents import to_json
from unas.common.errors import UserError, naming
from unas.common.registry import one_of
from unas.common.text import shown
from unas.common.values import check_value
from unas.config.components import (
    REGISTRIES,
    base_of,
    callable_name,
    component_class,
    import_callable,
    is_callable_hint,
    require_trust,
)
from unas.config.run_config import Config
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


def join(path: str, name: str) -> str:
    """Return the dotted path of a field."""
    return f"{path}.{name}" if path else name


def _encode(value: Any, path: str) -> dict[str, Any]:
    """Return a dataclass, or a dict of dataclasses, as a JSON object."""
    document: dict[str, Any] = {}
    if isinstance(value, dict):
        for name, item in value.items():
            _require_name(name, path)
            document[name] = _encode_field(type(item), item, join(path, name))
        return document
    base = base_of(type(value))
    if base is not None:
        document["name"] = REGISTRIES[base].name_of(type(value))
    hints = get_type_hints(type(value))
    for field in fields(value):
        if field.init:
            item = getattr(value, field.name)
            document[field.name] = _encode_field(hints[field.name], item, join(path, field.name))
    return document


def _encode_field(hint: Any, value: Any, path: str) -> Any:
    if hint == BUDGETS:
        return [_encode_budget(budget, path) for budget in value]
    if is_callable_hint(hint):
        return callable_name(value, path)
    if isinstance(value, dict) or is_dataclass(value):
        return _encode(value, path)
    return check_value(hint, value, path)


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


def _require_name(name: str, path: str) -> None:
    if not name.isidentifier():
        raise UserError(f"{path} has {shown(name)}; name it with letters, digits and _")


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
                hint = one_of(name, known) if known else "it has none"
                raise UserError(f"{owner} no field {shown(name)}; {hint}")
        hints = get_type_hints(cls)
        values: dict[str, Any] = {}
        for field in fields(cls):
            hint = hints[field.name]
            if hint is NetworkOptions:  # each space has its own, and comes before
                hint = type(values["space"]).network_options
            if field.name in document:
                values[field.name] = self.value(hint, document[field.name], join(path, field.name))
            elif is_required(field):
                values[field.name] = _without_value(hint, join(path, field.name))
        with naming(path):
            return cls(**values)

    def value(self, hint: Any, value: Any, path: str) -> Any:
        """Return one field's value."""
        if hint == BUDGETS:
            return self._budgets(value, path)
        if value is not None and NoneType in get_args(hint):
            hint = next((member for member in get_args(hint) if is_dataclass(member)), hint)
        if hint in REGISTRIES:
            return self._component(hint, value, path)
        if get_origin(hint) is dict:
            _, item_hint = get_args(hint)
            items: dict[str, Any] = {}
            for name, item in _object(value, path).items():
                _require_name(name, path)
                items[name] = self.value(item_hint, item, join(path, name))
            return items
        if is_dataclass(hint) and isinstance(hint, type):
            return self.instance(hint, _object(value, path), path)
        if is_callable_hint(hint):
            with naming(path):
                return import_callable(check_value(str, value, path), self.trusted)
        return check_value(hint, value, path)

    def _component(self, base: type, value: Any, path: str) -> Any:
        document = dict(_object(value, path))
        if "name" not in document:
            raise UserError(f"{path}.name is missing; {one_of('', REGISTRIES[base].names())}")
        name = check_value(str, document.pop("name"), f"{path}.name")
        with naming(f"{path}.name"):
            cls = component_class(base, name, self.trusted)
        return self.instance(cls, document, path)

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


def _without_value(hint: Any, path: str) -> Any:
    """Return the value of a field that has no default and is not in the document."""
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
