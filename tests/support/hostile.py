"""Hostile files: valid ones, changed by somebody who means ill, and what reads them. For tests and
benchmarks/fuzz.py.

A reader may return or raise a `UserError` of one line. Everything else, and code that ran, is a
finding.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import random
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import planted
import unas
from unas.architecture.policy import Layout
from unas.architecture.published import list_genotypes, load_genotype
from unas.common.errors import UserError
from unas.common.files import read_text
from unas.config.document import config_from_json, config_to_json
from unas.costs.table import CostTable
from unas.data.folder import ImageFolder
from unas.lab.table_files import read_table
from unas.latency.fingerprint import Fingerprint
from unas.latency.predictor import Predictor, Quality
from unas.latency.predictor_files import load_predictor
from unas.runs.checkpoints import Checkpoint, Checkpoints, fitting, read_checkpoint
from unas.runs.metrics import read_metrics
from unas.runs.network import load_network, save_network
from unas.spaces import Blueprint
from unas.spaces.darts import DartsNetworkOptions, DartsSpace

EVIL = "evil_module_of_a_test"
HOSTILE: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        2**63,
        -(2**70),
        10**400,
        1e308,
        -0.0,
        5e-324,
        math.nan,
        math.inf,
        0.1,
    ),
    *(
        "",
        "x",
        "\ud800",
        "\x00",
        "\u202e\x1b[2J",
        "none",
        "true",
        "NaN",
        "1e999",
        "9" * 5000,
        "x" * 100_000,
        "\n\n",
    ),
    *(
        f"{EVIL}:run",
        "os:system",
        "../../../etc/passwd",
        "/etc/passwd",
        "/dev/zero",
        "file:///",
        "__class__",
    ),
    *([], {}, [[]], [1] * 10_000, {"name": f"{EVIL}:run"}, {"": ""}, {"a": {"b": {"c": []}}}),
    *({str(i): i for i in range(500)}, [{}] * 3),
]


@dataclass(frozen=True)
class Reader:
    """Something that reads files of one kind.

    Args:
        name: of the kind.
        seeds: valid files.
        file: the name that a file gets.
        read: reads it.
    """

    name: str
    seeds: tuple[bytes, ...]
    file: str
    read: Callable[[Path], object]


def finding(reader: Reader, content: bytes, directory: Path) -> str | None:
    """Return what went wrong when `content` was read, or None."""
    path = directory / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of images
            reader.read(path)
    except UserError as error:
        if len(str(error).splitlines()) != 1:
            return f"{reader.name}: a message of several lines: {str(error)[:200]!r}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{reader.name}: {type(error).__name__}: {str(error)[:200]}"
    return f"{reader.name}: code from the file was run" if EVIL in sys.modules else None


def plant(directory: Path) -> None:
    """Put a module where Python finds it, whose import shows."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{EVIL}.py").write_text("def run(*_):\n    return 0\n")
    sys.path.insert(0, str(directory))


