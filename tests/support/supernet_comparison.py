"""A space's real supernet and the plain one side by side: outputs and all gradients, in float64."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from plain_proxyless import PlainProxyless
from plain_supernet import PlainSupernet, copy_parameters
from unas.architecture.policy import Policy, Sample
from unas.estimators import draw_hard, draw_relaxed
from unas.spaces import SearchSpace
from unas.spaces.darts import DartsSpace
from unas.spaces.proxylessnas import ProxylessSpace

CLASSES = 10
Tensors = list[torch.Tensor]


@dataclass(frozen=True)
class Differences:
    """Largest difference of any value, relative to the largest value of the tensor that it is in.

    Args:
        output: of the logits.
        weights: of the gradients of the weights.
        sample: of the gradients of the sample's weights; of a hard sample, where an option was
            picked.
        unpicked: whether every other gradient of a hard sample is exactly zero, since what wasn't
            picked isn't run, or the oracle's, where the other slot of the node picked that very
            operation and input.
    """

    output: float
    weights: float
    sample: float
    unpicked: bool

    @property
    def largest(self) -> float:
        return max(self.output, self.weights, self.sample)


def plain_supernet(space: SearchSpace) -> PlainSupernet | PlainProxyless:
    """Return the oracle of a space's supernet."""
    if isinstance(space, DartsSpace):
        return PlainSupernet(
            space.channels,
            space.layers,
            space.operations,
            stem=space.stem,
            num_classes=CLASSES,
            nodes=space.nodes,
        )
    assert isinstance(space, ProxylessSpace)
    return PlainProxyless(space.width, num_classes=CLASSES)


def build(space: SearchSpace, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """Return the real supernet, without dropout, and the plain one with the same weights."""
    torch.manual_seed(seed)
    real = space.supernet(CLASSES).double()
    for module in real.modules():
        module.train(not isinstance(module, nn.Dropout))
    with torch.no_grad():
        for (
            parameter
        ) in real.parameters():  # BatchNorm's scale and shift too, which begin as 1 and 0
            parameter.add_(0.1 * torch.randn_like(parameter))
    plain = plain_supernet(space).double()
    copy_parameters(real, plain)
    return real, plain


def draw(space: SearchSpace, num_samples: int, is_hard: bool, seed: int = 0) -> Sample:
    """Return a sample from a policy that isn't uniform, its weights leaves of the graph."""
    generator = torch.Generator().manual_seed(seed)
    policy = Policy(space.choices, space=space.registry_name).double()
    with torch.no_grad():
        for logits in policy.logits.values():
            logits.copy_(torch.randn(logits.shape, generator=generator, dtype=torch.float64))
    if is_hard:
        return draw_hard(policy, num_samples, generator)
    return draw_relaxed(policy, num_samples, 0.4, generator)


def run(
    supernet: nn.Module, images: torch.Tensor, sample: Sample, **how: Any
) -> tuple[torch.Tensor, Tensors, Tensors]:
    """Return logits, the gradients of the weights and those of the sample's weights, of a random
    loss.
    """
    groups = tuple(group.detach().clone().requires_grad_() for group in sample.groups)
    logits = supernet(images, Sample(sample.layout, groups, sample.is_hard), **how)
    direction = torch.randn(
        logits.shape, generator=torch.Generator().manual_seed(1), dtype=logits.dtype
    )
    parameters = list(supernet.parameters())
    found = torch.autograd.grad(
        (logits * direction).sum(), [*parameters, *groups], allow_unused=True
    )
    gradients = [
        torch.zeros_like(p) if g is None else g
        for p, g in zip([*parameters, *groups], found, strict=True)
    ]
    return logits.detach(), gradients[: len(parameters)], gradients[len(parameters) :]


def largest_difference(real: Tensors, plain: Tensors) -> float:
    """Return the largest difference of any pair, in units of the largest value of its tensor.

    Some gradients vanish in exact arithmetic and differ by rounding alone: an operation of the last
    cell that is routed a single image ends in BatchNorm over it, which the global average pooling
    after it turns into zero. So the unit is never less than a millionth of the largest value of all
    tensors.
    """
    floor = 1e-6 * max(p.abs().max().item() for p in plain)
    units = [max(p.abs().max().item(), floor) for p in plain]
    return max(
        (r - p).abs().max().item() / unit for r, p, unit in zip(real, plain, units, strict=True)
    )


def compare(
    space: SearchSpace,
    num_samples: int,
    is_hard: bool,
    *,
    batch: int = 8,
    size: int = 16,
    seed: int = 0,
) -> Differences:
    """Run both supernets on the same images and sample."""
    real_net, plain_net = build(space, seed)
    sample = draw(space, num_samples, is_hard, seed)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch, 3, size, size, generator=generator, dtype=torch.float64)
    real, real_weights, real_sample = run(real_net, images, sample)
    plain, plain_weights, plain_sample = run(
        plain_net, images, sample, routed=is_hard and getattr(space, "bn", None) == "routed"
    )
    real_weights = [r.reshape(p.shape) for r, p in zip(real_weights, plain_weights, strict=True)]
    unpicked = True
    if is_hard:
        masks = [group != 0 for group in sample.groups]
        cells = zip(real_sample, plain_sample, masks, strict=True)
        unpicked = all(
            bool(((r == 0) | ((r - p).abs() < 1e-9 * p.abs().max()))[~m].all()) for r, p, m in cells
        )
        real_sample = [r[m] for r, m in zip(real_sample, masks, strict=True)]
        plain_sample = [p[m] for p, m in zip(plain_sample, masks, strict=True)]
    return Differences(
        largest_difference([real], [plain]),
        largest_difference(real_weights, plain_weights),
        largest_difference(real_sample, plain_sample),
        unpicked,
    )
