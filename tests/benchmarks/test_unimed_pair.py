"""UniMed and its twin in PyTorch: equally large, the same terms, of the same height."""

import functools

import jax
import numpy as np
import pytest
from flax.core import meta

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from benchmarks import train_step, unimed_pair, unimed_twin  # noqa: E402
from unimedvlp.models.pointer import Past, Pointer  # noqa: E402
from unimedvlp.tokens.vocabulary import BOS, COORDINATE_BINS, COORDINATE_START  # noqa: E402


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


def pointed(module, logits, hidden, ids, states, corners):
    places = module.places(states, corners)
    past = Past.of(places)
    hidden = module.look(hidden, ids, places, past)
    return module(logits, hidden, ids, ids > 0, places, past)[0]


def test_the_pointer_with_the_same_weights_gives_the_same():
    """Two boxes, each with a class, behind a begin."""
    rng, width, vocab = np.random.default_rng(0), 32, COORDINATE_START + COORDINATE_BINS + 4
    corners = np.sort(rng.random((2, 5, 2, 2)), axis=2).reshape(2, 5, 4).astype(np.float32)
    boxes = COORDINATE_START + np.round(corners[:, :2] * (COORDINATE_BINS - 1)).astype(np.int32)
    said = np.concatenate([boxes, np.full((2, 2, 1), vocab - 1)], axis=2).reshape(2, 10)
    ids = np.concatenate([np.full((2, 1), BOS), said], axis=1).astype(np.int32)
    hidden, states = (rng.standard_normal((2, n, width)).astype(np.float32) for n in (11, 5))
    given = rng.standard_normal((2, 11, vocab)).astype(np.float32), hidden, ids, states, corners
    ours = Pointer(width, COORDINATE_START, COORDINATE_BINS)
    params = meta.unbox(ours.init(jax.random.key(0), *given, method=pointed)["params"])
    params = jax.tree.map(lambda x: x + 0.1 * rng.standard_normal(x.shape).astype(np.float32), params)
    twin = unimed_twin.Pointer(width)
    for name, value in params.items():
        parts = {"weight": value["kernel"].T, "bias": value["bias"]} if isinstance(value, dict) else {"": value}
        for part, x in parts.items():
            twin.get_parameter(f"{name}.{part}".rstrip(".")).data = torch.tensor(np.asarray(x))
    logits, hidden, ids, states, corners = map(torch.tensor, given)
    places = twin.places(states, corners)
    found = twin(logits, twin.look(hidden, ids, places), ids, places).detach()
    np.testing.assert_allclose(found, ours.apply({"params": params}, *given, method=pointed), atol=1e-4)


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
