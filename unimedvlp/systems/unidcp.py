"""UniDCP: one prompted encoder for pairs, images alone and texts alone (Zhan et al., 2023, IEEE TMM; arXiv 2312.11171).

The paper's abstract is all of it that was at hand: one framework harmonises the inputs of several pre-training tasks by
cross-modal prompts, and these are optimised dynamically within a shareable space. Everything marked * is our reconstruction:
the encoders, the six-layer co-attention*, the pool of one key and two values a slot*, and the passes*, which follow PTUnifier
(Chen et al., 2023) and M3AE (Chen et al., 2022) in this order: masked language, masked image, the unimodal twins of both,
matching, contrast of completed images with completed texts, and the terms of the prompts. Fine-tuning adds a decoder* for what
is written and a head* for what is chosen. docs/systems/unidcp.md keeps paper and reconstruction apart.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp import config as configs
from unimedvlp.errors import UserError
from unimedvlp.models.co_attention import CoAttention
from unimedvlp.models.composed_decoder import ComposedDecoder
from unimedvlp.models.generate import Grammar, Method, respond
from unimedvlp.models.layers import dense, last_layer, layer_norm, named, token_table
from unimedvlp.models.multiview import MultiView
from unimedvlp.models.patch_decoder import PatchDecoder
from unimedvlp.models.prompt_pool import PromptPool
from unimedvlp.models.prompted_encoder import Encoded, PromptedEncoder, drawn, stacked
from unimedvlp.models.standardise import Standardise
from unimedvlp.models.teacher_forcing import response_logits
from unimedvlp.models.text_encoder import TextEncoder
from unimedvlp.models.vit import ViT
from unimedvlp.objectives import masked, ring_contrast
from unimedvlp.objectives.choices import choice_logits, choice_loss
from unimedvlp.objectives.contrast import unit
from unimedvlp.objectives.matching_pairs import hard_negatives, matching_loss
from unimedvlp.objectives.prompts import prompt_terms
from unimedvlp.objectives.same_texts import same_texts
from unimedvlp.objectives.tokens import token_loss, weigh
from unimedvlp.systems.base import Batch, Metrics, Params
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import BOS, EOS, MASK, MAX_CLASSES, TASK_START, TASKS, TEXT_START

# Terms of studies with image and text.
PAIRED = ("mlm", "mim", "umlm", "umim", "itm", "itc", "share", "pull", "balance")
TAUGHT = ("tokens", "choices")  # terms of tasks: what the decoder writes, what the head chooses
RETRIEVE = TASK_START + TASKS.index("retrieve")


class Model(nn.Module):
    """The module tree. `width` is shared; depths are layers; `max_text` and `max_response` are tokens (prompt included).
    `restore_*` size the decoder of masked patches; `channels` are those of the images."""

    vocab: int
    image_size: int
    views: int
    pool: PromptPool
    channels: int = 1
    patch: int = 16
    stem: str = "conv"
    per_image: bool = False
    width: int = 192
    heads: int = 6
    mlp: int = 768
    image_depth: int = 4
    text_depth: int = 2
    fusion_depth: int = 2
    decoder_depth: int = 2
    restore_depth: int = 1
    restore_width: int = 96
    restore_heads: int = 3
    max_text: int = 160
    max_response: int = 160
    dropout: float = 0.1
    dtype: Any = jnp.float32
    implementation: str = "xla"
    remat: str = "none"

    def setup(self):
        sizes = {"width": self.width, "heads": self.heads, "mlp": self.mlp, "dropout": self.dropout}
        shared = {**sizes, "dtype": self.dtype, "implementation": self.implementation, "remat": self.remat}
        self.table = token_table(self.vocab, self.width, self.dtype)
        size = (self.image_size, self.image_size)
        vit = ViT(size, self.patch, depth=self.image_depth, stem=self.stem, parent=None, **shared)
        tokens = {**shared, "vocab": self.vocab, "table": self.table}
        text = TextEncoder(depth=self.text_depth, max_length=self.max_text + 1, parent=None, **tokens)
        fusion = CoAttention(depth=self.fusion_depth, parent=None, **shared)
        views = MultiView(vit, self.views, per_image=self.per_image, parent=None)
        self.statistics = Standardise()
        self.encoder = PromptedEncoder(views, text, self.pool, fusion, self.statistics, BOS, EOS, self.dtype)
        grid = (self.image_size // self.patch, self.image_size // self.patch)
        restore = (self.restore_width, self.restore_depth, self.restore_heads)
        pixels = self.patch * self.patch * self.channels
        self.patches = PatchDecoder(grid, pixels, *restore, self.dtype, self.implementation)
        self.words, self.words_norm = dense(self.width, ("embed", None), self.dtype), layer_norm(1e-6, self.dtype)
        self.words_bias = self.param("words_bias", named(nn.initializers.zeros, "vocab"), (self.vocab,))
        self.match = last_layer(2)
        self.contrast_norm, self.contrast = layer_norm(1e-6, self.dtype), dense(self.width, (None, None), self.dtype)
        self.choose_in, self.choose_norm = dense(2 * self.width, (None, None), self.dtype), layer_norm(1e-6, self.dtype)
        self.choose = last_layer(MAX_CLASSES)
        self.memory, self.memory_norm = dense(self.width, ("embed", None), self.dtype), layer_norm(1e-6, self.dtype)
        self.decoder = ComposedDecoder(depth=self.decoder_depth, max_length=self.max_response, **tokens)

    def encode(self, image=None, text=None, deterministic: bool = True) -> Encoded:
        """The three shapes of one function, see `PromptedEncoder`."""
        return self.encoder(image, text, deterministic=deterministic)

    def rows(self, batch: Batch, deterministic: bool = True) -> Encoded:
        """The rows of a batch, each completed where it lacks a modality."""
        image, text = (batch["image"], batch["view_mask"]), (batch["text"], batch["text_mask"])
        return self.encoder.rows(image, text, deterministic=deterministic)

    def restored_words(self, text: jax.Array) -> jax.Array:
        """Text stream `[B, 1 + L, D]` -> float32 logits `[B, L, V]` of the tokens behind its `begin`."""
        x = self.words_norm(nn.gelu(self.words(text[:, 1:])))
        return self.decoder.logits(x) + self.words_bias

    def restored_patches(self, encoded: Encoded, restore: jax.Array) -> jax.Array:
        """Pixels `[B * V, N, ...]` of every patch, from the image stream at half depth."""
        tokens = encoded.middle.reshape(len(restore), -1, self.width)[:, 1:]
        return self.patches(tokens, restore)

    def matched(self, pooled: jax.Array) -> jax.Array:
        """Pooled `[B, 2D]` -> float32 logits `[B, 2]`: does the text not, or does it belong to the image?"""
        return self.match(pooled.astype(jnp.float32))

    def contrasted(self, pooled: jax.Array) -> jax.Array:
        """Pooled `[B, 2D]` -> embeddings of unit length, float32 `[B, D]`."""
        return unit(self.contrast(self.contrast_norm(pooled)))

    def chosen(self, pooled: jax.Array) -> jax.Array:
        """Pooled `[B, 2D]` -> float32 logits `[B, C]` of all classes that a registry can hold."""
        x = nn.gelu(self.choose_norm(self.choose_in(pooled)))
        return self.choose(x.astype(jnp.float32))

    def remembered(self, encoded: Encoded) -> tuple[jax.Array, jax.Array]:
        """What the decoder attends to: both fused streams `[B, N + L, D]` and their mask."""
        states = jnp.concatenate([encoded.image, encoded.text], axis=1)
        mask = jnp.concatenate([encoded.image_mask, encoded.text_mask], axis=1)
        return self.memory_norm(self.memory(states)), mask

    def first(self, batch: Batch) -> jax.Array:
        """`chosen` of a batch's rows."""
        return self.chosen(self.rows(batch).pooled)

    def said(self, batch: Batch) -> jax.Array:
        """Logits `[B, R, V]` of every token of the batch's response."""
        return response_logits(self.decoder, batch, batch["response"], self.remembered(self.rows(batch)))

    def start(self, batch: Batch, length: int):
        """An empty decoder cache of `length` tokens over the batch's memory."""
        return self.decoder.start(*self.remembered(self.rows(batch)), length)

    def extend(self, ids, mask, cache):
        """The decoder's `extend`."""
        return self.decoder.extend(ids, mask, cache)

    def touch(self, batch: Batch) -> None:
        """Every module once, to initialise."""
        encoded = self.rows(batch)
        self.restored_words(encoded.text)
        patches = (self.image_size // self.patch) ** 2
        restore = jnp.tile(jnp.arange(patches), (batch["view_mask"].size, 1))
        self.patches(jnp.zeros((len(restore), 1, self.width), self.dtype), restore)
        self.matched(encoded.pooled), self.contrasted(encoded.pooled), self.chosen(encoded.pooled)
        response_logits(self.decoder, batch, batch["response"], self.remembered(encoded))

    def terms(self, batch: Batch, system: "UniDCP", rng: jax.Array, deterministic: bool) -> tuple[dict, Metrics]:
        """The terms with a weight, see `UniDCP.loss`."""
        terms, metrics = {}, {}
        for names, passes in ((PAIRED, paired_terms), (TAUGHT, taught_terms)):
            wanted = {name for name in names if system.weights.get(name)}
            if wanted:
                found, measured = passes(self, batch, system, wanted, rng, deterministic)
                terms, metrics = terms | found, metrics | measured
        return terms, metrics


def paired_terms(model: Model, batch: Batch, system: "UniDCP", wanted: set, rng: jax.Array, deterministic: bool):
    """The passes of pre-training over studies that have both an image and a text; those of one shape share a call.

    Raises UserError where a batch has no room for texts.
    """
    image, views, ids, text_mask = (batch[name] for name in ("image", "view_mask", "text", "text_mask"))
    if ids.shape[1] < 2:
        raise UserError(
            f"system.weights: {', '.join(sorted(wanted))} need pairs, but the batch holds images alone (texts of "
            f"{ids.shape[1]} token); set data.spec.text_length, and train on a task that shows both, such as retrieve"
        )
    see, read, stand_in, fuse = (
        functools.partial(getattr(model.encoder, name), deterministic=deterministic)
        for name in ("see", "read", "stand_in", "fuse")
    )
    for_words, for_patches, for_negatives = jax.random.split(rng, 3)
    pairs = views.any(1) & text_mask.any(1) & (batch["prompt"][:, 1] == RETRIEVE)
    terms, metrics, size = {}, {"pairs": pairs.mean(dtype=jnp.float32)}, len(ids)

    # Texts, whole and (for masked language) with gaps behind them; alone, with prompts in the place of their images.
    index = masked.word_index(ids, text_mask & (ids >= TEXT_START), jnp.asarray(system.word_starts))
    given, gaps = masked.mask_words(for_words, ids, index, system.hide_words, MASK)
    forms = [ids, given] if wanted & {"mlm", "umlm"} else [ids]
    texts = read(jnp.concatenate(forms), jnp.concatenate([text_mask] * len(forms)))
    said, gapped = (jax.tree.map(lambda x, part=part: x[part], texts) for part in (slice(size), slice(size, None)))
    for_texts = stand_in("image", texts)
    texts_alone = fuse(for_texts, texts)
    seen = see(image, views)
    metrics["statistics"] = seen.statistics

    # Masked image, beside the text and alone.
    if wanted & {"mim", "umim"}:
        flat = image.reshape(-1, *image.shape[2:])
        count = (flat.shape[1] // model.patch) * (flat.shape[2] // model.patch)
        keep, restore, covered = masked.random_patches(for_patches, len(flat), count, system.hide_patches)
        pieces = see(masked.cover_patches(flat, covered, model.patch).reshape(image.shape), views, keep)
        covered &= (views & pairs[:, None]).reshape(-1, 1)
        for name, text in (("mim", lambda: said), ("umim", lambda: stand_in("text", pieces))):
            if name in wanted:
                pixels = model.restored_patches(fuse(pieces, text()), restore)
                terms[name] = masked.masked_image_loss(pixels, flat, covered, model.patch)
    # Images alone against texts alone.
    for_images = stand_in("text", seen)
    ours = model.contrasted(fuse(seen, for_images).pooled)
    theirs = model.contrasted(texts_alone.pooled[:size])
    groups = same_texts(ids, text_mask)
    terms["itc"], measured = ring_contrast.info_nce(
        ours, theirs, 1 / system.contrast_temperature, groups=groups, valid=pairs
    )
    metrics |= measured
    # Pairs: with gaps for masked language; whole, and with a hard text or a hard image, for matching.
    pictures, words = ([seen], [gapped]) if "mlm" in wanted else ([], [])
    if "itm" in wanted:
        texts_drawn, images_drawn, known = hard_pairs(for_negatives, ours, theirs, groups, pairs, system)
        pictures += [seen, seen, drawn(seen, images_drawn)]
        words += [said, drawn(said, texts_drawn), said]
    beside = fuse(stacked(*pictures), stacked(*words)) if pictures else None
    if "itm" in wanted:
        match = jnp.repeat(jnp.array([True, False, False]), size)
        valid = jnp.concatenate([pairs, pairs & known, pairs & known])
        terms["itm"], measured = matching_loss(model.matched(beside.pooled[-3 * size :]), match, valid)
        metrics |= measured
    for name, encoded, rows in (("mlm", beside, slice(size)), ("umlm", texts_alone, slice(size, None))):
        if name in wanted:
            logits = model.restored_words(encoded.text[rows])
            terms[name], measured = masked.masked_language_loss(logits, ids, gaps & pairs[:, None])
            metrics[f"{name}_accuracy"] = measured["masked_token_accuracy"]
    # The prompts, in the space that both modalities share.
    if for_images.scores is not None:
        chosen, asked = (
            (model.pool.text_prompts, model.pool.image_prompts),
            (for_images.scores, for_texts.scores[:size]),
        )
        rows = {"groups": groups, "valid": pairs}
        prompts, measured = prompt_terms(*asked, chosen, temperature=model.pool.temperature, **rows)
        terms, metrics = terms | prompts, metrics | measured
    return {name: terms[name] for name in terms if name in wanted}, metrics


def taught_terms(model: Model, batch: Batch, system: "UniDCP", wanted: set, rng: jax.Array, deterministic: bool):
    """What fine-tuning asks of every row, each completed where it lacks a modality."""
    encoded, terms = model.rows(batch, deterministic), {}
    metrics = {"statistics": encoded.statistics}
    if "tokens" in wanted:
        given = batch["response"]
        if system.corruption and not deterministic:
            lost = jax.random.bernoulli(rng, system.corruption, given.shape) & (batch["response_weight"] > 0)
            given = jnp.where(lost, MASK, given)
        logits = response_logits(model.decoder, batch, given, model.remembered(encoded), deterministic)
        terms["tokens"], measured = token_loss(logits, batch["target"], batch["response_weight"], per="example")
        metrics |= measured
    if "choices" in wanted:
        terms["choices"], measured = choice_loss(model.chosen(encoded.pooled), batch, system.classes)
        metrics |= measured
    return terms, metrics


def hard_pairs(rng, ours, theirs, groups, pairs, system: "UniDCP"):
    """For every image the index of a hard text, for every text that of a hard image `[B]`, and whether there is one `[B]`.

    They are drawn within blocks of `system.block` studies (0: among all), so that no features travel between devices.
    """
    size = system.block or len(ours)
    if len(ours) % size:
        raise UserError(f"system.block: a batch of {len(ours)} studies does not consist of blocks of {size}")

    def blocks(x: jax.Array) -> jax.Array:
        return x.reshape(-1, size, *x.shape[1:])

    logits = jnp.einsum("gid,gjd->gij", blocks(ours), blocks(theirs)) / system.contrast_temperature
    texts, images, found = hard_negatives(rng, logits, groups=blocks(groups), valid=blocks(pairs))
    return texts, images, found.reshape(-1)


@dataclasses.dataclass(frozen=True)
class UniDCP:
    """Pure functions over the model. `weights` of the terms in `PAIRED` and `TAUGHT`; a term without a weight is not computed.

    hide_words, hide_patches: shares that are hidden. contrast_temperature: fixed, as in PTUnifier. block: studies among which
    hard negatives are drawn, 0 for all. corruption: share of the response tokens that the decoder does not get to read in
    training. classes: how many names the registry holds. word_starts: bool `[V]`, ids with which a word begins.
    """

    model: Model
    weights: Mapping[str, float]
    classes: int
    word_starts: Any
    hide_words: float = 0.15
    hide_patches: float = 0.75
    contrast_temperature: float = 0.1
    block: int = 0
    corruption: float = 0.0

    def init(self, rng: jax.Array, batch: Batch) -> Params:
        """Parameters, boxed with their logical axis names."""
        return self.model.init(rng, batch, method=Model.touch)["params"]

    def loss(self, params: Params, batch: Batch, rng: jax.Array, *, train: bool) -> tuple[jax.Array, Metrics]:
        """The weighted sum of the terms, see `paired_terms` and `taught_terms`."""
        dropout, draws = jax.random.split(rng)
        terms, metrics = self.model.apply(
            {"params": params}, batch, self, draws, not train, rngs={"dropout": dropout}, method=Model.terms
        )
        total, logged = weigh(terms, {name: self.weights.get(name, 0.0) for name in terms})
        return total, metrics | logged | prompt_statistics(params.get("pool", {}))

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

    def first_logits(self, params: Params, batch: Batch) -> jax.Array:
        """Logits `[B, V]` of the first response token, from the head."""
        chosen = self.model.apply({"params": params}, batch, method=Model.first)
        return choice_logits(chosen, batch, self.model.vocab)

    def response_logits(self, params: Params, batch: Batch, response: jax.Array) -> jax.Array:
        """Logits `[B, R, V]` of every token of given responses `[B, R]`."""
        batch = {key: value for key, value in batch.items() if key != "segment"} | {"response": response}
        return self.model.apply({"params": params}, batch, method=Model.said)

    def embed(self, params: Params, batch: Batch) -> dict[str, jax.Array]:
        """What retrieval compares: `image` and `text` float32 `[B, D]`, images and texts alone, each completed by prompts."""

        def alone(model: Model) -> dict[str, jax.Array]:
            image = model.encode(image=(batch["image"], batch["view_mask"]))
            text = model.encode(text=(batch["text"], batch["text_mask"]))
            return {"image": model.contrasted(image.pooled), "text": model.contrasted(text.pooled)}

        return self.model.apply({"params": params}, method=alone)

    def match(self, params: Params, batch: Batch) -> jax.Array:
        """Probability `[B]` that the text of each row belongs to its images."""

        def pair(model: Model) -> jax.Array:
            encoded = model.encode((batch["image"], batch["view_mask"]), (batch["text"], batch["text_mask"]))
            return model.matched(encoded.pooled)

        return jax.nn.softmax(self.model.apply({"params": params}, method=pair))[:, 1]


def prompt_statistics(pool: Mapping[str, jax.Array]) -> Metrics:
    """Mean length of a pool's prompts for each modality, and how far they are refined."""
    norms = {
        f"prompt_norm_{name}": jnp.linalg.norm(pool[f"{name}_values"], axis=-1).mean()
        for name in ("image", "text")
        if f"{name}_values" in pool
    }
    return norms | ({"prompt_refinement": pool["alpha"]} if "alpha" in pool else {})


def from_config(options: Mapping[str, Any], space: TokenSpace, image_size: int, views: int) -> UniDCP:
    """The system of a config's `system` part; `model` holds the module's fields, `prompts` those of the pool."""
    options = dict(options)
    sizes, prompts, weights = (dict(options.pop(name, {})) for name in ("model", "prompts", "weights"))
    if unknown := set(weights) - {*PAIRED, *TAUGHT}:
        raise UserError(f"system.weights: unknown term {min(unknown)!r}; known: {', '.join((*PAIRED, *TAUGHT))}")
    if "dtype" in sizes:
        sizes["dtype"] = jnp.dtype(sizes["dtype"])
    common = {name: sizes.get(name, getattr(Model, name)) for name in ("width", "heads", "dtype")}
    pool = configs.build(PromptPool, prompts, "system.prompts", parent=None, **common)
    pool.check()
    vocab = space.vocabulary
    fixed = {"vocab": vocab.size, "image_size": image_size, "views": views, "pool": pool}
    model = configs.build(Model, sizes, "system.model", **fixed)
    known = {"model": model, "weights": weights, "classes": len(vocab.classes), "word_starts": space.word_starts()}
    return configs.build(UniDCP, options, "system", **known)
