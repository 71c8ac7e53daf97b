"""Seeds: pinned to the definition (BLAKE2b of a JSON list), spread, and apart from each other."""

from __future__ import annotations

import hashlib
import itertools

import torch
from scipy import stats

from unas.compute.seeds import generator_for, step_seed


def test_seed_is_the_hash_of_seed_stream_and_step() -> None:
    digest = hashlib.blake2b(b'[7, "weights", 12]', digest_size=8).hexdigest()
    assert step_seed(7, "weights", 12) == int(digest, 16) // 2


def test_no_two_steps_or_streams_share_a_seed() -> None:
    # "a" at step 11 and "a1" at step 1 must differ, which a joined string would not promise.
    keys = list(itertools.product(range(10), ("a", "a1", "b", "1"), range(250)))
    seeds = {step_seed(*key) for key in keys}
    assert len(seeds) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_first_numbers_of_consecutive_steps_are_uniform_and_independent() -> None:
    first = torch.stack(
        [torch.rand(2, generator=generator_for(0, "s", step)) for step in range(4000)]
    ).numpy()
    assert stats.kstest(first[:, 0], "uniform").pvalue > 1e-3
    assert abs(stats.pearsonr(first[:-1, 0], first[1:, 0]).statistic) < 4 / 4000**0.5
    assert abs(stats.pearsonr(first[:, 0], first[:, 1]).statistic) < 4 / 4000**0.5


def test_generator_is_fresh_each_time() -> None:
    one, other = generator_for(3, "s", 5), generator_for(3, "s", 5)
    assert torch.equal(torch.rand(9, generator=one), torch.rand(9, generator=other))
    assert not torch.equal(
        torch.rand(9, generator=one), torch.rand(9, generator=generator_for(3, "s", 6))
    )
