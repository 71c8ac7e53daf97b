"""Take models that others made through run, evaluate, export and budgets, each in its own process.

    uv run --with timm python benchmarks/zoo.py [--out FOLDER] [NAME …]

Two blocks of each model become choices between the block and nothing. A model that can't go all
the way must be refused in one line before anything is spent; a traceback, or a line after the
search, is a finding. The last line counts the outcomes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("OMP_NUM_THREADS", "2")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.vision_transformer import VisionTransformer

import unas
from image_tree import write_image_tree
from unas.budgets.budget import Budget
from unas.common.errors import UserError
from unas.config import Config
from unas.data.folder import ImageFolder
from unas.nn.choice import OpChoice
from unas.pipeline.api import evaluate_run, export_run
from unas.spaces import ModuleSpace, NetworkOptions

SIZE = 64
CLASSES = 6
TRIALS_LIMIT = 420  # seconds for one model
# Small members of families; those of 224 have windows that fit no smaller image.
TORCHVISION = {
    "alexnet": SIZE,
    "convnext_tiny": SIZE,
    "densenet121": SIZE,
    "efficientnet_b0": SIZE,
    "googlenet": SIZE,
    "inception_v3": 128,
    "mnasnet0_5": SIZE,
    "mobilenet_v2": SIZE,
    "mobilenet_v3_small": SIZE,
    "regnet_y_400mf": SIZE,
    "resnet18": SIZE,
    "shufflenet_v2_x0_5": SIZE,
    "squeezenet1_1": SIZE,
    "swin_v2_t": SIZE,
    "vgg11_bn": SIZE,
    "vision_transformer": SIZE,
}
TIMM = {
    "convnext_atto": SIZE,
    "coat_lite_tiny": SIZE,
    "deit_tiny_patch16_224": SIZE,
    "dla46_c": SIZE,
    "edgenext_xx_small": SIZE,
    "efficientformerv2_s0": 224,
    "efficientvit_m0": 224,
    "fastvit_t8": SIZE,
    "ghostnet_050": SIZE,
    "hardcorenas_a": SIZE,
    "lcnet_050": SIZE,
    "levit_128s": 224,
    "mixer_s32_224": SIZE,
    "mobilenetv4_conv_small": SIZE,
    "mobilevit_xxs": SIZE,
    "poolformer_s12": SIZE,
    "regnetx_002": SIZE,
    "repvgg_a0": SIZE,
    "resnest14d": SIZE,
    "resnet10t": SIZE,
    "seresnext26t_32x4d": SIZE,
    "skresnet18": SIZE,
    "tinynet_e": SIZE,
    "xcit_nano_12_p16_224": SIZE,
}


def _of_torchvision(name: str, num_classes: int, size: int) -> nn.Module:
    if name == "vision_transformer":  # the named ones are too large
        shape = {"image_size": size, "patch_size": 16, "num_layers": 4, "num_heads": 4}
        small = VisionTransformer(**shape, hidden_dim=64, mlp_dim=128, num_classes=num_classes)
        return cast("nn.Module", small)
    options: dict[str, Any] = {}
    if name in {"googlenet", "inception_v3"}:
        options = {"aux_logits": False, "init_weights": False}
    model: nn.Module = torchvision.models.get_model(name, num_classes=num_classes, **options)
    return model


def _of_timm(name: str, num_classes: int, size: int) -> nn.Module:
    import timm

    options: dict[str, Any] = {} if size == 224 else {"img_size": size}
    try:
        model: nn.Module = timm.create_model(name, num_classes=num_classes, **options)
    except TypeError:  # convolutions take images of any size
        model = timm.create_model(name, num_classes=num_classes)
    return model


def with_choices(model: nn.Module, size: int, count: int = 2) -> nn.Module:
    """Return the model with its largest blocks that keep their input's shape as choices."""
    keeps_shape: dict[str, int] = {}
    seen: set[str] = set()

    def look(
        path: str, module: nn.Module, inputs: tuple[Any, ...], others: dict[str, Any], outcome: Any
    ) -> None:
        has_one = len(inputs) == 1 and not others and isinstance(inputs[0], Tensor)
        is_plain = has_one and isinstance(outcome, Tensor)
        parameters = sum(parameter.numel() for parameter in module.parameters())
        if is_plain and inputs[0].shape == outcome.shape and parameters and path not in seen:
            keeps_shape[path] = parameters
        else:
            keeps_shape.pop(path, None)
        seen.add(path)

    hooks = [
        module.register_forward_hook(partial(look, path), with_kwargs=True)
        for path, module in model.named_modules()
        if path and not isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm)
    ]
    model.eval()
    with torch.no_grad():
        model(torch.zeros(2, 3, size, size))
    for hook in hooks:
        hook.remove()
    model.train()
    chosen: list[str] = []
    for path in sorted(keeps_shape, key=lambda path: (-keeps_shape[path], path)):
        if not any(_is_inside(path, other) or _is_inside(other, path) for other in chosen):
            chosen.append(path)
        if len(chosen) == count:
            break
    for path in chosen:
        parent, _, name = path.rpartition(".")
        block = model.get_submodule(path)
        setattr(
            model.get_submodule(parent), name, OpChoice({"block": block, "skip": nn.Identity()})
        )
    return model


