"""Local alignment of words and patches of one pair: the second half of MPMA's GLA (the first is `contrast.info_nce`).

The paper's form is not public; this is our reconstruction, after MGCA (Wang et al., 2022) without its prototypes, with
equal token weights, and with padding removed from the denominators as well (MGCA only gives it no weight).
"""

import jax
import jax.numpy as jnp

from unimedvlp.objectives.contrast import NEVER, unit
from unimedvlp.objectives.reduce import masked_mean


def local_alignment(
    words: jax.Array,
    patches: jax.Array,
    word_mask: jax.Array,
    patch_mask: jax.Array | None = None,
    *,
    temperature: float = 0.1,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Each word against the patches it attends to, and each patch against its words; within pairs only.

    words `[B, L, D]` and patches `[B, N, D]` (normalised here), masks bool `[B, L]` and `[B, N]`: leave out padding,
    and words that were hidden from the encoder. Mean over the tokens of a pair, then over pairs that have both, of both
    sides. About the mean of ln L and ln N where all attend alike. `word_accuracy`: how often a word's own patches fit
    it best.
    """
    if patch_mask is None:
        patch_mask = jnp.ones(patches.shape[:2], bool)
    words, patches = unit(words), unit(patches)
    similarity = jnp.einsum("bld,bnd->bln", words, patches, precision="highest") / temperature
    both = word_mask.any(axis=1) & patch_mask.any(axis=1)
    word_losses, word_right = _one_side(similarity, words, patches, word_mask, patch_mask, temperature)
    patch_losses, _ = _one_side(similarity.swapaxes(1, 2), patches, words, patch_mask, word_mask, temperature)
    loss = masked_mean((word_losses + patch_losses) / 2, both)
    return loss, {"word_accuracy": masked_mean(word_right, both)}


def _one_side(
    similarity: jax.Array, x: jax.Array, y: jax.Array, x_mask: jax.Array, y_mask: jax.Array, temperature: float
) -> tuple[jax.Array, jax.Array]:
    """Losses `[B]` and accuracy `[B]` of tokens x `[B, X, D]` against what they attend to in y `[B, Y, D]`."""
    attention = jax.nn.softmax(jnp.where(y_mask[:, None, :], similarity, NEVER))
    context = unit(jnp.einsum("bxy,byd->bxd", attention, y))
    match = jnp.einsum("bxd,bzd->bxz", x, context, precision="highest") / temperature
    match = jnp.where(x_mask[:, :, None] & x_mask[:, None, :], match, NEVER)
    diagonal = jnp.diagonal(match, axis1=1, axis2=2)
    log_rows, log_columns = (diagonal - jax.nn.logsumexp(match, axis=axis) for axis in (2, 1))
    mean = jax.vmap(masked_mean)
    return -mean((log_rows + log_columns) / 2, x_mask), mean(diagonal >= match.max(axis=2), x_mask)
