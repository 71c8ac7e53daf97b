"""The processes of one run: who they are, and what they tell each other."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from unas.common.errors import RankZeroError, UserError, first_line

T = TypeVar("T")
_OF_OTHERS = re.compile("gloo|nccl|connection|timed out", re.IGNORECASE)
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class Ranks:
    """The processes that do a run together. One process alone tells nobody anything.

    Args:
        rank: the number of this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> Ranks:
        """Return the processes that torch.distributed has joined, or this one alone."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def share(self, count: int, name: str) -> int:
        """Return how many of `count` each rank has.

        Raises:
            UserError: the count can't be shared out evenly; `name` says what is counted.
        """
        if count % self.size:
            more = count + -count % self.size
            raise UserError(
                f"{name} is {count}, which {self.size} processes can't share out evenly; "
                f"make it {more}"
            )
        return count // self.size

    def gather(self, tensor: Tensor) -> Tensor:
        """Return what all ranks have, [size, …].

        Args:
            tensor: of one shape on all ranks, on the host or a CUDA device.
        """
        if self.size == 1:
            return tensor[None]
        contiguous = tensor.contiguous()
        gathered = [torch.empty_like(contiguous) for _ in range(self.size)]
        with others_needed():
            dist.all_gather(gathered, contiguous)
        return torch.stack(gathered)

    def mean(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the mean over all ranks of each tensor, with one message for all of them.

        Args:
            tensors: all on one device and of one type.
        """
        if self.size == 1:
            return list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        carried = flat if flat.device.type in {"cpu", "cuda"} else flat.cpu()
        with others_needed():
            dist.all_reduce(carried)
        mean = (carried / self.size).to(flat.device)
        pieces = torch.split(mean, [tensor.numel() for tensor in tensors])
        return [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]

    def mean_figures(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Return the mean over all ranks of figures that have the same names on each."""
        if self.size == 1:
            return dict(figures)
        means = self._gathered(*figures.values()).mean(0).tolist()
        return dict(zip(figures, means, strict=True))

    def sum(self, *numbers: float) -> tuple[float, ...]:
        """Return the sum over all ranks of each number."""
        if self.size == 1:
            return numbers
        return tuple(self._gathered(*numbers).sum(0).tolist())

    def largest(self, number: float) -> float:
        """Return the largest of all ranks' numbers."""
        if self.size == 1:
            return number
        return float(self._gathered(number).max())

    def _gathered(self, *numbers: float) -> Tensor:
        return self.gather(torch.tensor(numbers, dtype=torch.float64))

    def copy_from_main(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of rank 0."""
        if self.size > 1:
            with torch.no_grad(), others_needed():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    def require_same(
        self, text: str, what: str, fix: str = "start all processes with the same words"
    ) -> None:
        """Refuse to go on if a text is not the same on all ranks; say `what` it is of, and a fix.

        Raises:
            UserError: says what differs, on all of them.
        """
        digest = bytearray(hashlib.sha256(text.encode()).digest())
        digests = self.gather(torch.frombuffer(digest, dtype=torch.uint8))
        different = (digests != digests[0]).any(1).nonzero().flatten().tolist()
        if different:
            raise self._agreed_error(f"{what} of rank {different[0]} is not that of rank 0; {fix}")

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        self.largest(0)

    def on_main(self, function: Callable[[], T]) -> T:
        """Call a function on rank 0 alone, and return on every rank what it returns.

        Args:
            function: returns dicts, lists, tensors and plain values.

        Raises:
            UserError: the function raised one.
        """
        if self.size == 1:
            return function()
        if not self.is_main:
            message = _receive()
            if "error" in message:
                raise RankZeroError(message["error"])
            return message["value"]  # type: ignore[no-any-return]
        try:
            value = function()
        except UserError as error:
            _send({"error": str(error)})
            raise
        _send({"value": value})
        return value

    def require_equal(self, tensors: Mapping[str, Tensor], when: str) -> None:
        """Compare a checksum of each tensor over all ranks.

        Args:
            tensors: by the name that a message gives them.
            when: how a message says at which step.

        Raises:
            UserError: names the first tensor that differs, and the rank.
        """
        if self.size == 1:
            return
        sums = self.gather(_on_host([_checksum(tensor) for tensor in tensors.values()]))
        usual = sums.mode(0).values if self.size > 2 else sums[0]
        different = (sums != usual).nonzero()  # in the order of ranks
        if len(different):
            rank, index = different[0].tolist()
            raise self._agreed_error(
                f"the processes disagree {when}: {list(tensors)[index]} of rank {rank} is not that "
                "of the others; use machines of one kind and one version of PyTorch, then go on "
                "with --resume"
            )

    def _agreed_error(self, message: str) -> UserError:
        """Return an error that all ranks raise, and rank 0 tells."""
        if self.is_main:
            return UserError(message)
        return RankZeroError(message)


ONE_PROCESS = Ranks()


def _send(value: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(dict(value), buffer)
    content = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)
    with others_needed():
        dist.broadcast(torch.tensor([len(content)]), 0)
        dist.broadcast(content, 0)


def _receive() -> dict[str, Any]:
    length = torch.zeros(1, dtype=torch.int64)
    with others_needed():
        dist.broadcast(length, 0)
        content = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(content, 0)
    file = io.BytesIO(content.numpy().tobytes())
    message: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return message


@contextlib.contextmanager
def others_needed(*, computes: bool = False) -> Iterator[None]:
    """Say in one line that another process has ended, where that ends what is done in the block.

    Args:
        computes: the block does more than talk to the others, so not every RuntimeError is theirs.

    Raises:
        UserError: instead of what torch.distributed raises.
    """
    try:
        yield
    except RuntimeError as error:
        is_theirs = isinstance(error, dist.DistError) or _OF_OTHERS.search(str(error))
        if computes and not is_theirs:
            raise
        raise UserError(
            f"another process of this run has ended ({first_line(error)}); see its own message; "
            "go on with --resume, or let torchrun --max-restarts do it"
        ) from error


def _on_host(sums: Sequence[Tensor]) -> Tensor:
    """Return scalars as one tensor on the CPU; each device that has some is waited for once."""
    numbers_on: defaultdict[torch.device, list[int]] = defaultdict(list)
    for number, each in enumerate(sums):
        numbers_on[each.device].append(number)
    together = torch.empty(len(sums), dtype=torch.int64)
    for numbers in numbers_on.values():
        together[numbers] = torch.stack([sums[number] for number in numbers]).cpu()
    return together


def _checksum(tensor: Tensor) -> Tensor:
    """Return a sum of the bits of all elements, each with a factor of its own, modulo 2**64."""
    flat = tensor.detach().reshape(-1)
    bits = flat.view(_BITS[flat.element_size()]).to(torch.int64)
    return (bits * torch.arange(1, 2 * len(bits), 2, device=bits.device)).sum()
