"""Scaled dot-product attention by implementation name, and the masks that go with it.

A mask is boolean and broadcastable to [B, H, T, S]; True means that query t may look at key s. Masks combine with `&`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.models.splash import Causal, splash_attention

IMPLEMENTATIONS = ("xla", "cudnn", "splash")


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    mask: jax.Array | Causal | None = None,
    bias: jax.Array | None = None,
    implementation: str = "xla",
) -> jax.Array:
    """Attention of q [B, T, H, Dh] over k, v [B, S, H, Dh] -> [B, T, H, Dh], softmax in float32.

    `mask` is bool, broadcastable to [B, H, T, S]; a query with nothing to look at gives zeros. `bias`, broadcastable to the
    same, is added to the scaled scores.
    "xla" runs everywhere; "cudnn" is the fused kernel of NVIDIA GPUs (bfloat16 or float16 only); "splash" that of TPUs, which
    leaves to "xla" what it does not know: a bias, masks that differ by query (but for `Causal`, which only it takes), and
    single queries, as in decoding with a cache.
    Raises UserError for an unknown implementation.
    """
    if implementation not in IMPLEMENTATIONS:
        raise UserError(f"attention implementation {implementation!r} is unknown: use one of {IMPLEMENTATIONS}")
    if implementation == "splash":
        if bias is None and q.shape[1] > 1 and (mask is None or isinstance(mask, Causal) or mask.shape[1:3] == (1, 1)):
            return splash_attention(q, k, v, mask)
        implementation = "xla"
    if implementation == "xla" and q.dtype == jnp.float32:
        out = _float32(q, k, v, mask, bias)
    else:
        out = jax.nn.dot_product_attention(q, k, v, bias=bias, mask=mask, implementation=implementation)
    if mask is None:
        return out
    sees_something = jnp.swapaxes(mask.any(-1, keepdims=True), 1, 2)  # [B, T, H, 1]
    return jnp.where(sees_something, out, 0)


def _float32(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None, bias: jax.Array | None) -> jax.Array:
    """As `jax.nn.dot_product_attention`, whose axis of key groups, here of one, costs XLA half as much time again on a CPU."""
    scores = jnp.einsum("bthd,bshd->bhts", q, k) * q.shape[-1] ** -0.5
    scores = scores if bias is None else scores + bias
    scores = scores if mask is None else jnp.where(mask, scores, -0.7 * jnp.finfo(jnp.float32).max)
    return jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(scores), v)


def padding_mask(key_mask: jax.Array) -> jax.Array:
    """Which keys exist, [B, S] bool, as an attention mask [B, 1, 1, S]."""
    return key_mask[:, None, None, :]


def causal_mask(length: int) -> jax.Array:
    """Query t sees keys 0..t: [1, 1, T, T] bool."""
    return jnp.tril(jnp.ones((length, length), bool))[None, None]


def segment_mask(segment_ids: jax.Array) -> jax.Array:
    """Queries see keys of their own segment only: ids [B, T] -> [B, 1, T, T] bool."""
    return (segment_ids[:, :, None] == segment_ids[:, None, :])[:, None]
