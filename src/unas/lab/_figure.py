"""What the plots of experiments share: no screen, and looks that a grey print keeps apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from unas.common.errors import UserError
from unas.common.files import replacing

# Told apart by dash and marker, so that a grey print keeps them apart too.
DASHES: tuple[Any, ...] = ("--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)), "-", (0, (8, 3)))
MARKERS: tuple[Any, ...] = ("o", "s", "^", "D", "v", "*", "X", "P", "<", "p", ">", "h")
COLOURS: tuple[Any, ...] = (
    "#0a5fa5",
    "#5b8c2a",
    "#7f7f7f",
    "#b2431f",
    "#8a4fa3",
    "#000000",
    "#c98a00",
)


def new_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure that draws into files alone.

    Args:
        width: in inches.
        height: in inches.

    Raises:
        UserError: matplotlib isn't installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            "plots need matplotlib, which isn't installed; pip install 'unas[lab]'"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG or as another format that the path's ending names.

    Raises:
        UserError: the file can't be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        figure.savefig(file, format=path.suffix.lstrip(".") or "png", dpi=110)


def grid(axis: Any, which: str = "both") -> None:
    """Draw light lines at the major ticks of an axis, "x", "y" or "both", behind everything."""
    axis.grid(visible=True, which="major", axis=which, linewidth=0.4, alpha=0.6)
    axis.set_axisbelow(True)


def plotted(write: Callable[[Path], None], path: Path) -> dict[str, Any]:
    """Write a plot and return {"plot": its path}.

    If that can't be, the result is {"plot": None, "plot_missing": why}.
    """
    try:
        write(path)
    except UserError as error:
        return {"plot": None, "plot_missing": str(error)}
    return {"plot": str(path)}
