"""What exactly was run: command, configuration, machine, versions, revision, resumes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unas.common.text import shown
from unas.report import command
from unas.report.fields import Fields
from unas.report.markup import Markup, element
from unas.report.parts import missing, pairs, section
from unas.report.run_data import RunData
from unas.runs.names import MANIFEST

_MAX_FIELDS = 500
_MAX_RESUMES = 20


def draw(run: RunData, level: int) -> Markup:
    """Return the section."""
    parts = [_command(run), _machine(run), _configuration(run)]
    return section("What was run", level, *parts)


def _command(run: RunData) -> Markup:
    again = command.repeated(run)
    if again:
        says = "To do the same again, in a new directory:"
        return element("div", element("p", says), element("pre", element("code", again)))
    return missing(
        f"It was started from Python ({command.typed(run) or 'unknown'}); config.json repeats it."
    )


def _machine(run: RunData) -> Markup:
    manifest = run.manifest
    if not manifest.values:
        return missing(f"{MANIFEST} is missing: machine and versions are not known.")
    hardware, versions = manifest.object("hardware"), manifest.object("versions")
    memory = hardware.number("memory_bytes")
    parts = [
        hardware.text("cpu"),
        _cores(hardware),
        "" if memory is None else f"{memory / 2**30:.1f} GiB memory",
    ]
    gpus, cuda = hardware.texts("gpus"), hardware.text("cuda")
    packages = ", ".join(f"{name} {version}" for name, version in versions.named() if version)
    rows = [
        ("command as typed", command.typed(run)),
        ("started", manifest.text("started")),
        ("device", manifest.text("device")),
        ("processes", _whole(manifest, "processes")),
        ("machine", ", ".join(part for part in parts if part)),
        ("GPUs", f"{', '.join(gpus)}{f', CUDA {cuda}' if cuda else ''}" if gpus else "none"),
        ("system", hardware.text("system")),
        ("versions", packages),
        ("git revision", manifest.text("git_revision") or "not in a git checkout"),
        ("resumed", _resumes(manifest)),
    ]
    return pairs("Command, machine and versions", [(name, value) for name, value in rows if value])


def _cores(hardware: Fields) -> str:
    cores = hardware.number("cores")
    return "" if cores is None else f"{cores:.0f} core{'s' if cores != 1 else ''}"


def _whole(fields: Fields, name: str) -> str:
    value = fields.number(name)
    return "" if value is None else f"{value:,.0f}"


def _resumes(manifest: Fields) -> str:
    found = manifest.objects("resumed")
    times = "; ".join(
        f"{item.text('started')} on {item.text('device')}" for item in found[:_MAX_RESUMES]
    )
    more = f"; and {len(found) - _MAX_RESUMES} more" if len(found) > _MAX_RESUMES else ""
    return f"{len(found)} × ({times}{more})" if found else "never"


def _configuration(run: RunData) -> Markup:
    """Return the whole configuration, folded."""
    rows = []
    for path, value in leaves(run.config.values):
        rows.append((path, value))
        if len(rows) == _MAX_FIELDS:
            break
    content = pairs("config.json, field by field", rows)
    return element("details", element("summary", "The whole configuration"), content)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted path, value) of every field of a JSON object at any depth."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield path, ", ".join(shown(item) for item in value[:100]) or "none"
    else:
        yield path, shown(value)
