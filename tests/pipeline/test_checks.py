"""What is refused before a run begins, by its numbers alone."""

from dataclasses import replace

import pytest

from unas.common.errors import UserError
from unas.compute.ranks import Ranks
from unas.config import Config
from unas.data import DataSize
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.pipeline.checks import check
from unas.recipes import recipe as named
from unas.spaces.proxylessnas import ProxylessSpace

DATA = DataSize(50_000, 10_000, 10, (3, 32, 32))


def recipe(architectures: int, batch_size: int = 96) -> Config:
    config = named("cifar10")
    search = replace(config.search, architectures_per_batch=architectures, batch_size=batch_size)
    training = replace(config.training, batch_size=batch_size)
    return replace(config, search=search, training=training)


@pytest.mark.parametrize(
    ("architectures", "processes", "fix"), [(8, 3, 6), (4, 3, 3), (1, 4, 4), (32, 6, 24), (8, 5, 0)]
)
def test_what_is_advised_for_processes_is_taken(
    architectures: int, processes: int, fix: int
) -> None:
    ranks = Ranks(0, processes)
    with pytest.raises(UserError, match="processes can't share out evenly; make it") as error:
        check(recipe(architectures), DATA, ranks)
    if fix:
        advised = f"search.architectures_per_batch is {architectures}.*; make it {fix}$"
        error.match(advised)
        check(recipe(fix), DATA, ranks)
    else:
        error.match(r"training\.batch_size is 96.*; make it 100$")


def test_a_policy_without_others_to_compare_is_refused() -> None:
    """One architecture a batch has no others, unless several are drawn for the same images."""
    config = recipe(1)
    alone = replace(config.search, estimator=ReinforceLeaveOneOut(draws=1))
    with pytest.raises(UserError, match=r"architectures_per_batch is 1, .* make it 2 or more"):
        check(replace(config, search=alone), DATA)
    check(replace(config, search=replace(alone, epochs=0)), DATA)  # its policy learns nothing
    check(replace(config, search=replace(alone, architectures_per_batch=2)), DATA)
    drawn = replace(alone, estimator=ReinforceLeaveOneOut(draws=2))
    check(replace(config, search=drawn), DATA)


def test_colours_of_images_that_have_none_are_left_alone() -> None:
    config = recipe(8)
    jitter = replace(config.training.augmentation, hue=0.1)
    config = replace(config, training=replace(config.training, augmentation=jitter))
    check(config, DATA, Ranks())
    with pytest.raises(UserError, match=r"training\.augmentation\.hue is 0\.1, .* 4 channels"):
        check(config, replace(DATA, image_shape=(4, 32, 32)), Ranks())


def test_bfloat16_is_refused_where_it_is_slower() -> None:
    config = recipe(8)
    runtime = replace(config.runtime, device="cpu", precision="bfloat16")
    slow = replace(config, runtime=runtime)
    with pytest.raises(UserError, match=r"precision is bfloat16, .*; use --precision float32"):
        check(slow, DATA)
    terms = dict(config.search.objectives)
    del terms["overlap"]
    search = replace(config.search, objectives=terms)
    check(replace(slow, space=ProxylessSpace(), search=search), DATA)
    check(replace(slow, runtime=replace(runtime, precision="float32")), DATA)
