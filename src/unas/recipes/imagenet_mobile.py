"""ImageNet in the ProxylessNAS space, toward a latency (UNAS, section 4.2)."""

from dataclasses import replace

from unas.config import Config
from unas.latency.backends.eager import EagerBackend
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.generalisation_gap import GeneralisationGap
from unas.objectives.latency import LatencyTerm
from unas.recipes.imagenet import imagenet
from unas.spaces.proxylessnas import ProxylessNetworkOptions, ProxylessSpace


def imagenet_mobile() -> Config:
    """Return the published search and training.

    Batches and learning rates are those of all 8 published processes together: 8 × 24 images a step
    of the search, each 24 with one architecture, and 8 × 64 of the training, whose 0.025 per 64
    images is 0.2. The latency is that of 24 images in PyTorch on the device of the search: that of
    the deployed network at its real size, predicted from a few measurements before the search
    (docs/latency.md).
    """
    base = imagenet()
    return replace(
        base,
        space=ProxylessSpace(),
        network=ProxylessNetworkOptions(),
        search=replace(
            base.search,
            warm_up_epochs=20,
            objectives={
                "cross_entropy": CrossEntropy(),
                "gap": GeneralisationGap(),
                "latency": LatencyTerm(
                    weight=0.1,
                    warm_up_steps=30_000,
                    target_ms=10.0,
                    backend=EagerBackend(),
                    batch=24,
                ),
            },
        ),
        training=replace(
            base.training, epochs=300, batch_size=8 * 64, lr=8 * 0.025, weight_decay=5e-5
        ),
    )
