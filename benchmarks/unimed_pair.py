"""UniMed's training step and the same computation in PyTorch, for `benchmarks.train_step`.

"tiny" is configs/pretrain/unimed.py's of that name (the residual backbone, 160 pixels), "base" its base size with Swin-T at 512
pixels, "half" the same depths at half the width and 256 pixels. One stage with all terms but those of consistency and contrast,
which masked image modelling stands for; no dropout. Of every image 8 objects of 28 places are marked.

What is not the same favours PyTorch: it gets lists of objects without the padding, which blocks are hidden is drawn
beforehand, and it knows where in the response the boxes stand; ours finds all that in each step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.unimed_matching import REAL, make_space, random_batch
from benchmarks.unimed_twin import Model, spread
from benchmarks.unimed_twin_loss import coupling, masked_pixels, refined_global, set_criterion, to_corners
from configs.pretrain.unimed import get_config
from unimedvlp import systems
from unimedvlp.systems.unimed import WEIGHTS
from unimedvlp.tokens.vocabulary import COORDINATE_BINS, COORDINATE_START

SIZES = ("base", "half", "tiny")
PARTS = ("prompt", "response", "classes", "boxes", "masks", "has_mask", "labels")
HALF = {"width": 256, "heads": 4, "mlp": 1024}


def make_config(size: str) -> Any:
    """The config of one size, without dropout and remat."""
    config = get_config("tiny" if size == "tiny" else "base")
    model = config.system.model
    if size != "tiny":
        model.backbone.update({"drop_path": 0.0, "remat": "none"})
        model.update({"dropout": 0.0, "remat": "none"})
    if size == "half":
        config.data.spec.image_size = 256
        model.update(HALF)
        model.backbone.width = 48
    return config


def make_system(size: str, **model: Any) -> systems.System:
    """UniMed of one size."""
    config = make_config(size)
    system, spec = config.system.to_dict(), config.data.spec
    return systems.build(system | {"model": system["model"] | model}, make_space(spec), spec.image_size, spec.views)


def make_batch(size: str, rows: int) -> dict[str, np.ndarray]:
    """Noise with everything annotated."""
    return random_batch(make_config(size).data.spec, rows)


def torch_inputs(batch: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """What `Twin` is called with: the image, which of its blocks are hidden, and `PARTS`, objects without padding."""
    rng, image = np.random.default_rng(1), batch["image"][:, 0].transpose(0, 3, 1, 2)
    rows, _, height, width = image.shape
    count = height * width // 32**2
    order = rng.permuted(np.tile(np.arange(count), (rows, 1)), axis=1)
    hidden = (order < round(0.6 * count)).reshape(rows, 1, height // 32, -1)
    kept = {name: x[:, :REAL] if name in ("classes", "boxes", "masks", "has_mask") else x for name, x in batch.items()}
    whole = {name: kept[name].astype(np.int64) for name in ("prompt", "response", "classes")}
    return image, hidden, *((kept | whole)[name] for name in PARTS)


class Twin(Model):
    """UniMed in PyTorch; returns the loss."""

    def __init__(self, size: str):
        config, system = make_config(size), make_system(size)
        super().__init__(config.system.model, config.data.spec.image_size, make_space(config.data.spec).vocabulary.size)
        self.weights, self.points = WEIGHTS | dict(system.weights), system.points
        self.copies, self.labels = system.copies, system.labels.tolist()
        self.register_buffer("names", torch.from_numpy(system.names).long())
        self.register_buffer("names_mask", torch.from_numpy(system.names_mask))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """As `torch_inputs` -> loss."""
        return sum(self.weights[name] * term for name, term in self.terms(*inputs).items())

    def terms(self, image: torch.Tensor, hidden: torch.Tensor, *given: torch.Tensor) -> dict[str, torch.Tensor]:
        """Image uint8 [B, 3, H, W], hidden bool [B, 1, h, w] and `PARTS` -> unweighted loss terms."""
        given = dict(zip(PARTS, given, strict=True))
        targets = {"class": given["classes"], "box": given["boxes"], "mask": given["masks"].float()}
        targets["has_mask"] = given["has_mask"]
        image = image.float() / 127.5 - 1
        memory, features = self.look(image)
        names = self.name_vectors(self.names, self.names_mask)
        found, proposals, states = self.objects(memory, features, names)
        queries, whole = states[:, :-1], refined_global(states[:, -1], states[:, :-1])
        said = self.objects.heads.compare(whole, names[self.labels]) + self.label_bias
        memory, places = self.recall(memory, queries, found["box"][-1], whole)
        logits = self.respond(given["prompt"], given["response"], memory, places)

        terms, matched = set_criterion(found, targets, self.points, self.weights)
        several = {
            name: targets[name].repeat(1, self.copies, *(1,) * (targets[name].ndim - 2)) for name in ("class", "box")
        }
        first, _ = set_criterion(proposals, several, self.points, self.weights)
        terms["proposals"] = sum(self.weights[name] * term for name, term in first.items())
        terms["labels"] = torch.nn.functional.binary_cross_entropy_with_logits(said.float(), given["labels"])
        terms["tokens"] = torch.nn.functional.cross_entropy(logits.flatten(0, 1), given["response"].flatten())
        coordinates = logits[:, : 5 * REAL, COORDINATE_START : COORDINATE_START + COORDINATE_BINS]
        own = to_corners(found["box"][-1].gather(1, matched[-1][..., None].expand(-1, -1, 4)))
        terms["coupling"] = coupling(coordinates.unflatten(1, (REAL, 5))[:, :, :4], own)
        terms["masked_image"] = masked_pixels(self.restore(image, hidden), image, spread(hidden))
        return terms
