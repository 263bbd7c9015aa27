import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.models.places import decided
from unimedvlp.models.pointer import BOS_ID, PAD_ID, Past, Pointer
from unimedvlp.tokens.vocabulary import BOS, PAD

START, COUNT, VOCAB, WIDTH = 4, 101, 110, 64
COORDINATES = slice(START, START + COUNT)
POINTER = Pointer(WIDTH, START, COUNT)
KEYS = jax.random.split(jax.random.key(0), 4)
STATES, CORNERS = jax.random.normal(KEYS[0], (2, 3, WIDTH)), jax.random.uniform(KEYS[1], (2, 3, 4))
LOGITS, HIDDEN = jax.random.normal(KEYS[2], (2, 5, VOCAB)), jax.random.normal(KEYS[3], (2, 5, WIDTH))
IDS = jnp.array([[0, START, START + 50, START + 100, VOCAB - 1]] * 2)


def point(module, logits, hidden, ids, states, corners, decide=False):
    places = module.places(states, corners)
    module.look(hidden, ids, places, Past.of(places))  # for its parameters
    return module(logits, hidden, ids, jnp.ones(ids.shape, bool), places, Past.of(places), decide=decide)[0]


@pytest.fixture(scope="module")
def params():
    return POINTER.init(jax.random.key(1), LOGITS, HIDDEN, IDS, STATES, CORNERS, method=point)["params"]


def pointed(params, ids=IDS, states=STATES, corners=CORNERS, trust=0.0, decide=False):
    params = jax.tree.map(jnp.copy, params)
    params["trust"]["bias"] = params["trust"]["bias"] + trust
    return POINTER.apply({"params": params}, LOGITS, HIDDEN, ids, states, corners, decide, method=point)


def test_specials_are_those_of_the_vocabulary():
    assert (PAD_ID, BOS_ID) == (PAD, BOS)


def test_coordinates_together_stay_as_likely(params):
    before, after = jax.nn.softmax(LOGITS), jax.nn.softmax(pointed(params))
    np.testing.assert_allclose(after[..., COORDINATES].sum(-1), before[..., COORDINATES].sum(-1), atol=1e-5)
    np.testing.assert_allclose(after[..., :START], before[..., :START], atol=1e-6)
    np.testing.assert_allclose(after[..., START + COUNT :], before[..., START + COUNT :], atol=1e-6)
    assert float(jnp.abs(after - before).max()) > 1e-3


def test_without_trust_nothing_changes(params):
    np.testing.assert_allclose(pointed(params, trust=-40.0), LOGITS, atol=1e-4)


def test_with_trust_the_tokens_are_those_of_the_places(params):
    logits = pointed(params, corners=jnp.full((2, 3, 4), 0.37), trust=40.0)[..., COORDINATES]
    np.testing.assert_array_equal(jnp.argmax(logits, -1), 37)
    reach = float(jnp.exp(-params["reach"]))  # the likelihood falls by this a unit of distance, to both sides
    np.testing.assert_allclose(logits[..., 37] - logits[..., 39], 0.02 * reach, rtol=1e-3)
    np.testing.assert_allclose(logits[..., 37] - logits[..., 35], 0.02 * reach, rtol=1e-3)


def test_the_order_of_the_places_does_not_matter(params):
    order = jnp.array([2, 0, 1])
    np.testing.assert_allclose(
        pointed(params, states=STATES[:, order], corners=CORNERS[:, order]), pointed(params), atol=1e-5
    )


def test_a_coordinate_asks_for_the_one_that_follows_it_in_its_box(params):
    """With nothing but the code of what was said, and that sharpened, every coordinate of a box leads to its next one."""
    others = jax.tree.map(jnp.zeros_like, {name: params[name] for name in ("ask", "key", "edge")})
    sharp = params | others | {"said": jax.tree.map(lambda x: 5 * x, params["said"])}
    boxes = jnp.array([[[5, 30, 45, 60], [18, 70, 88, 95]]] * 2)
    for box in boxes[0]:
        ids = START + jnp.broadcast_to(jnp.array([*box[:3], 0, 0]), IDS.shape)
        said = pointed(sharp, ids=ids, states=STATES[:, :2], corners=boxes / 100, trust=40.0)
        said = jnp.argmax(said[0, :3, COORDINATES], axis=-1)
        np.testing.assert_array_equal(said, box[1:])


