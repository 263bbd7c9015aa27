"""Batch standardisation of image tokens: what all images of a batch share is taken away, what differs is kept.

Medical images of one kind differ little. The tokens of a young encoder are then nearly the same for all of them, and a decoder
that attends to them sees a constant; standardised, it sees the differences from the first step.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp


class Standardise(nn.Module):
    """Every token and channel to mean 0 and variance 1 over the batch: batch normalisation (Ioffe and Szegedy, 2015) without
    scale and shift, one statistic a token and channel.

    `mean` and `variance` `[T, D]` are running averages, used when `deterministic`. They are parameters that no gradient moves:
    a system whose name for this module is `statistics` returns the new ones under that name among its metrics, and the
    training step puts them in place. `momentum` is the share of the old average that is kept at each step.
    """

    momentum: float = 0.98
    eps: float = 1e-4

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array, *, deterministic: bool = True
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """x `[B, T, D]`, mask bool `[B, T]` -> standardised x (0 where masked) and the new running statistics."""
        shape = x.shape[1:]
        stored = {
            "mean": self.param("mean", nn.with_logical_partitioning(nn.initializers.zeros, (None, None)), shape),
            "variance": self.param("variance", nn.with_logical_partitioning(nn.initializers.ones, (None, None)), shape),
        }
        used = stored
        if not deterministic:
            used = statistics(x, mask, stored)
        y = (x.astype(jnp.float32) - used["mean"]) * jax.lax.rsqrt(used["variance"] + self.eps)
        kept = jax.lax.stop_gradient(used)
        new = {name: self.momentum * stored[name] + (1 - self.momentum) * kept[name] for name in stored}
        return jnp.where(mask[..., None], y, 0).astype(x.dtype), new


def statistics(x: jax.Array, mask: jax.Array, otherwise: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Mean and variance `[T, D]` over the batch where `mask` `[B, T]`, in float32; tokens that fewer than two rows have keep
    `otherwise`."""
    x, weight = x.astype(jnp.float32), mask.astype(jnp.float32)[..., None]
    count = weight.sum(0)
    mean = (x * weight).sum(0) / jnp.maximum(count, 1)
    variance = ((x - mean) ** 2 * weight).sum(0) / jnp.maximum(count, 1)
    enough = count >= 2
    return {
        "mean": jnp.where(enough, mean, otherwise["mean"]),
        "variance": jnp.where(enough, variance, otherwise["variance"]),
    }
