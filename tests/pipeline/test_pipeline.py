"""A tiny run from data to an ONNX file, its directory read by other programs, and its phases alone."""

from __future__ import annotations

import importlib.metadata
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import unas
from tiny import SEARCH_STEPS, TRAINING_STEPS, TinyDigits, tiny_recipe
from unas.config.document import config_from_json
from unas.drawing.policy import draw_policy
from unas.pipeline import evaluate_run, export_run
from unas.runs.network import load_network

TRUSTED = ["tiny:TinyDigits"]
SAME_BYTES = (
    "config.json",
    "metrics.jsonl",
    "policy.json",
    "genotype.json",
    "model.safetensors",
    "model.onnx",
)


def read(directory: Path, name: str) -> Any:
    return json.loads((directory / name).read_text())


def metrics(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def normalised_test_images() -> tuple[np.ndarray, np.ndarray]:
    data: Any = TinyDigits().load(Path())
    return ((data.test.images.numpy() / 255 - data.mean[0]) / data.std[0]).astype(
        np.float32
    ), data.test.labels.numpy()


def test_result_is_what_the_directory_says(finished: unas.Result) -> None:
    assert finished.summary == read(finished.directory, "summary.json")
    assert finished.genotype == unas.load_genotype(finished.directory)
    assert finished.genotype.space == "darts"
    network = unas.create_network(finished.genotype, 10, 1, channels=4, layers=3)
    assert finished.summary["parameters"] == sum(p.numel() for p in network.parameters())
    assert finished.summary["macs"] == unas.count_macs(network, (1, 8, 8))
    backends = {latency["backend"]: latency["median_ms"] for latency in finished.summary["latency"]}
    assert set(backends) == {"onnxruntime", "eager"}
    assert all(median > 0 for median in backends.values())


def test_metrics_have_every_step_of_every_phase(finished: unas.Result) -> None:
    found = [(line["phase"], line["step"]) for line in metrics(finished.directory)]
    expected = [("search", step + 1) for step in range(SEARCH_STEPS)]
    assert found == expected + [("training", step + 1) for step in range(TRAINING_STEPS)]
    warm_up, search = metrics(finished.directory)[1], metrics(finished.directory)[3]
    watched = {"weights_lr", "weights_gradient_norm", "temperature"}
    assert set(warm_up) == {"phase", "step", "train_loss", *watched}
    of_policy = {"policy_lr", "policy_gradient_norm"}
    assert set(search) == {*warm_up, "cross_entropy", "gap", "overlap", "entropy", *of_policy}


def test_tensorboard_reads_the_same_figures(finished: unas.Result) -> None:
    for phase, name, steps in (
        ("search", "train_loss", SEARCH_STEPS),
        ("training", "loss", TRAINING_STEPS),
    ):
        events = EventAccumulator(str(finished.directory / "tensorboard" / phase))
        events.Reload()
        logged = [line[name] for line in metrics(finished.directory) if line["phase"] == phase]
        scalars = events.Scalars(f"{phase}/{name}")
        assert [event.step for event in scalars] == list(range(1, steps + 1))
        assert [event.value for event in scalars] == pytest.approx(logged)


def test_scores_after_each_epoch_are_those_of_the_networks(finished: unas.Result) -> None:
    lines = metrics(finished.directory)
    scored = [line for line in lines if "mode_top1" in line or "test_top1" in line]
    assert [line["step"] for line in scored] == [3, 6, 9, 4, 8]
    last = scored[-1]
    assert last["test_top1"] == finished.summary["test_accuracy"]
    assert last["test_top5"] == finished.summary["test_top5_accuracy"]
    assert last["test_loss"] == pytest.approx(finished.summary["test_loss"])
    assert finished.summary["weights"] == "last"


def test_tensorboard_shows_the_policy_of_each_epoch(finished: unas.Result) -> None:
    events = EventAccumulator(str(finished.directory / "tensorboard" / "search"))
    events.Reload()
    pictures = events.Images("search/policy")
    assert [event.step for event in pictures] == [3, 6, 9]
    choices = tiny_recipe().space.choices
    for event, epoch in zip(pictures, read(finished.directory, "policy.json"), strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        assert pixels.shape == draw_policy(epoch["probabilities"]).shape
        assert pixels.tobytes() == draw_policy(epoch["probabilities"]).tobytes()
        assert pixels.shape[0] == 16 * len(choices)


def test_policy_has_probabilities_of_every_epoch(finished: unas.Result) -> None:
    epochs = read(finished.directory, "policy.json")
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    for epoch in epochs:
        assert set(epoch["probabilities"]) == set(tiny_recipe().space.choices)
        for options in epoch["probabilities"].values():
            assert sum(options.values()) == pytest.approx(1)
    after_warm_up, last = epochs[0]["probabilities"], epochs[-1]["probabilities"]
    assert len(set(after_warm_up["normal/node0/op0"].values())) == 1
    assert all(last[name] != after_warm_up[name] for name in last)


def test_onnx_file_is_the_network_and_has_the_accuracy(finished: unas.Result) -> None:
    path = finished.directory / "model.onnx"
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images, labels = normalised_test_images()
    (logits,) = session.run(None, {session.get_inputs()[0].name: images})
    with torch.no_grad():
        expected = load_network(finished.directory)(torch.from_numpy(images)).numpy()
    assert np.abs(logits - expected).max() <= 1e-4
    assert finished.summary["onnx_max_difference"] <= 1e-4
    assert (logits.argmax(1) == labels).mean() == finished.summary["test_accuracy"]
    properties = session.get_modelmeta().custom_metadata_map
    assert properties["classes"].split("\n") == list("0123456789")
    assert [float(properties[key]) for key in ("mean", "std")] == [0.3051, 0.3759]


def test_weights_are_plain_safetensors(finished: unas.Result) -> None:
    weights = safetensors.torch.load_file(finished.directory / "model.safetensors")
    network = unas.create_network(finished.genotype, 10, 1, channels=4, layers=3)
    assert not network.load_state_dict(weights).missing_keys


def test_manifest_and_checkpoints_are_there(finished: unas.Result) -> None:
    manifest = read(finished.directory, "manifest.json")
    assert (manifest["seed"], manifest["versions"]["torch"]) == (
        0,
        importlib.metadata.version("torch"),
    )
    names = sorted(path.name for path in (finished.directory / "checkpoints").iterdir())
    assert [name.partition("-")[2] for name in names] == ["training-6.ckpt", "training-8.ckpt"]


def test_evaluation_gives_the_runs_own_figures(finished: unas.Result) -> None:
    found = evaluate_run(finished.directory, trusted=TRUSTED, device="cpu")
    assert found["test_accuracy"] == finished.summary["test_accuracy"]
    assert found["test_loss"] == pytest.approx(finished.summary["test_loss"], rel=1e-5)


def test_code_from_outside_is_not_run_unless_it_is_trusted(finished: unas.Result) -> None:
    with pytest.raises(unas.UserError, match="'tiny:TinyDigits' is code from outside unas"):
        evaluate_run(finished.directory)
    with pytest.raises(unas.UserError, match="'tiny:TinyDigits' is code from outside unas"):
        export_run(finished.directory)


def test_the_written_configuration_and_seed_give_the_same_run_again(
    finished: unas.Result, tmp_path: Path
) -> None:
    text = (finished.directory / "config.json").read_text()
    config = config_from_json(text, trusted=TRUSTED)
    assert config == tiny_recipe()
    torch.rand(5)  # what the process has drawn before must not matter
    again = unas.run(config, tmp_path / "again", quiet=True)
    for name in SAME_BYTES:
        assert (again.directory / name).read_bytes() == (finished.directory / name).read_bytes(), (
            name
        )


def test_phases_alone_are_those_of_a_whole_run(finished: unas.Result, tmp_path: Path) -> None:
    searched = unas.search(tiny_recipe(), tmp_path / "search", quiet=True)
    assert searched.genotype == finished.genotype
    assert not (searched.directory / "model.safetensors").exists()
    # `run` goes on where `search` ended; `search` on what `run` has made is what `search` found.
    resumed = unas.run(tiny_recipe(), searched.directory, resume=True, quiet=True)
    assert (resumed.directory / "model.onnx").read_bytes() == (
        finished.directory / "model.onnx"
    ).read_bytes()
    before = (resumed.directory / "metrics.jsonl").read_bytes()
    assert unas.search(tiny_recipe(), searched.directory, resume=True, quiet=True) == resumed
    assert (resumed.directory / "metrics.jsonl").read_bytes() == before

    given = replace(tiny_recipe(), genotype=str(finished.directory))
    trained = unas.train(given, tmp_path / "train", quiet=True)
    for name in ("genotype.json", "model.safetensors"):
        assert (trained.directory / name).read_bytes() == (
            finished.directory / name
        ).read_bytes(), name
    assert {line["phase"] for line in metrics(trained.directory)} == {"training"}
    assert not (trained.directory / "policy.json").exists()


def test_another_seed_gives_another_search(finished: unas.Result, tmp_path: Path) -> None:
    other = unas.search(replace(tiny_recipe(), seed=1), tmp_path / "other", quiet=True)
    first, second = metrics(finished.directory)[0], metrics(other.directory)[0]
    assert first["train_loss"] != second["train_loss"]
    assert read(other.directory, "policy.json")[-1] != read(finished.directory, "policy.json")[-1]
