"""The multiply-adds of an Einsum, whose operands are contracted from left to right."""

from __future__ import annotations

import math
from collections.abc import Sequence

# The size of each index of an operand: a letter, or −1, −2, … for the axes of an ellipsis.
Sizes = dict[str | int, int]


def einsum_macs(equation: str, shapes: Sequence[tuple[int, ...]]) -> int:
    """Return the multiply-adds of an Einsum.

    A pair of operands that has no index to sum over is multiplied value by value, as by Mul, whose
    products don't count.

    Args:
        equation: for example "bij,bjk->bik"; without an arrow, the result has the letters that
            occur once.
        shapes: those of the operands.
    """
    terms, result = _sides(equation.replace(" ", ""))
    operands = [_sizes(term, shape) for term, shape in zip(terms, shapes, strict=True)]
    macs = 0
    product = operands[0]
    for position, operand in enumerate(operands[1:], start=1):
        needed_later = set().union(result, *operands[position + 1 :])
        if "." in result:
            needed_later |= {index for index in {*product, *operand} if isinstance(index, int)}
        summed = (product.keys() & operand.keys()) - needed_later
        # An index that is in neither set is summed before the operands meet.
        indices = (product.keys() | operand.keys()) & (needed_later | summed)
        sizes = {index: max(product.get(index, 1), operand.get(index, 1)) for index in indices}
        if summed:
            macs += math.prod(sizes.values())
        product = {index: size for index, size in sizes.items() if index in needed_later}
    return macs


def _sides(equation: str) -> tuple[list[str], str]:
    """Return the terms of the operands and the one of the result."""
    left, arrow, result = equation.partition("->")
    if not arrow:
        once = [letter for letter in left if letter.isalpha() and left.count(letter) == 1]
        result = "".join([*("..." if "..." in left else ""), *sorted(once)])
    return left.split(","), result


def _sizes(term: str, shape: Sequence[int]) -> Sizes:
    before, _, after = term.partition("...")
    axes_of_ellipsis = len(shape) - len(before) - len(after)
    indices: list[str | int] = [*before, *range(-axes_of_ellipsis, 0), *after]
    return dict(zip(indices, shape, strict=True))
