"""Values that no search or training can have: one line that names the field."""

from __future__ import annotations

from typing import Any

import pytest

from unas.common.errors import UserError
from unas.runs.session import CheckpointConfig
from unas.searching.choosing import ChoosingConfig
from unas.searching.config import AdamConfig, SearchConfig
from unas.training import TrainingConfig

ADAM = {"lr": 1.0, "final_lr": 0.1, "weight_decay": 0.0}
WRONG: list[tuple[type, dict[str, Any], str]] = [
    (SearchConfig, {"epochs": -1}, "search.epochs is -1"),
    (SearchConfig, {"warm_up_epochs": -1}, "search.warm_up_epochs is -1"),
    (SearchConfig, {"batch_size": 0}, "search.batch_size is 0"),
    (SearchConfig, {"architectures_per_batch": -2}, "search.architectures_per_batch is -2"),
    (
        SearchConfig,
        {"batch_size": 10, "architectures_per_batch": 4},
        "it must divide search.batch_size 10",
    ),
    (SearchConfig, {"validation_fraction": 1.0}, "search.validation_fraction is 1.0"),
    (SearchConfig, {"validation_fraction": float("nan")}, "search.validation_fraction is nan"),
    (
        SearchConfig,
        {"weights_on": "soft"},
        "search.weights_on is 'soft'; it must be relaxed or hard",
    ),
    (
        SearchConfig,
        {"policy_on": "training"},
        "search.policy_on is 'training'; it must be both or validation",
    ),
    (
        SearchConfig,
        {"policy_on": "validation"},
        "search.policy_on is 'validation', but term gap needs training images beside",
    ),
    (
        SearchConfig,
        {"schedule": "late"},
        "search.schedule is 'late'; it must be whole or restarted",
    ),
    (SearchConfig, {"relaxed_temperature": 0.0}, "search.relaxed_temperature is 0.0"),
    (SearchConfig, {"clip_norm": -1.0}, "search.clip_norm is -1.0"),
    (SearchConfig, {"objectives": {}}, "search.objectives is empty"),
    (AdamConfig, {**ADAM, "lr": -0.1}, "lr of an optimiser is -0.1"),
    (AdamConfig, {**ADAM, "final_lr": float("nan")}, "final_lr of an optimiser is nan"),
    (AdamConfig, {**ADAM, "weight_decay": -1.0}, "weight_decay of an optimiser is -1.0"),
    (TrainingConfig, {"epochs": -5}, "training.epochs is -5"),
    (TrainingConfig, {"warm_up_epochs": -1}, "training.warm_up_epochs is -1"),
    (TrainingConfig, {"batch_size": 0}, "training.batch_size is 0"),
    (TrainingConfig, {"lr": float("nan")}, "training.lr is nan"),
    (
        TrainingConfig,
        {"cosine": "rest"},
        "training.cosine is 'rest'; it must be after_warm_up or all_epochs",
    ),
    (TrainingConfig, {"weight_decay": -1e-4}, "training.weight_decay is -0.0001"),
    (TrainingConfig, {"auxiliary_weight": -0.4}, "training.auxiliary_weight is -0.4"),
    (TrainingConfig, {"clip_norm": 0.0}, "training.clip_norm is 0.0"),
    (TrainingConfig, {"momentum": 1.0}, "training.momentum is 1.0"),
    (TrainingConfig, {"label_smoothing": -0.1}, "training.label_smoothing is -0.1"),
    (ChoosingConfig, {"candidates": -1}, "choosing.candidates is -1"),
    (CheckpointConfig, {"every_seconds": float("nan")}, "checkpoint.every_seconds is nan"),
    (CheckpointConfig, {"every_steps": -1}, "checkpoint.every_steps is -1"),
]


@pytest.mark.parametrize(("cls", "values", "message"), WRONG)
def test_wrong_value_is_one_line(cls: type, values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        cls(**values)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
