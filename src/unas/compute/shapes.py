"""The shapes that tensors have in many places, as types.

They are checked while tests run: a signature says them once, and a tensor of another shape is an
error there. One name in a signature, such as `images`, is one number.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

Images = Float[Tensor, "images channels height width"]
Labels = Int[Tensor, " images"]
Logits = Float[Tensor, "images classes"]
PerImage = Float[Tensor, " images"]
PerArchitecture = Float[Tensor, " architectures"]
Scalar = Float[Tensor, ""]