def mutated(seed: bytes, draw: random.Random) -> bytes:
    """Return a file that is near the seed."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        seed = draw.choice((_change_value, _change_value, _change_value, _damage))(seed, draw)
    return seed


def _change_value(seed: bytes, draw: random.Random) -> bytes:
    """Change one value, name or length of a JSON document; damage what is none."""
    try:
        document = json.loads(seed)
    except (ValueError, RecursionError):
        return _damage(seed, draw)
    places = list(_places(document))
    if not places:
        return json.dumps(draw.choice(HOSTILE)).encode()
    holder, key = draw.choice(places)
    action = draw.randrange(5)
    if action <= 2 or isinstance(holder, list):
        holder[key] = draw.choice(HOSTILE)
    elif action == 3:
        del holder[key]
    else:
        holder[draw.choice(("", "x", "name", "format", "\x00", "\ud800", f"{EVIL}:run"))] = (
            holder.pop(key)
        )
    return json.dumps(document).encode()


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _damage(seed: bytes, draw: random.Random) -> bytes:
    content = bytearray(seed)
    at = draw.randrange(len(content) + 1)
    action = draw.randrange(6)
    if action == 0 and content:
        content[at % len(content)] ^= 1 << draw.randrange(8)
    elif action == 1:
        del content[at:]
    elif action == 2:
        content[at:at] = draw.randbytes(draw.randrange(9))
    elif action == 3:
        content[at:at] = draw.choice(
            (b"[", b'{"a":', b'"', b"\x00", b"\xff", b",", b"\n", b"9")
        ) * draw.choice((1, 5000))
    elif action == 4:
        content[at:at] = content[at : at + draw.randrange(200)] * draw.randrange(20)
    else:
        del content[at : at + draw.randrange(50)]
    return bytes(content)


def readers(directory: Path) -> list[Reader]:
    """Return all readers; `directory` is for making their seeds."""
    genotypes = tuple(load_genotype(name).to_json().encode() for name in list_genotypes())
    configs = tuple(
        config_to_json(unas.recipe(name)).encode() for name in ("digits", "imagenet-mobile")
    )
    return [
        Reader("genotype", genotypes, "genotype.json", load_genotype),
        Reader(
            "config",
            configs,
            "config.json",
            lambda path: config_from_json(read_text(path), str(path)),
        ),
        Reader("predictor", (_predictor(directory),), "predictor.json", load_predictor),
        Reader("CSV table", (_csv(),), "table.csv", read_table),
        Reader("JSON table", (_macro(),), "table.json", read_table),
        Reader(
            "metrics",
            (b'{"phase": "search", "step": 1, "loss": 0.5}\n' * 3,),
            "metrics.jsonl",
            _metrics,
        ),
        Reader("checkpoint", (_checkpoint(directory),), "000001-search-1.ckpt", _load_checkpoint),
        Reader("network", (_network(directory),), "model.safetensors", load_network),
        Reader("image", _images(), "train/class/image.jpg", _read_folder),
    ]


def _predictor(directory: Path) -> bytes:
    layout = Layout({"a": ("x", "y"), "b": ("p", "q", "r")}, "module")
    quality = Quality(**dict.fromkeys(Quality.__dataclass_fields__, 1))
    weights = (torch.zeros(2, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    fingerprint = Fingerprint(
        **{name: _plain(field.type) for name, field in Fingerprint.__dataclass_fields__.items()}
    )
    table = CostTable(layout, 1.0, (("a",), ("b",)), weights)
    predictor = Predictor(table, {}, fingerprint, quality)
    predictor.save(directory / "seed.json")
    return (directory / "seed.json").read_bytes()


def _plain(hint: Any) -> Any:
    return 1 if "int" in str(hint) else 1.0 if "float" in str(hint) else "text"


def _csv() -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(
        [["a", "b", "loss"], *([i % 3, "xyz"[i // 3], i / 7] for i in range(9))]
    )
    return text.getvalue().encode()


def _macro() -> bytes:
    keys = ("00", "01", "12", "20")
    return json.dumps(
        {key: {"mean_acc": 80.5, "test_acc": [80, 81.0, 79.5]} for key in keys}
    ).encode()


def _metrics(path: Path) -> None:
    for _ in read_metrics(path):
        pass


def _checkpoint(directory: Path) -> bytes:
    search = planted.build()
    search(*planted.batch(0))
    state = {"metrics_bytes": 0, "state": {"search": search.state_dict(), "policies": []}}
    return (
        Checkpoints(directory / "checkpoints")
        .save("search", 1, state)
        .read_bytes()
        .partition(b"\n")[2]
    )


def signed(payload: bytes) -> bytes:
    """Return a checkpoint whose checksum is right, whatever is in it."""
    return (
        f"unas checkpoint 1 {hashlib.sha256(payload).hexdigest()} {len(payload):020d}\n".encode()
        + payload
    )


def changed_checkpoint(content: bytes, draw: random.Random) -> bytes:
    """Return a checkpoint with a right checksum and one changed value, or damage that the checksum
    covers.
    """
    payload = content.partition(b"\n")[2]
    if draw.random() < 0.5:
        return signed(_damage(payload, draw))
    saved = torch.load(io.BytesIO(payload), weights_only=True)
    holder, key = draw.choice(list(_places(saved)))
    holder[key] = draw.choice(HOSTILE)
    file = io.BytesIO()
    torch.save(saved, file)
    return signed(file.getvalue())


def _load_checkpoint(path: Path) -> None:
    """Read a checkpoint whose checksum is right, whatever is in it, and load it."""
    path.write_bytes(signed(path.read_bytes()))
    checkpoint: Checkpoint = read_checkpoint(path)
    with fitting(checkpoint.path):
        search = planted.build()
        search.load_state_dict(checkpoint.state["state"]["search"])


def _network(directory: Path) -> bytes:
    genotype = load_genotype("UNAS_CIFAR10")
    blueprint = Blueprint(DartsSpace(), DartsNetworkOptions(channels=2, layers=3), 3, (1, 8, 8))
    save_network(blueprint.network(genotype), directory / "seed.safetensors", genotype, blueprint)
    return (directory / "seed.safetensors").read_bytes()


def _images() -> tuple[bytes, ...]:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 20, 3), dtype=np.uint8)
    found = []
    for kind in ("JPEG", "PNG", "WEBP"):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        found.append(file.getvalue())
    return tuple(found)


def _read_folder(path: Path) -> None:
    """Read a folder of this image and sound ones, in two classes."""
    for number, content in enumerate(_images()):
        (path.parent / f"sound{number}.png").write_bytes(content)
    other = path.parents[1] / "other"
    other.mkdir(exist_ok=True)
    (other / "sound.png").write_bytes(_images()[0])
    data = ImageFolder(size=8, test_fraction=0.5, max_corrupt=0.9, workers=1).load(path.parents[2])
    for images in (data.train, data.test):
        images.read(torch.arange(len(images)), replace=True).result()
