"""Small models of one's own, usual and mistaken, for runs of a few seconds on 8 by 8 digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from tiny import tiny_recipe
from unas.config import Config
from unas.nn.choice import OpChoice
from unas.searching.choosing import ChoosingConfig
from unas.spaces import ModuleSpace, NetworkOptions


def config_of(model: Callable[..., nn.Module]) -> Config:
    """Return a run of a few steps whose space is a model's."""
    tiny = tiny_recipe()
    terms = {name: term for name, term in tiny.search.objectives.items() if name != "overlap"}
    search = replace(tiny.search, objectives=terms, warm_up_epochs=0, epochs=1)
    training = replace(tiny.training, warm_up_epochs=0, epochs=1)
    return replace(
        tiny,
        space=ModuleSpace(model),
        network=NetworkOptions(),
        search=search,
        choosing=ChoosingConfig(candidates=0),
        training=training,
    )


def convolutions(channels: int = 8) -> OpChoice:
    """Return a choice between convolutions of two sizes."""
    options: dict[str, nn.Module] = {}
    for size in (1, 3):
        convolution = nn.Conv2d(channels, channels, size, padding=size // 2)
        options[f"k{size}"] = nn.Sequential(convolution, nn.BatchNorm2d(channels))
    return OpChoice(options)


class Usual(nn.Module):
    """A stem, a choice, a head: what the others change in one place."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_channels, 8, 3, padding=1)
        self.block = convolutions()
        self.head = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.block(self.stem(images)).mean((2, 3)))
        return logits


class SharedBlock(Usual):
    """One module at two places."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.again = self.block

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.again(self.block(self.stem(images))).mean((2, 3)))
        return logits


class SharedWeight(Usual):
    """One weight in two layers."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.twin = nn.Linear(8, num_classes)
        self.twin.weight = self.head.weight

    def forward(self, images: Tensor) -> Tensor:
        features = self.block(self.stem(images)).mean((2, 3))
        logits: Tensor = self.head(features) + self.twin(features.relu())
        return logits


class SharedBuffer(Usual):
    """A buffer that is a view of another one."""

    scale: Tensor
    part: Tensor

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.register_buffer("scale", torch.ones(2, num_classes))
        self.register_buffer("part", self.scale[:1])

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = super().forward(images) * self.part
        return logits


class SharedOption(nn.Module):
    """One module as an option of two choices."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_channels, 8, 3, padding=1)
        shared = nn.Conv2d(8, 8, 3, padding=1)
        self.first = OpChoice({"shared": shared, "skip": nn.Identity()})
        self.second = OpChoice({"shared": shared, "pool": nn.AvgPool2d(3, 1, 1)})
        self.head = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.second(self.first(self.stem(images)))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class GrowingDropRate(Usual):
    """Reads a tensor while it is built: the usual way to let a rate grow with depth."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        rates = [rate.item() for rate in torch.linspace(0, 0.2, 3)]
        self.dropout = nn.Dropout(rates[-1])

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.block(self.stem(images)).mean((2, 3))))
        return logits


class ListOfTensor(Usual):
    """Makes a Python list of a tensor while it is built."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.powers = torch.arange(1, 3).tolist()

    def forward(self, images: Tensor) -> Tensor:
        outcome: Tensor = super().forward(images) * self.powers[0]
        return outcome


class ArrayOfTensor(Usual):
    """Makes a NumPy array of a weight while it is built."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.largest = float(abs(self.head.weight.detach().numpy()).max() > 0)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) / self.largest


class BranchOnTensor(Usual):
    """Decides by the value of a tensor while it is built."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        if self.head.weight.abs().max() > 0:
            self.head.register_parameter("bias", None)


class TensorOnCpu(Usual):
    """Has a plain tensor on a device of its own choice."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.scale = torch.ones(1, 8, 1, 1, device="cpu")

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head((self.block(self.stem(images)) * self.scale).mean((2, 3)))
        return logits


class FrozenStem(Usual):
    """A stem that isn't trained."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.stem.requires_grad_(False)


class FrozenOption(Usual):
    """An option that isn't trained."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.block.candidates[0].requires_grad_(False)


class Dictionary(Usual):
    """Gives its logits in a dict."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {"logits": super().forward(images)}


class Pair(Usual):
    """Gives its logits and its features."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(images), images


class Nothing(Usual):
    """Forgets to return its logits."""

    def forward(self, images: Tensor) -> None:  # type: ignore[override]
        super().forward(images)


class Unflattened(Usual):
    """Gives a map of logits."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images)[:, :, None, None]


