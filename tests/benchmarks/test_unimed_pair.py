"""UniMed and its twin in PyTorch: equally large, the same terms, of the same height."""

import functools

import jax
import numpy as np
import pytest
from flax.core import meta

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from benchmarks import train_step, unimed_pair  # noqa: E402


def ours(params, system, batch):
    """Terms of a step."""
    _, logged = system.loss(params, batch, jax.random.key(1), train=True)
    return {name.removeprefix("loss/"): value for name, value in logged.items() if name.startswith("loss/")}


def started(system, batch):
    return meta.unbox(system.init(jax.random.key(0), batch))


@pytest.mark.parametrize("size", ["tiny", pytest.param("half", marks=pytest.mark.slow)])
def test_as_many_parameters_and_the_same_terms(size):
    system, batch = unimed_pair.make_system(size), unimed_pair.make_batch(size, 1)
    params = jax.eval_shape(functools.partial(started, system), batch)
    twin = unimed_pair.Twin(size)
    unused = sum(x.numel() for name, x in twin.named_parameters() if "swin.layernorm" in name)
    assert sum(x.numel() for x in twin.parameters()) - unused == sum(x.size for x in jax.tree.leaves(params))
    expected = jax.eval_shape(functools.partial(ours, system=system, batch=batch), params)
    found = twin.terms(*map(torch.tensor, unimed_pair.torch_inputs(batch)))
    assert set(found) == set(expected) and all(torch.isfinite(term) for term in found.values())


def test_a_step_of_the_twin_lowers_its_loss():
    torch.manual_seed(0)
    inputs = unimed_pair.torch_inputs(unimed_pair.make_batch("tiny", 1))
    step = train_step.theirs(unimed_pair.Twin("tiny"), inputs, "float32", compiled=False)
    losses = [step() for _ in range(4)]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_terms_of_the_same_height():
    torch.manual_seed(0)
    system, batch = unimed_pair.make_system("tiny"), unimed_pair.make_batch("tiny", 4)
    expected = jax.jit(functools.partial(ours, system=system, batch=batch))(
        jax.jit(functools.partial(started, system))(batch)
    )
    found = unimed_pair.Twin("tiny").terms(*map(torch.tensor, unimed_pair.torch_inputs(batch)))
    for name, value in found.items():
        np.testing.assert_allclose(value.item(), expected[name], rtol=0.5, err_msg=name)
