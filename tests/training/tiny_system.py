"""A system, batches and a runnable script small enough for every test of training."""

import os
import sys
import time
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.training.loop import train

HERE = Path(__file__).resolve().parent
QUICK_COMPILE = "--xla_backend_optimization_level=0"
BATCH, WIDTH, CLASSES = 16, 8, 4
OPTIMIZER = {"learning_rate": 1e-2, "warmup": 3, "weight_decay": 0.1}


def kernel(*axes):
    return nn.with_logical_partitioning(nn.initializers.lecun_normal(), axes)


class Layer(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        y = nn.LayerNorm()(x)
        y = nn.gelu(nn.Dense(2 * WIDTH, kernel_init=kernel("embed", "mlp"), name="up")(y))
        y = nn.Dense(WIDTH, kernel_init=kernel("mlp", "embed"), name="down")(y)
        return nn.with_logical_constraint(x + y, ("batch", "embed")), None


class Mlp(nn.Module):
    """Two scanned layers with names on every axis; 3 input features, which no mesh axis divides."""

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Dense(WIDTH, kernel_init=kernel("patch", "embed"), name="stem")(x)
        x = nn.Dropout(0.1, deterministic=not train)(x)
        scanned = nn.scan(
            Layer,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=2,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        x, _ = scanned(name="stack")(x, None)
        return nn.Dense(CLASSES, kernel_init=kernel("embed", "vocab"), name="head")(x)


class System:
    """Cross-entropy, plus a term that is infinite at rows marked `bad`."""

    def init(self, rng, batch):
        return Mlp().init(rng, batch["x"], train=False)["params"]

    def loss(self, params, batch, rng, *, train):
        logits = Mlp().apply({"params": params}, batch["x"], train=train, rngs={"dropout": rng})
        chosen = jnp.take_along_axis(nn.log_softmax(logits), batch["y"][:, None], axis=1)
        terms = {"tokens": -chosen.mean(), "share": jnp.where(batch["bad"].any(), jnp.inf, 0.0)}
        return terms["tokens"] + terms["share"], terms


def batch_at(step, bad=()):
    """The global batch of a step: labels that follow from the inputs."""
    x = np.random.default_rng(step).normal(size=(BATCH, 3)).astype(np.float32)
    y = (x @ np.arange(3 * CLASSES).reshape(3, CLASSES)).argmax(1)
    return {"x": x, "y": y.astype(np.int64), "bad": np.full(BATCH, step in bad)}


def run(workdir, steps=12, mesh=None, batches=batch_at, **options):
    """Trains the tiny system; every option can be replaced."""
    defaults = {"optimizer": OPTIMIZER, "save_every": 4, "log_every": 2, "ema_decay": 0.9}
    mesh = mesh or make_mesh({"data": 1}, jax.devices()[:1])
    return train(System(), batches=batches, total_steps=steps, workdir=workdir, mesh=mesh, **(defaults | options))


def bits(state):
    """Every array of a state, by path."""
    leaves, _ = jax.tree.flatten_with_path(state)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def same_bits(a, b):
    a, b = bits(a), bits(b)
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def main(workdir, steps, save_every="4", seconds="0.05"):
    """`python tests/training/tiny_system.py WORKDIR STEPS [SAVE_EVERY [SECONDS]]`: a slow-motion run for tests that interrupt
    it, with so many seconds before every batch."""

    def slowly(step):
        time.sleep(float(seconds))
        print("batch", step, flush=True)
        return batch_at(step)

    run(workdir, int(steps), batches=slowly, save_every=int(save_every))


def environment(devices=1, flags=""):
    """Variables for a Python process of these tests; `flags` are XLA's."""
    flags = f"--xla_force_host_platform_device_count={devices} {flags}"
    return os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(HERE.parents[1]), "XLA_FLAGS": flags}


if __name__ == "__main__":
    main(*sys.argv[1:])
