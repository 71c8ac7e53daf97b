"""What exactly was run: command, configuration, machine, versions, revision, resumes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from unas.common.text import shown
from unas.report import command
from unas.report.fields import Fields
from unas.report.figures import if_known, plural, whole
from unas.report.markup import Markup, element
from unas.report.parts import missing, pairs, section
from unas.report.run_data import RunData
from unas.runs.names import MANIFEST

_MAX_FIELDS = 500
_MAX_RESUMES = 20


def draw(run: RunData, level: int) -> Markup:
    """Return the section."""
    return section("What was run", level, _command(run), _machine(run), _configuration(run))


def _command(run: RunData) -> Markup:
    again = command.repeated(run)
    if again:
        says = "To do the same again, in a new directory:"
        return element("div", element("p", says), element("pre", element("code", again)))
    program = command.typed(run) or "unknown"
    return missing(f"It was started from Python ({program}); config.json repeats it.")


def _machine(run: RunData) -> Markup:
    manifest = run.manifest
    if not manifest.values:
        return missing(f"{MANIFEST} is missing: machine and versions are not known.")
    hardware = manifest.object("hardware")
    versions = manifest.object("versions").named()
    rows = [
        ("command as typed", command.typed(run)),
        ("started", manifest.text("started")),
        ("device", manifest.text("device")),
        ("data", _data(manifest.object("data"))),
        ("not read", _listed(manifest.object("data").texts("left_out"))),
        ("processes", if_known(manifest.number("processes"), whole)),
        ("machine", _listed(_computer(hardware))),
        ("GPUs", _gpus(hardware)),
        ("system", hardware.text("system")),
        ("versions", _listed(f"{name} {version}" for name, version in versions if version)),
        ("git revision", manifest.text("git_revision") or "not in a git checkout"),
        ("resumed", _resumes(manifest)),
    ]
    return pairs("Command, machine and versions", [(name, value) for name, value in rows if value])


def _data(data: Fields) -> str:
    """Return what trained and what tested, in a line; "" where an older unas wrote the manifest."""
    train = data.object("train").number("images")
    test = data.object("test").number("images")
    if train is None or test is None:
        return ""
    classes = len(data.texts("classes"))
    source = f" of {data.text('test_from')}" if data.text("test_from") else ""
    counts = f"{whole(classes)} classes, train {whole(train)}, test {whole(test)}{source}"
    return f"{data.text('dataset')}: {counts}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(word for word in words if word)


def _computer(hardware: Fields) -> list[str]:
    words = [hardware.text("cpu")]
    cores = hardware.number("cores")
    if cores is not None:
        words.append(plural(cores, "core"))
    memory = hardware.number("memory_bytes")
    if memory is not None:
        words.append(f"{memory / 2**30:.1f} GiB memory")
    return words


def _gpus(hardware: Fields) -> str:
    gpus = hardware.texts("gpus")
    if not gpus:
        return "none"
    cuda = hardware.text("cuda")
    return _listed([*gpus, f"CUDA {cuda}" if cuda else ""])


def _resumes(manifest: Fields) -> str:
    resumes = manifest.objects("resumed")
    if not resumes:
        return "never"
    shown_resumes = resumes[:_MAX_RESUMES]
    times = [f"{resume.text('started')} on {resume.text('device')}" for resume in shown_resumes]
    if len(resumes) > _MAX_RESUMES:
        times.append(f"and {len(resumes) - _MAX_RESUMES} more")
    return f"{len(resumes)} × ({'; '.join(times)})"


def _configuration(run: RunData) -> Markup:
    """Return the whole configuration, folded."""
    rows = itertools.islice(leaves(run.config.values), _MAX_FIELDS)
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
