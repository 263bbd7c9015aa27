"""Codes: an autoencoder with finite scalar quantisation (Mentzer et al., 2023) that turns images, or masks, into tokens.

Ours, no paper's: UniMed asks for one discrete space of all annotations, and says nothing of how pictures enter it. One run of
this system learns from images, another from masks; both are small. A picture has one code for every `stride` x `stride` pixels,
from the vocabulary's range of image codes (levels 8 x 5 x 5 x 5 = 1,000) or of mask codes (8 x 8 x 8 = 512).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from unimedvlp import config as configs
from unimedvlp.errors import UserError
from unimedvlp.models import fsq
from unimedvlp.models.autoencoder import Autoencoder
from unimedvlp.models.generate import Grammar, Method
from unimedvlp.objectives.masks import dice, point_bce
from unimedvlp.objectives.reduce import masked_mean
from unimedvlp.objectives.tokens import weigh
from unimedvlp.systems.base import Batch, Metrics, Params
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import EOS, IMAGE_CODE_START, PAD

LEVELS = {"images": (8, 5, 5, 5), "masks": (8, 8, 8)}


@dataclasses.dataclass(frozen=True)
class Codes:
    """Pure functions over the autoencoder; `of` is "images" or "masks"."""

    model: Autoencoder
    of: str = "images"

    def init(self, rng: jax.Array, batch: Batch) -> Params:
        """Parameters, boxed with their logical axis names."""
        return self.model.init(rng, self._learnt(batch)[0][:1])["params"]

    def loss(self, params: Params, batch: Batch, rng: jax.Array, *, train: bool) -> tuple[jax.Array, Metrics]:
        """Squared error of images; cross-entropy and dice of masks. Logs how many codes the batch uses, and how evenly."""
        pixels, weight = self._learnt(batch)
        found, points = self.model.apply({"params": params}, pixels)
        flat, true = (x.reshape(x.shape[0], -1) for x in (found, pixels))
        if self.of == "images":
            terms = {"squared": masked_mean(jnp.square(flat - true).mean(1), weight)}
        else:
            inside = (true + 1) / 2
            terms = {
                "bce": masked_mean(point_bce(flat, inside), weight),
                "dice": masked_mean(dice(jax.nn.sigmoid(flat), inside), weight),
            }
        total, logged = weigh(terms, {})
        codes = fsq.to_codes(jax.lax.stop_gradient(points), self.model.levels).reshape(pixels.shape[0], -1)
        counts = jnp.zeros(fsq.size(self.model.levels)).at[codes].add(weight[:, None])
        share = counts / jnp.maximum(counts.sum(), 1)
        perplexity = jnp.exp(-jax.scipy.special.xlogy(share, share).sum())
        return total, logged | {"code_perplexity": perplexity, "codes_used": (counts > 0).mean()}

    def encode(self, params: Params, pixels: jax.Array) -> jax.Array:
        """Codes int32 [N, n], row by row, of pictures uint8 [N, H, W, C]; of masks, non-zero is inside.

        To be called within another step or by itself: the codes are the same. Products are float32 on every device.
        """
        with jax.default_matmul_precision("highest"):
            points = self.model.apply({"params": params}, self._scaled(pixels), method=Autoencoder.encode)
        return fsq.to_codes(points, self.model.levels).reshape(pixels.shape[0], -1)

    def decode(self, params: Params, codes: jax.Array, grid: tuple[int, int]) -> jax.Array:
        """Codes int [N, n] of a `grid` (rows, columns) -> images uint8 [N, H, W, C], or probabilities of masks float32."""
        points = fsq.to_points(codes.reshape(-1, *grid), self.model.levels)
        found = self.model.apply({"params": params}, points, method=Autoencoder.decode)
        if self.of == "masks":
            return jax.nn.sigmoid(found)
        return jnp.clip(jnp.round((found + 1) * 127.5), 0, 255).astype(jnp.uint8)

    def generate(
        self, params: Params, batch: Batch, rng: jax.Array, method: Method, length: int, allowed: Grammar | None = None
    ) -> jax.Array:
        """Response ids [B, length] to `reconstruct`: the codes of each row's first image. UserError where they do not fit."""
        if self.of != "images":
            raise UserError("system codes of masks writes no responses; it was trained with of='masks'")
        codes = self.encode(params, batch["image"][:, 0])
        if codes.shape[1] + 1 > length:
            raise UserError(f"an image has {codes.shape[1]} codes, the response {length} tokens: raise its length")
        end = jnp.full((codes.shape[0], length - codes.shape[1]), PAD).at[:, 0].set(EOS)
        return jnp.concatenate([IMAGE_CODE_START + codes, end], axis=1)

    def first_logits(self, params: Params, batch: Batch) -> jax.Array:
        """UserError: this system chooses among no answers."""
        raise UserError("system codes turns pictures into codes; it answers no questions")

    def response_logits(self, params: Params, batch: Batch, response: jax.Array) -> jax.Array:
        """UserError: its codes have no probabilities."""
        raise UserError("system codes turns pictures into codes; these have no probabilities")

    def _learnt(self, batch: Batch) -> tuple[jax.Array, jax.Array]:
        """Pictures of a batch float [N, H, W, C] in -1..1, and which of them exist, bool [N]."""
        if self.of == "images":
            image = batch["image"]
            return self._scaled(image.reshape(-1, *image.shape[2:])), batch["view_mask"].reshape(-1)
        if "masks" not in batch:
            raise UserError("system codes of masks: the batch has none; set data.spec.objects and data.spec.mask_size")
        masks = batch["masks"]
        return self._scaled(masks.reshape(-1, *masks.shape[2:], 1)), batch["has_mask"].reshape(-1)

    def _scaled(self, pixels: jax.Array) -> jax.Array:
        pixels = jnp.asarray(pixels)
        return pixels.astype(jnp.float32) / 127.5 - 1 if self.of == "images" else jnp.where(pixels > 0, 1.0, -1.0)


def from_config(options: Mapping[str, Any], space: TokenSpace | None, image_size: int, views: int) -> Codes:
    """The system of a config's `system` part; `model` holds the module's fields."""
    options = dict(options)
    of = options.get("of", "images")
    if of not in LEVELS:
        raise UserError(f"system.of is {of!r}: use one of {tuple(LEVELS)}")
    sizes = dict(options.pop("model", {}))
    if "dtype" in sizes:
        sizes["dtype"] = jnp.dtype(sizes["dtype"])
    model = configs.build(Autoencoder, sizes, "system.model", levels=LEVELS[of])
    return configs.build(Codes, options, "system", model=model)
