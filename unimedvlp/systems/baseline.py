"""Baseline: image and text encoders, joint self-attention over both, and the composed decoder.

Ours, no paper's: the plainest system that serves every task of the house whose answer is a sequence. Passes in order:
every view through a ViT, the context through a text encoder, both through a stack of joint self-attention, then the decoder
reads the prompt and is taught the response. Two terms beside the token loss ask the image features alone, standardised over
the batch, which words and which classes the responses hold: without them a small encoder looks at nothing for a long time.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp import config as configs
from unimedvlp.models.attention import padding_mask
from unimedvlp.models.composed_decoder import ComposedDecoder
from unimedvlp.models.generate import Grammar, Method, respond
from unimedvlp.models.layers import EMBEDDING, dense, named, token_table
from unimedvlp.models.multiview import MultiView
from unimedvlp.models.stack import Block, Stack
from unimedvlp.models.standardise import Standardise
from unimedvlp.models.teacher_forcing import response_logits
from unimedvlp.models.text_encoder import TextEncoder
from unimedvlp.models.vit import ViT
from unimedvlp.objectives.bag import bag_loss, bag_targets, standardise
from unimedvlp.objectives.tokens import token_loss, weigh
from unimedvlp.systems.base import Batch, Metrics, Params
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import MASK, TEXT_START


class Model(nn.Module):
    """The module tree. `width` is shared; depths are layers; `max_text` and `max_response` are tokens (prompt included)."""

    vocab: int
    image_size: int
    views: int
    patch: int = 16
    stem: str = "conv"
    per_image: bool = False
    width: int = 192
    heads: int = 6
    mlp: int = 768
    image_depth: int = 6
    text_depth: int = 2
    fusion_depth: int = 1
    decoder_depth: int = 3
    max_text: int = 160
    max_response: int = 160
    dropout: float = 0.1
    dtype: Any = jnp.float32
    implementation: str = "xla"
    remat: str = "none"

    def setup(self):
        sizes = {"width": self.width, "heads": self.heads, "mlp": self.mlp, "dropout": self.dropout}
        shared = {**sizes, "dtype": self.dtype, "implementation": self.implementation}
        self.table = token_table(self.vocab, self.width, self.dtype)
        size = (self.image_size, self.image_size)
        vit = ViT(size, self.patch, depth=self.image_depth, stem=self.stem, remat=self.remat, parent=None, **shared)
        self.image = MultiView(vit, self.views, per_image=self.per_image)
        tokens = {**shared, "vocab": self.vocab, "table": self.table, "remat": self.remat}
        self.text = TextEncoder(depth=self.text_depth, max_length=self.max_text, **tokens)
        self.kind = self.param("kind", named(EMBEDDING, None, "embed"), (2, self.width))
        self.fusion = Stack(Block(parent=None, **shared), self.fusion_depth, self.remat)
        self.decoder = ComposedDecoder(depth=self.decoder_depth, max_length=self.max_response, **tokens)
        self.statistics = Standardise()
        self.bag = dense(self.width, ("embed", None), self.dtype)
        self.bag_bias = self.param("bag_bias", named(nn.initializers.zeros, "vocab"), (self.vocab,))

    def see(self, batch: Batch, deterministic: bool = True) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """Standardised image tokens `[B, V * (1 + N), D]` of all views, their mask, and the new running statistics."""
        image, mask = self.image(batch["image"], batch["view_mask"], deterministic=deterministic)
        image, statistics = self.statistics(image, mask, deterministic=deterministic)
        return image, mask, statistics

    def bag_logits(self, image: jax.Array, image_mask: jax.Array) -> jax.Array:
        """Scores `[B, V]` of the tokens that the responses may hold, from the mean image token, float32."""
        weight = image_mask[..., None] / jnp.maximum(image_mask.sum(1), 1)[:, None, None]
        pooled = standardise((image * weight).sum(1), image_mask.any(1))
        return self.decoder.logits(self.bag(pooled.astype(image.dtype))[:, None])[:, 0] + self.bag_bias

    def encode(self, batch: Batch, deterministic: bool = True) -> tuple[jax.Array, jax.Array]:
        """Memory `[B, N, D]` and its mask `[B, N]`: tokens of the present views, then of the context."""
        return self.join(*self.see(batch, deterministic)[:2], batch, deterministic)

    def join(
        self, image: jax.Array, image_mask: jax.Array, batch: Batch, deterministic: bool = True
    ) -> tuple[jax.Array, jax.Array]:
        """The memory from image tokens and the batch's context."""
        text = self.text(batch["text"], batch["text_mask"], deterministic=deterministic)
        kind = self.kind.astype(image.dtype)
        states = jnp.concatenate([image + kind[0], text + kind[1]], axis=1)
        mask = jnp.concatenate([image_mask, batch["text_mask"]], axis=1)
        return self.fusion(states, padding_mask(mask), deterministic=deterministic), mask

    def taught(self, batch: Batch, given: jax.Array, blind: jax.Array, deterministic: bool = True):
        """Logits of the response `[B, R, V]` (see `responses`), of the bag of tokens `[B, V]`, and the running statistics.
        The decoder of rows that are `blind` `[B]` is shown the average image."""
        image, mask, statistics = self.see(batch, deterministic)
        memory = self.join(jnp.where(blind[:, None, None], 0, image), mask, batch, deterministic)
        return self.responses(batch, given, memory, deterministic), self.bag_logits(image, mask), statistics

    def responses(
        self, batch: Batch, given: jax.Array, memory: tuple[jax.Array, jax.Array], deterministic: bool = True
    ) -> jax.Array:
        """Float32 logits `[B, R, V]` of the response, with `given` `[B, R]` as the response tokens read so far."""
        return response_logits(self.decoder, batch, given, memory, deterministic)

    def named(self, batch: Batch) -> jax.Array:
        """Scores `[B, V]` of the tokens that the responses may hold, from the images alone."""
        return self.bag_logits(*self.see(batch)[:2])

    def said(self, batch: Batch) -> jax.Array:
        """Logits `[B, R, V]` of the batch's responses."""
        return self.responses(batch, batch["response"], self.encode(batch))

    def start(self, batch: Batch, length: int):
        """An empty decoder cache of `length` tokens over the batch's memory."""
        return self.decoder.start(*self.encode(batch), length)

    def extend(self, ids, mask, cache):
        """The decoder's `extend`."""
        return self.decoder.extend(ids, mask, cache)


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Pure functions over the model.

    corruption: share of the response tokens hidden from the decoder in training (after pix2seq), so that it looks at the image.
    prompt_corruption: share of the words of prompts hidden in training, so that it does not know questions by heart.
    blind: share of the rows that are trained without the image, so that it reads its prompt and plan: where data are few, the
    image alone is enough to know a training report by heart. per, smoothing: as in `token_loss`. words, classes: weights of
    the bag of tokens.
    """

    model: Model
    words: float = 1.0
    classes: float = 1.0
    corruption: float = 0.0
    prompt_corruption: float = 0.0
    blind: float = 0.0
    smoothing: float = 0.0
    per: str = "token"

    def init(self, rng: jax.Array, batch: Batch) -> Params:
        """Parameters, boxed with their logical axis names."""
        return self.model.init(rng, batch, batch["response"], batch["prompt_mask"][:, 0], method=Model.taught)["params"]

    def loss(self, params: Params, batch: Batch, rng: jax.Array, *, train: bool) -> tuple[jax.Array, Metrics]:
        """Token loss of the target, with the response as what the decoder reads."""
        dropout, corruption, blind = jax.random.split(rng, 3)
        given = batch["response"]
        if train:
            batch, given = self._corrupted(batch, corruption)
        blind = jax.random.bernoulli(blind, self.blind if train else 0.0, given.shape[:1])
        logits, bag, statistics = self.model.apply(
            {"params": params}, batch, given, blind, not train, rngs={"dropout": dropout}, method=Model.taught
        )
        smoothing = self.smoothing if train else 0.0
        response, weights = batch["target"], batch["response_weight"]
        loss, metrics = token_loss(logits, response, weights, smoothing=smoothing, per=self.per)
        last = jnp.max(jnp.where(batch["prompt_mask"], jnp.arange(batch["prompt"].shape[1]), 0), axis=1)
        asked = jnp.take_along_axis(batch["prompt"], last[:, None], axis=1)[:, 0]
        targets = bag_targets(asked, response, weights, self.model.vocab)
        words, classes = bag_loss(bag, targets, batch["view_mask"].any(1))
        terms = {"tokens": loss, "words": words, "classes": classes}
        total, logged = weigh(terms, {"words": self.words, "classes": self.classes})
        return total, metrics | logged | {"statistics": statistics}

    def _corrupted(self, batch: Batch, rng: jax.Array) -> tuple[Batch, jax.Array]:
        """The batch with words of its prompts hidden, and the response likewise. Packed rows hold further prompts in the response."""
        response, taught = batch["response"], batch["response_weight"] > 0
        word = response >= TEXT_START
        share = jnp.where(taught, self.corruption, jnp.where(word, self.prompt_corruption, 0.0))
        here, there = jax.random.split(rng)
        given = jnp.where(jax.random.bernoulli(here, share), MASK, response)
        share = jnp.where(batch["prompt"] >= TEXT_START, self.prompt_corruption, 0.0)
        return batch | {"prompt": jnp.where(jax.random.bernoulli(there, share), MASK, batch["prompt"])}, given

    def generate(
        self,
        params: Params,
        batch: Batch,
        rng: jax.Array,
        method: Method,
        length: int,
        allowed: Grammar | None = None,
    ) -> jax.Array:
        """Response ids `[B, length]`."""
        apply = functools.partial(self.model.apply, {"params": params})
        start = functools.partial(apply, batch, method=Model.start)
        extend = functools.partial(apply, method=Model.extend)
        return respond(start, extend, batch, rng, method, length, allowed)

    def class_logits(self, params: Params, batch: Batch) -> jax.Array:
        """Logits `[B, V]` of the classes that a response will name, from the images alone."""
        return self.model.apply({"params": params}, batch, method=Model.named)

    def first_logits(self, params: Params, batch: Batch) -> jax.Array:
        """Logits `[B, V]` of the first response token."""
        return self.response_logits(params, batch, jnp.zeros((batch["prompt"].shape[0], 1), jnp.int32))[:, 0]

    def response_logits(self, params: Params, batch: Batch, response: jax.Array) -> jax.Array:
        """Logits `[B, R, V]` of every token of given responses `[B, R]`."""
        batch = {key: value for key, value in batch.items() if key != "segment"} | {"response": response}
        return self.model.apply({"params": params}, batch, method=Model.said)


def from_config(options: Mapping[str, Any], space: TokenSpace, image_size: int, views: int) -> Baseline:
    """The system of a config's `system` part; `model` holds the module's fields."""
    options = dict(options)
    sizes = dict(options.pop("model", {}))
    if "dtype" in sizes:
        sizes["dtype"] = jnp.dtype(sizes["dtype"])
    fixed = {"vocab": space.vocabulary.size, "image_size": image_size, "views": views}
    return configs.build(Baseline, options, "system", model=configs.build(Model, sizes, "system.model", **fixed))
