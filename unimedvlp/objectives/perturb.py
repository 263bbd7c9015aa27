"""Random changes of images on the device, for losses that compare two looks at the same image."""

import jax
import jax.numpy as jnp


def strong(rng: jax.Array, image: jax.Array) -> jax.Array:
    """Image float `[B, H, W, C]`, about -1..1, with other contrast, brightness and noise, and a grey square over a random part.

    Nothing moves, so that masks of both looks lie over each other. Our choice of changes and strengths.
    """
    batch, height, width, _ = image.shape
    keys = jax.random.split(rng, 4)
    gain, offset = jax.random.uniform(keys[0], (2, batch, 1, 1, 1), minval=-1.0)
    changed = image * (1 + 0.4 * gain) + 0.3 * offset + 0.05 * jax.random.normal(keys[1], image.shape)
    centre = jax.random.uniform(keys[2], (batch, 2, 1))
    half = jax.random.uniform(keys[3], (batch, 1), minval=0.05, maxval=0.2)
    rows = jnp.abs((jnp.arange(height) + 0.5) / height - centre[:, 0]) < half
    columns = jnp.abs((jnp.arange(width) + 0.5) / width - centre[:, 1]) < half
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], 0.0, changed)


def zoomed(rng: jax.Array, image: jax.Array, least: float = 0.5) -> jax.Array:
    """A random part of image `[B, H, W, C]`, sides at least `least` of the whole, blown up to its size."""
    batch, height, width, channels = image.shape
    first, second = jax.random.split(rng)
    side = jax.random.uniform(first, (batch,), minval=least)
    corner = jax.random.uniform(second, (batch, 2)) * (1 - side[:, None])
    size = jnp.array([height, width], jnp.float32)

    def one(picture: jax.Array, side: jax.Array, corner: jax.Array) -> jax.Array:
        shape = (height, width, channels)
        scale = jnp.broadcast_to(1 / side, (2,))
        return jax.image.scale_and_translate(picture, shape, (0, 1), scale, -corner * size / side, "linear", False)

    return jax.vmap(one)(image, side, corner)
