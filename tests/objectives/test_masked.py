"""Masking hides what it says, and the losses see only what is hidden."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.objectives import masked

MASK = 9
STARTS = np.arange(100) % 3 > 0  # ids that begin a word
IDS = np.array(
    [[1, 10, 12, 13, 15, 18, 21, 2, 0, 0], [1, 2, 0, 0, 0, 0, 0, 0, 0, 0], [12, 15, 2, 30, 33, 40, 41, 43, 44, 46]]
)
ELIGIBLE = IDS >= 10
WORDS = np.array([[-1, 0, 0, 1, 1, 1, 1, -1, -1, -1], [-1] * 10, [0, 0, -1, 1, 1, 2, 3, 4, 5, 6]])
image_loss = jax.jit(masked.masked_image_loss, static_argnums=3)
mask_words = jax.jit(masked.mask_words, static_argnames=("ratio", "mask_id", "keep", "swap", "swap_range"))


def test_words_of_tokens():
    np.testing.assert_array_equal(masked.word_index(IDS, ELIGIBLE, STARTS), WORDS)
    singles = masked.word_index(IDS, ELIGIBLE, np.ones(100, bool))
    np.testing.assert_array_equal(singles, np.where(ELIGIBLE, np.cumsum(ELIGIBLE, axis=1) - 1, -1))


@pytest.mark.parametrize(("ratio", "counts"), [(0.0, [1, 0, 1]), (0.5, [1, 0, 4]), (1.0, [2, 0, 7])])
def test_whole_words_are_hidden_in_exact_number(ratio, counts):
    for seed in range(5):
        ids, hidden = map(np.asarray, mask_words(jax.random.key(seed), IDS, WORDS, ratio=ratio, mask_id=MASK))
        np.testing.assert_array_equal(ids, np.where(hidden, MASK, IDS))
        for row, words, count in zip(hidden, WORDS, counts, strict=True):
            chosen = set(words[row])
            assert len(chosen) == count and -1 not in chosen
            np.testing.assert_array_equal(row, np.isin(words, list(chosen)))


def test_every_word_is_hidden_equally_often():
    words = np.tile(np.arange(8), (4000, 1))
    _, hidden = mask_words(jax.random.key(0), words, words, ratio=0.25, mask_id=MASK)
    assert (hidden.sum(axis=1) == 2).all()
    np.testing.assert_allclose(hidden.mean(axis=0), 0.25, atol=0.03)


def test_some_stay_and_some_are_swapped():
    ids, words = np.full((100, 50), 5), np.tile(np.arange(50), (100, 1))
    options = {"keep": 0.1, "swap": 0.2, "swap_range": (20, 24)}
    new, hidden = mask_words(jax.random.key(0), ids, words, ratio=1.0, mask_id=MASK, **options)
    assert hidden.all() and set(np.unique(new)) == {5, MASK, 20, 21, 22, 23}
    np.testing.assert_allclose([(new == 5).mean(), (new >= 20).mean()], [0.1, 0.2], atol=0.02)


def test_language_loss_sees_only_hidden_tokens():
    logits = jax.random.normal(jax.random.key(0), (3, 10, 100))
    _, hidden = mask_words(jax.random.key(1), IDS, WORDS, ratio=0.5, mask_id=MASK)
    loss, metrics = masked.masked_language_loss(logits, IDS, hidden)
    other = jnp.where(hidden[..., None], logits, 7.0)
    assert masked.masked_language_loss(other, jnp.where(hidden, IDS, 0), hidden)[0] == loss
    uniform, _ = masked.masked_language_loss(jnp.zeros((3, 10, 100), jnp.bfloat16), IDS, hidden)
    np.testing.assert_allclose(uniform, np.log(100), rtol=1e-6)
    assert 0 <= metrics["masked_token_accuracy"] <= 1
    assert masked.masked_language_loss(logits, IDS, jnp.zeros_like(hidden))[0] == 0


def test_random_patches_are_a_permutation():
    keep, restore, hidden = masked.random_patches(jax.random.key(0), 5, 196, 0.75)
    assert keep.shape == (5, 49) and (hidden.sum(axis=1) == 147).all()
    order = jnp.argsort(restore, axis=1)
    np.testing.assert_array_equal(order[:, :49], keep)
    np.testing.assert_array_equal(np.sort(restore, axis=1), np.tile(np.arange(196), (5, 1)))
    assert not np.take_along_axis(np.asarray(hidden), np.asarray(keep), axis=1).any()
    assert len({tuple(row) for row in np.asarray(keep)}) == 5


def test_blocks_are_hidden_whole():
    hidden = np.asarray(masked.random_blocks(jax.random.key(0), 4, (8, 12), 4, 0.5))
    assert hidden.shape == (4, 8, 12)
    blocks = hidden.reshape(4, 2, 4, 3, 4).mean(axis=(2, 4))
    assert set(np.unique(blocks)) == {0, 1} and (blocks.sum(axis=(1, 2)) == 3).all()
    with pytest.raises(ValueError, match="8 x 10 patches does not consist of blocks of 4 x 4"):
        masked.random_blocks(jax.random.key(0), 4, (8, 10), 4, 0.5)


def test_patches_lie_row_by_row():
    image = np.random.default_rng(0).random((2, 8, 12, 3)).astype(np.float32)
    patches = masked.patchify(image, 4)
    assert patches.shape == (2, 6, 48)
    np.testing.assert_array_equal(patches[1, 4], image[1, 4:8, 4:8].reshape(-1))


def test_image_loss_is_one_at_the_start_and_zero_at_the_end():
    image = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    _, _, hidden = masked.random_patches(jax.random.key(0), 2, 16, 0.75)
    np.testing.assert_allclose(image_loss(jnp.zeros((2, 16, 48)), image, hidden, 4), 1, rtol=1e-5)
    patches = np.asarray(masked.patchify(image, 4), np.float64)
    target = (patches - patches.mean(-1, keepdims=True)) / patches.std(-1, keepdims=True)
    assert image_loss(target, image, hidden, 4) < 1e-8
    junk = jnp.where(hidden[..., None], target + 0.5, 99.0)
    np.testing.assert_allclose(image_loss(junk, image, hidden, 4), 0.25, rtol=1e-4)


def test_patches_of_one_grey_have_finite_gradients():
    def loss(predicted):
        return masked.masked_image_loss(predicted, jnp.full((1, 8, 8, 1), 128, jnp.uint8), jnp.ones((1, 4), bool), 4)

    value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.zeros((1, 4, 16)))
    assert value == 0 and jnp.isfinite(gradient).all()


def test_pixel_loss_sees_only_hidden_pixels():
    image = np.random.default_rng(0).random((2, 16, 16, 3)).astype(np.float32)
    hidden = np.asarray(masked.random_blocks(jax.random.key(0), 2, (4, 4), 2, 0.5))
    pixels = np.kron(hidden, np.ones((1, 4, 4)))[..., None] > 0
    predicted = np.where(pixels, image + 0.25, 9.0)
    np.testing.assert_allclose(masked.masked_pixel_loss(predicted, image, hidden), 0.25, rtol=1e-5)
    gradient = jax.jit(jax.grad(masked.masked_pixel_loss))(jnp.asarray(predicted, jnp.float32), image, hidden)
    np.testing.assert_array_equal(np.asarray(gradient) != 0, np.broadcast_to(pixels, image.shape))
