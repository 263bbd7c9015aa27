"""A tiny UniDCP and a batch of pairs, images and texts; `python tests/systems/unidcp_case.py OUT` trains it on 8 devices."""

import json
import sys

import jax
import numpy as np

from unimedvlp import systems
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.parallel.multihost import global_batch
from unimedvlp.tokens import text
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import BOS, EOS, PAD, POS
from unimedvlp.training import optimizers
from unimedvlp.training.state import abstract_state, create
from unimedvlp.training.step import make_train_step

SPACE = TokenSpace.create(
    ("nodule", "edema", "clear"), text.train(["the heart is large and the lungs are clear"] * 4, size=290)
)
SIZES = {
    "width": 32, "heads": 2, "mlp": 64, "image_depth": 1, "text_depth": 1, "fusion_depth": 2, "decoder_depth": 1,
    "restore_width": 16, "restore_heads": 2, "max_text": 12, "max_response": 16, "dropout": 0.0,
}  # fmt: skip
PROMPTS = {"slots": 16, "image_prompts": 4, "text_prompts": 3, "key_width": 8}
WEIGHTS = dict.fromkeys(
    ("mlm", "umlm", "mim", "umim", "itm", "itc", "share", "pull", "balance", "tokens", "choices"), 1.0
)
STEPS, OPTIMIZER = 3, {"learning_rate": 1e-2, "clip": 1.0}


def system(weights=WEIGHTS, prompts=PROMPTS, sizes=SIZES, **options):
    config = {"name": "unidcp", "model": sizes, "prompts": prompts, "weights": weights, **options}
    return systems.build(config, SPACE, image_size=32, views=2)


def batch_at(seed=0, size=8):
    """Rows: pairs for retrieval, but an image alone that is asked for a finding, an image with a class, a text alone."""
    rng = np.random.default_rng(seed)
    vocabulary = SPACE.vocabulary
    lengths = 3 + np.arange(size) % 7
    lengths[[1, 2]] = 0
    views = np.arange(2) < (1 + np.arange(size) % 2)[:, None]
    views[3] = False
    response = np.full((size, 5), PAD, np.int32)
    response[1, :2] = POS, EOS
    response[2, :2] = vocabulary.class_id("clear"), EOS
    response[3, :4] = *rng.integers(4096, vocabulary.size, 3), EOS
    prompt = np.zeros((size, 4), np.int32)
    asked = {1: "findings", 2: "classify", 3: "summarise"}
    for i in range(size):
        prompt[i, :3] = BOS, vocabulary.task(asked.get(i, "retrieve")), vocabulary.modality("xray")
    prompt[1, 3] = vocabulary.class_id("edema")
    return {
        "image": rng.integers(0, 255, (size, 2, 32, 32, 1)).astype(np.uint8),
        "view_mask": views,
        "text": rng.integers(4096, vocabulary.size, (size, 10)).astype(np.int32),
        "text_mask": np.arange(10) < lengths[:, None],
        "prompt": prompt,
        "prompt_mask": prompt != PAD,
        "response": response,
        "target": response,
        "response_weight": (response != PAD).astype(np.float32),
    }


def steps(mesh, made, count=16):
    """[loss and gradient norm] of each step on a mesh."""
    optimizer = optimizers.make(OPTIMIZER, 10)
    first = batch_at(0, count)
    abstract = abstract_state(made, optimizer, first, mesh, ema=False)
    state = create(made, optimizer, jax.random.key(0), first, mesh)
    step = make_train_step(made, optimizer, abstract, mesh)
    rows = []
    for seed in range(STEPS):
        state, metrics = step(state, global_batch(batch_at(seed, count), mesh))
        rows.append([float(metrics["loss"]), float(metrics["grad_norm"])])
    return rows


def main(out):
    """Writes the losses of one and of eight devices to OUT."""
    jax.config.update("jax_disable_most_optimizations", True)
    made = system(block=2)
    rows = {
        "one": steps(make_mesh({"data": 1}, jax.devices()[:1]), made),
        "eight": steps(make_mesh({"data": 4, "fsdp": 2}), made),
    }
    with open(out, "w") as file:
        json.dump(rows, file)


if __name__ == "__main__":
    main(sys.argv[1])