class Single(Usual):
    """Gives one logit less dimension for one image."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).squeeze(0)


class Answers(Usual):
    """Gives classes in the place of logits."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).argmax(1)


class WithoutGradient(Usual):
    """Computes its logits without a graph."""

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images)


class OtherNames(nn.Module):
    """Has other names for the classes and the channels."""

    def __init__(self, classes: int = 5, channels: int = 1) -> None:
        super().__init__()
        self.net = Usual(classes, channels)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images)
        return logits


class OtherChannels(OtherNames):
    """Expects three channels where there is one."""

    def __init__(self, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__(num_classes, channels)


class TwoInputs(Usual):
    """Wants more than images."""

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(images * mask)


class TwoInputsOfChoice(Usual):
    """Gives a choice two inputs."""

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        logits: Tensor = self.head(self.block(features, features).mean((2, 3)))
        return logits


class TwoShapes(Usual):
    """Has options of two shapes, with equally many numbers."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        wide = nn.Unflatten(2, (4, 2))
        self.block = OpChoice({"as it is": nn.Identity(), "wide": nn.Sequential(wide, Wide())})


class Wide(nn.Module):
    """Makes [B, C, 4, 2, W] [B, C, 4, 2·W]."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(3)


class TwoLengths(Usual):
    """Has options of two sizes."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.block = OpChoice({"whole": nn.Identity(), "half": nn.AvgPool2d(2)})


class WrongSize(Usual):
    """Fits another size of image."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.block(self.stem(images)).flatten(1))
        return logits


class MaxPooled(Usual):
    """Uses an operator that ONNX hasn't, in every architecture."""

    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_max_pool2d(self.block(self.stem(images)), 3)
        logits: Tensor = self.head(pooled.mean((2, 3)))
        return logits


class MaxPooledOption(Usual):
    """Has an option that ONNX hasn't, and it is the last."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.block = OpChoice({"skip": nn.Identity(), "max": nn.AdaptiveMaxPool2d(3)})
        self.block.candidates[0] = nn.AvgPool2d(2, 3, 1)  # of 8 by 8 to 3 by 3


class Decomposed(Usual):
    """Uses a matrix decomposition."""

    def forward(self, images: Tensor) -> Tensor:
        singular: Tensor = torch.linalg.svdvals(self.block(self.stem(images)))
        logits: Tensor = self.head(singular.mean(2))
        return logits


class Branching(Usual):
    """Decides by the values of the images."""

    def forward(self, images: Tensor) -> Tensor:
        features = self.block(self.stem(images)).mean((2, 3))
        if features.sum() > 0:
            features = -features
        logits: Tensor = self.head(features)
        return logits


class CountedImages(Usual):
    """Counts its images with `len`, which is a constant in an exported file."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))

    def forward(self, images: Tensor) -> Tensor:
        rows = self.block(self.stem(images)).flatten(2).transpose(1, 2)
        rows = torch.cat([self.token.expand(len(images), -1, -1), rows], 1)
        logits: Tensor = self.head(rows.mean(1))
        return logits


class Lazy(Usual):
    """Has a layer whose size comes with the first images."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.stem = nn.LazyConv2d(8, 3, padding=1)


class Frozen(Usual):
    """Has no weight to train."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.requires_grad_(False)


class Random(Usual):
    """Drops features in evaluation mode too."""

    def forward(self, images: Tensor) -> Tensor:
        features = self.block(self.stem(images)).mean((2, 3))
        logits: Tensor = self.head(nn.functional.dropout(features))
        return logits


class Unsaved(Usual):
    """Keeps a random tensor that is no buffer."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.scale = torch.rand(num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * self.scale


class Growing(Usual):
    """Has another weight each time it is made."""

    made = 0

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        Growing.made += 1
        self.register_parameter(f"weight_{Growing.made}", nn.Parameter(torch.zeros(1)))


class Deep(Usual):
    """Has a weight of five dimensions, which has no channels last."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.volume = nn.Conv3d(1, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.volume(images[:, None]).squeeze(1))


class Unmade(Usual):
    """Fails while it is made."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.width = {"small": 8}["large"]


class UnmadeForGrey(Usual):
    """Fails while it is made for one channel."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        if image_channels != 3:
            raise ValueError("three channels")
