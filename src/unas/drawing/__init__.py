"""Architectures as drawings: in a terminal, and as SVG files."""

from unas.drawing.cells import cell_lines
from unas.drawing.svg import draw_svg
from unas.drawing.terminal import draw_terminal

__all__ = ["cell_lines", "draw_svg", "draw_terminal"]
