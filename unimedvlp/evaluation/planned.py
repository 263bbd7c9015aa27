"""Reports from a plan: which findings the images show is decided first, each by a threshold of its own, then written about.

Our own. A decoder that says the likeliest report leaves rare findings out, and one that samples scatters them; a threshold
chosen on validation weighs missed against invented findings as F1 does, and the decoder, guided by these findings, writes the
report that fits.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.evaluation.classification import choose_thresholds
from unimedvlp.evaluation.evaluator import Evaluator
from unimedvlp.models.generate import Grammar, Method
from unimedvlp.models.guidance import Guide
from unimedvlp.parallel.multihost import global_batch
from unimedvlp.parallel.rules import activate, replicated
from unimedvlp.records import NEGATIVE, POSITIVE
from unimedvlp.systems.base import Batch, NamingSystem, Params, System
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import PAD, SEP

FILE = "plan.json"
LEAST = 8  # positive validation studies that a threshold is chosen from; rarer findings are never planned
STRENGTH = (
    3.0  # of the guidance by the plan: F1 of what is written, on IU X-Ray's validation split, .03, .06, .09 for 1, 2, 3
)


@dataclasses.dataclass(frozen=True)
class Planned:
    """A system that writes reports behind the classes whose logit reaches their threshold, guided by these classes.

    `thresholds`: class id -> logit. Guidance compares with the report of an empty plan.
    """

    system: System
    thresholds: Mapping[int, float]
    strength: float = STRENGTH

    def generate(
        self, params: Params, batch: Batch, rng: jax.Array, method: Method, length: int, allowed: Grammar | None = None
    ) -> jax.Array:
        """Response ids `[B, length]`, of the text alone."""
        ids = np.array(sorted(self.thresholds), np.int32)
        cuts = np.array([self.thresholds[int(i)] for i in ids], np.float32)
        named = self.system.class_logits(params, batch)[:, ids] >= cuts
        said = jnp.concatenate([named, jnp.ones((len(named), 1), bool)], axis=1)
        plan = jnp.where(said, jnp.append(ids, SEP), PAD)
        before = jnp.zeros_like(batch["prompt_mask"])
        hidden = jnp.concatenate([before, said.at[:, -1].set(False)], axis=1)
        batch = dict(batch) | {
            "guide": Guide(hidden, jnp.float32(self.strength)),
            "prompt": jnp.concatenate([batch["prompt"], plan], axis=1),
            "prompt_mask": jnp.concatenate([batch["prompt_mask"], said], axis=1),
        }
        return self.system.generate(params, batch, rng, method, length, allowed)


def choose(validation: Evaluator, params: Any) -> dict[str, float]:
    """Class name -> threshold of best F1 on a validation split, for the task's planned findings with at least `LEAST` positive
    studies there."""
    if not isinstance(validation.system, NamingSystem):
        raise UserError(f"{type(validation.system).__name__} names no classes; give the report task no plan")
    space, mesh, classes = validation.space, validation.mesh, validation.task.plan
    ids = np.array([space.vocabulary.class_id(name) for name in classes])

    def scores(params: Params, batch: Batch):
        with activate(mesh):
            return validation.system.class_logits(params, batch)[:, ids], batch["index"], batch["_mask"]

    step, found = jax.jit(scores, out_shardings=replicated(mesh)), {}
    for batch in validation.batches():
        kept = {key: batch[key] for key in batch if key not in ("dataset", "task", "segment")}
        logits, index, valid = jax.device_get(step(params, global_batch(kept, mesh)))
        found |= {int(place): row for place, row, real in zip(index, logits, valid, strict=True) if real}
    truths = [validation.samples.truths[place]["labels"] for place in found]
    value = {POSITIVE: 1.0, NEGATIVE: 0.0}
    labels = np.array([[value.get(truth.get(name), np.nan) for name in classes] for truth in truths])
    cuts = choose_thresholds(labels, np.stack(list(found.values())))
    known = (labels == 1).sum(0) >= LEAST
    return {name: float(cut) for name, cut, enough in zip(classes, cuts, known, strict=True) if enough}


def save(thresholds: Mapping[str, float], workdir: Path) -> None:
    """Write the thresholds, by class name, where `apply` finds them."""
    (workdir / FILE).write_text(json.dumps(dict(thresholds), indent=1) + "\n")


def apply(system: System, space: TokenSpace, workdir: Path) -> System:
    """The system with the plan that its working directory holds, or as it is where there is none."""
    if not (workdir / FILE).is_file():
        return system
    thresholds = json.loads((workdir / FILE).read_text())
    return Planned(system, {space.vocabulary.class_id(name): cut for name, cut in thresholds.items()})
