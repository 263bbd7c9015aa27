"""Masked modelling: which words and patches are hidden, and how well they are restored.

All functions are pure in (arrays, rng) with static shapes. Text is masked by whole words (BERT; MRM, Zhou et al., 2023,
hides half of them and always writes [MASK]); images by random patches (MAE, He et al., 2022) or blocks (SimMIM, Xie et
al., 2022).
"""

import jax
import jax.numpy as jnp

from unimedvlp.objectives.reduce import masked_mean
from unimedvlp.objectives.tokens import token_loss


def word_index(ids: jax.Array, eligible: jax.Array, starts: jax.Array) -> jax.Array:
    """The word `[B, L]` int32 that each token belongs to, -1 for tokens that are never masked.

    ids int32 `[B, L]`; eligible bool `[B, L]`, False for specials and padding; starts bool `[V]`, True for ids with
    which a word begins. All True masks single tokens instead of words. A first word without its start counts as a word.
    """
    begins = eligible & (starts[ids] | ~jnp.pad(eligible, ((0, 0), (1, 0)))[:, :-1])
    return jnp.where(eligible, jnp.cumsum(begins, axis=1) - 1, -1)


def mask_words(
    rng: jax.Array,
    ids: jax.Array,
    words: jax.Array,
    ratio: float,
    mask_id: int,
    *,
    keep: float = 0.0,
    swap: float = 0.0,
    swap_range: tuple[int, int] | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Hides max(1, round(ratio * words)) words of each text, all tokens of a word together.

    ids int32 `[B, L]` and words `[B, L]` of `word_index`. A hidden token is written as `mask_id`, except that it stays
    as it is with probability `keep` and becomes a uniform id of `swap_range` (low, high; exclusive) with probability
    `swap` (BERT: 0.1 each). Returns the new ids and which tokens are to be restored, bool `[B, L]`; a text without
    words keeps all.
    """
    length = ids.shape[1]
    order, fate, replacement = jax.random.split(rng, 3)
    present = jnp.arange(length) <= words.max(axis=1, keepdims=True)
    count = jnp.maximum(1, jnp.round(ratio * present.sum(axis=1, keepdims=True)))
    noise = jnp.where(present, jax.random.uniform(order, ids.shape), 2.0)
    rank = jnp.argsort(jnp.argsort(noise, axis=1), axis=1)
    hidden = jnp.take_along_axis(rank < count, jnp.maximum(words, 0), axis=1) & (words >= 0)
    masked = jnp.where(hidden, mask_id, ids)
    if keep or swap:
        draw = jax.random.uniform(fate, ids.shape)
        masked = jnp.where(hidden & (draw < keep), ids, masked)
        other = jax.random.randint(replacement, ids.shape, *swap_range)
        masked = jnp.where(hidden & (draw >= keep) & (draw < keep + swap), other, masked)
    return masked, hidden


def masked_language_loss(
    logits: jax.Array, ids: jax.Array, hidden: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Cross-entropy of logits `[B, L, V]` against the original ids `[B, L]`, over hidden tokens only; ln V at first."""
    loss, metrics = token_loss(logits, ids, hidden)
    return loss, {"masked_token_accuracy": metrics["token_accuracy"]}


def random_patches(rng: jax.Array, batch: int, patches: int, ratio: float) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Hides the same number of patches of every image: `round(ratio * N)`.

    Returns `keep` int32 `[B, visible]`, the patches that the encoder sees; `restore` int32 `[B, N]`, the place of each
    patch in the sequence (visible ones, then mask tokens), to gather the decoder's input with; `hidden` bool `[B, N]`.
    """
    visible = patches - round(ratio * patches)
    order = jnp.argsort(jax.random.uniform(rng, (batch, patches)), axis=1)
    restore = jnp.argsort(order, axis=1)
    return order[:, :visible], restore, restore >= visible


def cover_patches(image: jax.Array, hidden: jax.Array, patch: int, value: int = 128) -> jax.Array:
    """image `[B, H, W, C]` with the patches `hidden` bool `[B, N]` in one grey, so that no stem looks behind them."""
    _, height, width, _ = image.shape
    cells = hidden.reshape(len(hidden), height // patch, width // patch)
    cells = cells.repeat(patch, axis=1).repeat(patch, axis=2)[..., None]
    return jnp.where(cells, jnp.asarray(value, image.dtype), image)


def random_blocks(rng: jax.Array, batch: int, grid: tuple[int, int], block: int, ratio: float) -> jax.Array:
    """Hides `round(ratio * blocks)` square blocks of `block` x `block` patches of every image: bool `[B, *grid]`.

    Raises:
      ValueError: if the blocks do not fill the grid.
    """
    rows, columns = grid
    if rows % block or columns % block:
        raise ValueError(f"a grid of {rows} x {columns} patches does not consist of blocks of {block} x {block}")
    coarse = (rows // block, columns // block)
    _, _, hidden = random_patches(rng, batch, coarse[0] * coarse[1], ratio)
    return hidden.reshape(batch, *coarse).repeat(block, axis=1).repeat(block, axis=2)


def patchify(image: jax.Array, patch: int) -> jax.Array:
    """Image `[B, H, W, C]` -> its patches row by row, `[B, N, patch * patch * C]`."""
    b, h, w, c = image.shape
    tiles = image.reshape(b, h // patch, patch, w // patch, patch, c).swapaxes(2, 3)
    return tiles.reshape(b, (h // patch) * (w // patch), patch * patch * c)


def masked_image_loss(predicted: jax.Array, image: jax.Array, hidden: jax.Array, patch: int) -> jax.Array:
    """MAE: mean squared error of predicted patches `[B, N, patch * patch * C]`, over the hidden ones (bool `[B, N]`).

    Each patch of the image `[B, H, W, C]` is normalised to mean 0 and variance 1 first (a patch of one grey is 0), so
    predicting 0 costs about 1.
    """
    target = patchify(image.astype(jnp.float32), patch)
    target = jax.nn.standardize(target, axis=-1, epsilon=1e-6)
    error = jnp.square(predicted.astype(jnp.float32) - target).mean(axis=-1)
    return masked_mean(error, hidden)


def masked_pixel_loss(predicted: jax.Array, image: jax.Array, hidden: jax.Array) -> jax.Array:
    """SimMIM: mean absolute error of predicted pixels `[B, H, W, C]`, over the hidden patches (bool `[B, h, w]`)."""
    pixels = [size // cells for size, cells in zip(image.shape[1:3], hidden.shape[1:], strict=True)]
    weight = hidden.repeat(pixels[0], axis=1).repeat(pixels[1], axis=2)[..., None]
    return masked_mean(jnp.abs(predicted.astype(jnp.float32) - image), weight)