def _is_inside(path: str, other: str) -> bool:
    return path.startswith(f"{other}.")


def _maker(
    name: str, build: Callable[[str, int, int], nn.Module], size: int
) -> Callable[..., nn.Module]:
    def make(num_classes: int = CLASSES) -> nn.Module:
        return with_choices(build(name, num_classes, size), size)

    make.__name__ = make.__qualname__ = name
    make.__module__ = "zoo"
    return make


MAKERS = {name: _maker(name, _of_torchvision, size) for name, size in TORCHVISION.items()}
MAKERS |= {name: _maker(name, _of_timm, size) for name, size in TIMM.items()}
globals().update(MAKERS)  # config.json names a model by its place


def config_of(name: str, photographs: Path) -> Config:
    """Return a run of a few steps."""
    base = unas.recipe("digits")
    objectives = {
        term: value for term, value in base.search.objectives.items() if term != "overlap"
    }
    search = replace(
        base.search,
        objectives=objectives,
        warm_up_epochs=0,
        epochs=1,
        batch_size=8,
        architectures_per_batch=2,
        validation_fraction=0.5,
    )
    return replace(
        base,
        dataset=ImageFolder(size=(TORCHVISION | TIMM)[name]),
        space=ModuleSpace(MAKERS[name]),
        network=NetworkOptions(),
        search=search,
        training=replace(base.training, epochs=1, warm_up_epochs=0, batch_size=16),
        budgets=(Budget.parse("params<=1G"), Budget.parse("macs<=100G")),
        data_root=str(photographs),
    )


def go_through(name: str, photographs: Path, out: Path) -> dict[str, str]:
    """Return what happened: "passed", the line of a refusal, or a finding."""
    root = str(photographs)
    steps: dict[str, Callable[[], Any]] = {
        "run": lambda: unas.run(config_of(name, photographs), out, quiet=True).summary,
        "evaluate": lambda: evaluate_run(out, root, trusted=[f"zoo:{name}"]),
        "export": lambda: export_run(out, root, trusted=[f"zoo:{name}"]),
    }
    for step, do in steps.items():
        try:
            figures = do()
        except UserError as error:
            is_early = step == "run" and not out.exists()
            return {"outcome": "refused" if is_early else "LATE", "step": step, "line": str(error)}
        except Exception as error:
            traceback.print_exc()
            return {"outcome": "TRACEBACK", "step": step, "line": repr(error)[:300]}
        if step == "run" and not all(verdict["passed"] for verdict in figures["budgets"]):
            return {"outcome": "BUDGET", "step": step, "line": str(figures["budgets"])}
    return {"outcome": "passed", "step": "", "line": ""}


def _alone(name: str, photographs: Path, out: Path) -> dict[str, str]:
    words = [sys.executable, __file__, "--one", name, "--photographs", str(photographs)]
    try:
        done = subprocess.run(
            [*words, "--out", str(out)],
            capture_output=True,
            text=True,
            check=False,
            timeout=TRIALS_LIMIT,
        )
    except subprocess.TimeoutExpired:
        return {"outcome": "SLOW", "step": "", "line": f"more than {TRIALS_LIMIT} s"}
    sys.stderr.write(done.stderr)
    last = done.stdout.strip().rpartition("\n")[2]
    try:
        return dict(json.loads(last))
    except ValueError:
        return {"outcome": "DIED", "step": "", "line": f"exit code {done.returncode}"}


def main() -> int:
    """Go through the models, and return how many findings there are."""
    parser = argparse.ArgumentParser(description="models of torchvision and timm")
    parser.add_argument("names", nargs="*", default=list(MAKERS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one")
    parser.add_argument("--photographs", type=Path)
    words = parser.parse_args()
    if words.one:
        import zoo  # the module that config.json names

        warnings.simplefilter("ignore")
        print(json.dumps(zoo.go_through(words.one, words.photographs, words.out)))
        return 0
    out = words.out or Path(tempfile.mkdtemp(prefix="zoo-"))
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "photographs").exists():
        write_image_tree(out / "photographs", classes=CLASSES, per_class=8)
    rows = []
    for name in words.names:
        began = time.monotonic()
        outcome = _alone(name, out / "photographs", out / name)
        rows.append((name, outcome))
        seconds = f"{time.monotonic() - began:.0f} s"
        print(name, seconds, *(text for text in outcome.values() if text), flush=True)
    counts: dict[str, int] = {}
    for _, outcome in rows:
        counts[outcome["outcome"]] = counts.get(outcome["outcome"], 0) + 1
    print(f"{len(rows)} models: {counts}")
    return sum(number for outcome, number in counts.items() if outcome.isupper())


if __name__ == "__main__":
    sys.exit(main())
