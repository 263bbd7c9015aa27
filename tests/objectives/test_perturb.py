"""Changed looks at an image: what moves, what does not."""

import jax
import jax.numpy as jnp
import numpy as np

from unimedvlp.objectives.perturb import strong, zoomed

KEY = jax.random.key(0)
RAMP = jnp.broadcast_to(jnp.linspace(-1, 1, 32)[None, :, None, None], (2, 32, 32, 1))


def test_strong_changes_grey_values_but_no_place():
    changed = strong(KEY, RAMP)
    assert changed.shape == RAMP.shape and np.abs(changed - RAMP).max() > 0.1
    assert np.abs(changed[0] - changed[1]).max() > 0.1  # every image its own change
    square = np.isclose(changed, 0.0, atol=0.0)[..., 0]
    for covered, look, image in zip(square, changed, RAMP, strict=True):
        assert 0 < covered.mean() < 0.3
        assert np.corrcoef(look[..., 0][~covered], image[..., 0][~covered])[0, 1] > 0.97


def test_zoom_shows_a_part_at_full_size():
    looks = zoomed(KEY, RAMP, least=0.5)
    assert looks.shape == RAMP.shape
    steps = np.diff(np.asarray(looks)[:, :, 0, 0], axis=1)[:, 2:-2]
    whole = float(RAMP[0, 1, 0, 0] - RAMP[0, 0, 0, 0])
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1], steps.shape), atol=1e-5)  # still a ramp
    assert (steps[:, 0] > 0.5 * whole - 1e-6).all() and (steps[:, 0] < whole + 1e-6).all()
    np.testing.assert_allclose(zoomed(KEY, RAMP, least=1.0), RAMP, atol=1e-5)