def test_a_box_that_was_said_counts_less():
    """Two boxes, both equally likely; the first is said, then a class: its upper edge loses against the other's."""
    boxes = jnp.array([[10, 20, 30, 40], [50, 60, 70, 80]])
    pointer = Pointer(WIDTH, START, COUNT)
    ids = jnp.concatenate([jnp.zeros(1, int), START + boxes[0], jnp.array([VOCAB - 1])])[None]
    given = (jnp.zeros((1, 6, VOCAB)), jnp.zeros((1, 6, WIDTH)), ids, jnp.zeros((1, 2, WIDTH)), boxes[None] / 100)
    params = pointer.init(jax.random.key(0), *given, method=point)["params"]
    params["trust"]["bias"] += 40
    logits = pointer.apply({"params": params}, *given, method=point)[0, :, COORDINATES]
    first, second = logits[:, 10], logits[:, 50]
    np.testing.assert_allclose(first[0], second[0], atol=1e-4)
    assert float(second[5] - first[5]) > 3
    anew = pointer.apply({"params": params}, *given[:2], ids.at[0, 5].set(BOS), *given[3:], method=point)[
        0, 5, COORDINATES
    ]
    np.testing.assert_allclose(anew[10], anew[50], atol=1e-4)
    open_ended = pointer.apply({"params": params}, *given[:2], ids.at[0, 5].set(START + 7), *given[3:], method=point)
    np.testing.assert_allclose(open_ended[0, 5, START + 10], open_ended[0, 5, START + 50], atol=0.05)


@pytest.mark.parametrize("cuts", [(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), (3, 8)])
def test_token_by_token_is_as_all_at_once(params, cuts):
    keys = jax.random.split(jax.random.key(7), 2)
    box = START + jnp.array([[10, 20, 30, 40], [1, 2, 99, 98]])
    other = jnp.full((2, 1), VOCAB - 1)
    ids = jnp.concatenate([other, box, other, box[::-1], other, jnp.array([[BOS], [PAD]])], axis=1)
    logits, hidden = jax.random.normal(keys[0], (2, 12, VOCAB)), jax.random.normal(keys[1], (2, 12, WIDTH))
    whole = POINTER.apply({"params": params}, logits, hidden, ids, STATES, CORNERS, method=point)
    places = POINTER.apply({"params": params}, STATES, CORNERS, method=Pointer.places)
    past, parts = Past.of(places), []
    for part in zip(*(jnp.split(x, cuts, axis=1) for x in (logits, hidden, ids)), strict=True):
        said, past = POINTER.apply({"params": params}, *part, jnp.ones(part[2].shape, bool), places, past)
        parts.append(said)
    np.testing.assert_allclose(jnp.concatenate(parts, axis=1), whole, atol=1e-5)


def test_to_decide_is_to_point_at_one_place_or_at_none(params):
    """Two boxes with one upper edge and a third: together the two are likelier, the third alone is the likeliest."""
    boxes = jnp.array([[[0.1, 0.5, 0.3, 0.9], [0.1, 0.2, 0.4, 0.6], [0.7, 0.3, 0.9, 0.5]]] * 2)
    towards = params | {
        "said": jax.tree.map(jnp.zeros_like, params["said"]),
        "ask": jax.tree.map(jnp.zeros_like, params["ask"]),
    }
    towards["ask"]["bias"] = jnp.ones(WIDTH)
    towards["key"] = {"kernel": jnp.eye(WIDTH), "bias": jnp.zeros(WIDTH)}
    towards["edge"] = jnp.zeros((4, WIDTH)).at[1:].set(-100.0)  # upper edges alone
    states = jnp.stack([jnp.zeros((2, WIDTH))] * 2 + [jnp.full((2, WIDTH), 0.5 / WIDTH**0.5)], axis=1)
    likely = lambda trust, decide: pointed(towards, states=states, corners=boxes, trust=trust, decide=decide)  # noqa: E731
    assert (jnp.argmax(likely(9.0, False)[..., COORDINATES], -1) == 10).all()
    assert (jnp.argmax(likely(9.0, True)[..., COORDINATES], -1) == 70).all()
    np.testing.assert_allclose(likely(-9.0, True), decided(LOGITS, START, COUNT), atol=1e-4)


def test_a_box_that_was_just_said_is_told_by_its_query(params):
    """The state behind a box's last coordinate changes by what that box's query saw, all others stay."""
    boxes = jnp.array([[10, 20, 30, 40], [50, 60, 70, 80]])
    ids = jnp.concatenate([jnp.zeros(1, int), START + boxes[1], jnp.array([VOCAB - 1])])[None]
    hidden = jax.random.normal(KEYS[3], (1, 6, WIDTH))

    def look(states):
        given = {"params": params}, states, boxes[None] / 100
        places = POINTER.apply(*given, method=Pointer.places)
        return POINTER.apply({"params": params}, hidden, ids, places, Past.of(places), method=Pointer.look)

    states = jax.random.normal(KEYS[0], (1, 2, WIDTH))
    before, first, second = look(states), look(states.at[0, 0].add(1.0)), look(states.at[0, 1].add(1.0))
    others = np.array([0, 1, 2, 3, 5])
    np.testing.assert_array_equal(before[0, others], hidden[0, others])
    assert float(jnp.abs(second - before)[0, 4].mean()) > 100 * float(jnp.abs(first - before)[0, 4].mean())
