"""Make a search space of a model of your own: put choices where you can't decide.

python examples/own_model.py
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import unas


def conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Module:
    """Return a convolution with what usually follows it."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


class SmallNet(nn.Module):
    """Two blocks whose kernels are to be found, and a head that reads either of them, or both."""

    def __init__(self, num_classes: int = 10, image_channels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.stem = conv(image_channels, width, 3, stride=2)
        # A choice is a module like any other, in a Sequential too. Its name is its path: here
        # "block1/0".
        self.block1 = nn.Sequential(
            unas.OpChoice(
                {
                    "conv3": conv(width, width, 3),
                    "conv5": conv(width, width, 5),
                    "skip": nn.Identity(),
                }
            ),
            nn.Dropout(0.1),
        )
        self.block2 = unas.OpChoice({f"conv{k}": conv(width, width, k) for k in (1, 3, 5, 7)})
        self.source = unas.InputChoice(3)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [B, num_classes]; nothing here knows about samples."""
        first = self.block1(self.stem(images))
        second = self.block2(first)
        state = self.source([first, second, first + second])
        return self.head(state.mean((2, 3)))  # type: ignore[no-any-return]


def main() -> None:
    """Look at the space, draw two architectures, and make the network of one of them."""
    space = unas.spaces.ModuleSpace(SmallNet)
    print("choices:")
    for name, options in space.choices.items():
        print(f"  {name:10} {', '.join(options)}")

    policy = unas.Policy(space.choices)
    sample = unas.estimators.draw_hard(policy, num_samples=2)
    logits = space.supernet(num_classes=10)(torch.randn(8, 3, 32, 32), sample)  # four images each
    print(f"supernet: 2 architectures, logits {tuple(logits.shape)}")

    genotype = sample.genotypes()[0]
    network = space.network(genotype, num_classes=10)  # plain PyTorch, no choice left in it
    print(f"network of {dict(genotype.choices)}: {unas.count_parameters(network):,} parameters")


if __name__ == "__main__":
    main()
