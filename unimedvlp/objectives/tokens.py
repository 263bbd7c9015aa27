"""Token loss: cross-entropy of the response under teacher forcing."""

import jax
import jax.numpy as jnp


def token_loss(
    logits: jax.Array, targets: jax.Array, weights: jax.Array, *, smoothing: float = 0.0, per: str = "token"
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Weighted cross-entropy of logits `[B, R, V]` against targets `[B, R]` with weights `[B, R]` (0 on padding).

    `per="token"` averages over all weighted tokens of the batch; `per="example"` over the tokens of each example first, so
    that a two-word answer counts as much as a long report. At initialisation it is about ln V. Returns the loss and
    `token_accuracy` (ties with the highest logit are right), both float32 scalars; a batch without any weight gives 0.

    The logits are the largest array of a step: this reads them twice on the way forward, and holds no other of their size.
    """
    logits = logits.astype(jnp.float32)
    picked = jnp.where(jnp.arange(logits.shape[-1]) == targets[..., None], logits, 0).sum(axis=-1)
    losses = jax.nn.logsumexp(logits, axis=-1) - (1 - smoothing) * picked
    if smoothing:
        losses -= smoothing * logits.mean(axis=-1)
    weights = weights.astype(jnp.float32)
    if per == "example":
        scale = weights.sum(axis=1, keepdims=True)
        weights = weights / jnp.maximum(scale, 1e-6)
    total = jnp.maximum(weights.sum(), 1e-6)
    right = (picked >= logits.max(axis=-1)).astype(jnp.float32)
    return (losses * weights).sum() / total, {"token_accuracy": (right * weights).sum() / total}


def weigh(terms: dict[str, jax.Array], weights: dict[str, float]) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The weighted sum of named loss terms, and every term logged raw (`loss/NAME`) and weighted (`weighted/NAME`).

    A term without a weight counts once; a weight without a term is an error, since it would silently do nothing.
    """
    if unknown := set(weights) - set(terms):
        raise ValueError(f"weights for unknown loss terms {sorted(unknown)}; terms: {sorted(terms)}")
    weighted = {name: value * weights.get(name, 1.0) for name, value in terms.items()}
    logged = {f"loss/{name}": value for name, value in terms.items()}
    return sum(weighted.values()), logged | {f"weighted/{name}": value for name, value in weighted.items()}
