"""ImageNet: 1.28 million photographs of 1,000 classes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from unas.common.errors import UserError
from unas.data._size import DataSize
from unas.data.base import ImageData
from unas.data.folder import ImageFolder

_PAGE = "https://image-net.org/challenges/LSVRC/2012/"


@dataclass(frozen=True)
class ImageNet(ImageFolder):
    """ImageNet (ILSVRC 2012; Russakovsky et al., arXiv 1409.0575).

    The files are train/WNID/*.JPEG and val/WNID/*.JPEG in the data root, or in a folder imagenet
    there. A tree with fewer classes works as well: there are as many classes as folders. Labels are
    in the order of the WordNet ids, the usual one.
    """

    num_classes: ClassVar[int | None] = 1000

    def known_size(self, root: Path) -> DataSize | None:
        """See `Dataset`: that of ILSVRC 2012, unless there is a tree, which may be another."""
        if self._folder(root) is not None:
            return None
        return DataSize(1_281_167, 50_000, 1000, (3, self.size, self.size))

    def load(self, root: Path) -> ImageData:
        """Return the images, none of which is read yet."""
        folder = self._folder(root)
        if folder is not None:
            return self._load("imagenet", folder)
        usual = root / "imagenet"
        raise UserError(
            f"imagenet: {root} has neither train nor imagenet/train, "
            "and ImageNet can't be downloaded without an account; "
            f"get it from {_PAGE} and put it at {usual}/train/WNID/*.JPEG "
            f"and {usual}/val/WNID/*.JPEG"
        )

    def _folder(self, root: Path) -> Path | None:
        """Return the folder of the tree; None where there is none."""
        for folder in (root, root / "imagenet"):
            if os.path.isdir(folder / "train"):  # False also where looking is forbidden
                return folder
        return None
