"""Operations whose gradients the compiler's partitioner gets wrong on a mesh with both a tensor and a sequence axis, written so
that it can not: a gather along a sharded axis loses part of its gradient, so may one from a sharded table, and the gradient of a
convolution's kernel is counted once a tensor shard. `tests/systems/test_sharded_systems.py` sees all of it."""

import flax.linen as nn
import jax
import jax.numpy as jnp


def pick(x: jax.Array, index: jax.Array) -> jax.Array:
    """Rows of each example: x float [B, T, ...], index int [B, K] -> [B, K, ...]. As `take_along_axis` with mode "clip"."""
    chosen = jax.nn.one_hot(jnp.clip(index, 0, x.shape[1] - 1), x.shape[1], dtype=x.dtype)
    return jnp.einsum("bkt,bt...->bk...", chosen, x, precision=jax.lax.Precision.HIGHEST)


def whole(x: jax.Array) -> jax.Array:
    """The same [B, ...], split over the batch alone."""
    return nn.with_logical_constraint(x, ("batch", *[None] * (x.ndim - 1)))


class Embed(nn.Embed):
    """`nn.Embed` of ids [B, T] whose output is split over the batch alone."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """As `nn.Embed`."""
        return whole(super().__call__(inputs))


class Conv(nn.Conv):
    """`nn.Conv` of [B, H, W, C] whose input and output are split over the batch alone."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """As `nn.Conv`."""
        return whole(super().__call__(whole(inputs)))


class ConvTranspose(nn.ConvTranspose):
    """`nn.ConvTranspose` of [B, H, W, C] whose input and output are split over the batch alone."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """As `nn.ConvTranspose`."""
        return whole(super().__call__(whole(inputs)))
