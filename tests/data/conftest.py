from __future__ import annotations

from pathlib import Path

import pytest

from image_tree import write_image_tree


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of photographs that no test changes."""
    root = tmp_path_factory.mktemp("tree")
    write_image_tree(root, classes=3, per_class=6, size=40, val_per_class=2)
    return root
