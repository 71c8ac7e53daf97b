"""Accuracies and losses of batches, against scikit-learn's over all images."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import log_loss, top_k_accuracy_score

from unas.common.errors import UserError
from unas.compute.scores import Scoring


@pytest.mark.parametrize("classes", [2, 5, 6, 10])
@pytest.mark.parametrize("sizes", [[7], [3, 1, 5]])
def test_scores_are_scikit_learns(classes: int, sizes: list[int]) -> None:
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(sum(sizes), classes, generator=generator)
    labels = torch.randint(classes, (sum(sizes),), generator=generator)
    scoring = Scoring()
    for batch, right in zip(logits.split(sizes), labels.split(sizes), strict=True):
        scoring.add(batch, right)
    scores = scoring.result()
    every = range(classes)
    of_all = logits.softmax(1).numpy()
    assert scores.top1 == pytest.approx((logits.argmax(1) == labels).double().mean().item())
    assert scores.loss == pytest.approx(log_loss(labels, of_all, labels=every), rel=1e-5)
    if classes <= 5:
        assert scores.top5 is None
        assert set(scores.figures("test")) == {"test_top1", "test_loss"}
    else:
        expected = top_k_accuracy_score(labels, of_all, k=5, labels=every)
        assert scores.top5 == pytest.approx(expected)
        assert scores.figures("mode")["mode_top5"] == scores.top5


def test_no_image_has_no_score() -> None:
    with pytest.raises(UserError, match="no image to test on"):
        Scoring().result()
