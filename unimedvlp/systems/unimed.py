"""UniMed: classification, detection and segmentation from one model with two coupled decoders (Wang et al., 2024).

The paper (arXiv 2409.19890) says: a decomposed decoder predicts two output types, pixel and semantic, from a defined input queue; a
composed decoder unifies input and output spaces, annotations of all levels being one discrete token format; both are coupled, so
that tasks can be combined; labelled and unlabelled images are learned from together in one stage, by an unsupervised loss. No
equation, size or weight of it could be had: all of these are our reconstruction, see docs/systems/unimed.md.

One step: every image through the encoder; class names through the text encoder; the decomposed decoder and its set criterion; image
labels; the composed decoder and its token loss; agreement of both decoders on boxes; the unsupervised loss. What an image is not
annotated with, it teaches nothing of: labelled and unlabelled images share every batch.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unimedvlp import boxes
from unimedvlp import config as configs
from unimedvlp.errors import UserError
from unimedvlp.models.backbone import Backbone
from unimedvlp.models.conv_pyramid import ConvPyramid
from unimedvlp.models.coupled import Coupled
from unimedvlp.models.generate import Grammar, Method, respond
from unimedvlp.models.query_heads import logit
from unimedvlp.models.swin import Swin
from unimedvlp.models.vit_pyramid import ViTPyramid
from unimedvlp.objectives import consistency, perturb
from unimedvlp.objectives.contrast import info_nce, unit
from unimedvlp.objectives.coupling import box_places, coupling_loss
from unimedvlp.objectives.detection import WEIGHTS as SET_WEIGHTS
from unimedvlp.objectives.detection import set_criterion
from unimedvlp.objectives.labels import finding_loss
from unimedvlp.objectives.masked import masked_pixel_loss, random_blocks
from unimedvlp.objectives.tokens import token_loss, weigh
from unimedvlp.parallel.operations import pick
from unimedvlp.systems.base import Batch, Metrics, Params, Regions
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import COORDINATE_BINS, COORDINATE_START

BACKBONES = {"swin": Swin, "vit": ViTPyramid, "conv": ConvPyramid}
UNSUPERVISED = ("masked_image", "consistency", "contrast", "none")
WEIGHTS = SET_WEIGHTS | {
    "proposals": 1.0, "labels": 2.0, "tokens": 2.0, "coupling": 0.5, "masked_image": 1.0, "consistency": 1.0, "contrast": 1.0,
}  # fmt: skip
Terms = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class UniMed:
    """Pure functions over the model. `names` and `names_mask` [C + 1, L] are the class names' tokens, the last for "nothing";
    `labels` [G] are the places of the image labels among them.

    `unsupervised` is one of `UNSUPERVISED`; `hidden` the share of blocks that masked image modelling hides; `decay` that of the
    averaged teacher. `supervised` False leaves only the unsupervised loss: the first of two stages. `points` are sampled per
    mask; `copies` is how many of the proposals each object teaches, as far as there are so many (Jia et al., 2023). `weights`
    replace those of `WEIGHTS`, in the losses and in the costs of matching.
    """

    model: Coupled
    names: np.ndarray
    names_mask: np.ndarray
    labels: np.ndarray
    unsupervised: str = "masked_image"
    supervised: bool = True
    hidden: float = 0.6
    decay: float = 0.999
    points: int = 12544
    copies: int = 4
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.unsupervised not in UNSUPERVISED:
            raise UserError(f"system.unsupervised {self.unsupervised!r} is unknown: use one of {UNSUPERVISED}")
        if unknown := set(self.weights) - set(WEIGHTS):
            raise UserError(f"system.weights: unknown terms {sorted(unknown)}; known: {', '.join(WEIGHTS)}")
        if not self.supervised and self.unsupervised == "none":
            raise UserError("system: supervised is off and unsupervised is 'none', nothing is left to learn")

    def init(self, rng: jax.Array, batch: Batch) -> Params:
        """Parameters, boxed with their logical axis names; an averaged teacher lies under "statistics"."""

        def everything(model: Coupled):
            image = normalise(batch["image"])
            if self.unsupervised == "masked_image":
                model.restore(image, jnp.zeros((image.shape[0], *grid_of(image)), bool))
            decoded, seen, names = self._look(model, image)
            if model.decomposed:
                model.label_logits(decoded, names)
            if model.composed:
                model.respond(batch, batch["response"], model.recall(seen, decoded))

        params = self.model.init(rng, method=everything)["params"]
        if self.unsupervised == "consistency":
            params = {**params, "statistics": {"teacher": params}}
        return params

    def loss(self, params: Params, batch: Batch, rng: jax.Array, *, train: bool) -> tuple[jax.Array, Metrics]:
        """All terms of one step, weighed; their names are those of `WEIGHTS`."""
        criterion, blocks, dropout, changes = jax.random.split(rng, 4)
        terms, metrics = {}, {}
        if self.supervised:
            found, more = self._supervised(params, batch, criterion, dropout, train)
            terms, metrics = terms | found, metrics | more
        if self.unsupervised == "masked_image":
            terms["masked_image"] = self._masked_image(params, batch, blocks)
        elif self.unsupervised == "consistency":
            terms["consistency"], metrics["statistics"] = self._consistency(params, batch, changes)
        elif self.unsupervised == "contrast":
            terms["contrast"] = self._contrast(params, batch, changes)
        total, logged = weigh(terms, {name: self._weights[name] for name in terms})
        return total, metrics | logged

    def _supervised(self, params, batch, criterion, dropout, train) -> tuple[Terms, Metrics]:
        def forward(model: Coupled):
            decoded, seen, names = self._look(model, normalise(batch["image"]), not train)
            said = model.label_logits(decoded, names[self.labels]) if decoded is not None and len(self.labels) else None
            logits = None
            if model.composed:
                memory = model.recall(seen, decoded)
                logits = model.respond(batch, batch["response"], memory, not train)
            return decoded, said, logits

        decoded, said, logits = self._apply(params, forward, rngs={"dropout": dropout})
        terms, metrics = {}, {}
        if decoded is not None:
            first, second = jax.random.split(criterion)
            targets = targets_of(batch)
            latent = in_corners(decoded.latent)
            found, matched = set_criterion(latent, targets, first, points=self.points, weights=self._weights)
            terms |= found
            if decoded.proposals is not None:
                slots, objects = decoded.proposals["box"].shape[2], targets["object_mask"].shape[1]
                times = max(1, min(self.copies, slots // objects))
                several = {name: copied(x, times) for name, x in targets.items() if name in _PROPOSED}
                found, _ = set_criterion(
                    in_corners(decoded.proposals), targets | several, second, weights=self._weights
                )
                terms["proposals"] = sum(self._weights[name] * value for name, value in found.items())
            if said is not None:
                terms["labels"], metrics = finding_loss(said, batch["labels"])
        if logits is not None:
            terms["tokens"], more = token_loss(logits, batch["target"], batch["response_weight"])
            metrics |= more
        if decoded is not None and logits is not None:
            terms["coupling"] = agreement(logits, latent["box"][-1], matched[-1], batch)
        return terms, metrics

    def _masked_image(self, params, batch, rng) -> jax.Array:
        image = normalise(batch["image"])
        hidden = random_blocks(rng, image.shape[0], grid_of(image), 1, self.hidden)
        return masked_pixel_loss(self._apply(params, lambda model: model.restore(image, hidden)), image, hidden)

    def _consistency(self, params, batch, rng) -> tuple[jax.Array, Params]:
        """Agreement with an averaged teacher on a changed image, over images that nobody has annotated.

        Compared are the map and the likelihood of every class, which do not depend on the order of the queries.
        """
        image = normalise(batch["image"])
        teacher = params["statistics"]["teacher"]

        def say(which: Params, look: jax.Array) -> tuple[jax.Array, jax.Array]:
            def forward(model: Coupled):
                decoded, _, names = self._look(model, look)
                return semantic_map(decoded.latent), model.label_logits(decoded, names[:-1])

            return self._apply(which, forward)

        sure, unsure = say(teacher, image), say(params, perturb.strong(rng, image))
        maps, classes = (  # a logit of 0 is nowhere confident
            jnp.where(~batch["annotated"].reshape(-1, *(1,) * (x.ndim - 1)), x, 0) for x in sure
        )
        loss = consistency.mask_consistency(unsure[0], maps) + consistency.class_consistency(unsure[1], classes)
        student = {name: value for name, value in params.items() if name != "statistics"}
        average = jax.tree.map(lambda a, b: self.decay * a + (1 - self.decay) * b, teacher, student)
        return loss, {"teacher": jax.lax.stop_gradient(average)}

    def _contrast(self, params, batch, rng) -> jax.Array:
        """Two changed parts of an image are more alike than parts of two images (SimCLR, Chen et al., 2020)."""
        image, keys = normalise(batch["image"]), jax.random.split(rng, 4)
        looks = [perturb.strong(keys[i], perturb.zoomed(keys[i + 2], image)) for i in range(2)]
        first, second = (
            unit(self._apply(params, lambda model, look=look: self._look(model, look)[0]).image) for look in looks
        )
        return info_nce(first, second, jnp.float32(10.0))[0]

    def generate(
        self,
        params: Params,
        batch: Batch,
        rng: jax.Array,
        method: Method,
        length: int,
        allowed: Grammar | None = None,
    ) -> jax.Array:
        """Response ids `[B, length]` of the composed decoder."""
        self._needs("composed")
        memory = self._apply(params, lambda model: self._recall(model, batch))
        start = lambda length: self._apply(params, lambda model: model.start(memory, length))  # noqa: E731
        extend = functools.partial(self.model.apply, {"params": _plain(params)}, method=Coupled.extend)
        return respond(start, extend, batch, rng, method, length, allowed)

    def first_logits(self, params: Params, batch: Batch) -> jax.Array:
        """Logits `[B, V]` of the first response token of the composed decoder."""
        return self.response_logits(params, batch, jnp.zeros((batch["prompt"].shape[0], 1), jnp.int32))[:, 0]

    def response_logits(self, params: Params, batch: Batch, response: jax.Array) -> jax.Array:
        """Logits `[B, R, V]` of every token of given responses `[B, R]`."""
        self._needs("composed")
        batch = {key: value for key, value in batch.items() if key != "segment"} | {"response": response}
        return self._apply(params, lambda model: model.respond(batch, response, self._recall(model, batch)))

    def regions(self, params: Params, batch: Batch, names: jax.Array, names_mask: jax.Array) -> Regions:
        """What the decomposed decoder finds for any names, given as text tokens and their mask `[C, L]`; see `Regions`."""
        self._needs("decomposed")

        def ask(model: Coupled) -> Regions:
            asked = with_nothing(names, self.names[-1]), with_nothing(names_mask, self.names_mask[-1])
            vectors = model.name_vectors(*asked)
            decoded = model.decompose(model.look(normalise(batch["image"])), vectors)
            last = {name: value[-1] for name, value in in_corners(decoded.latent).items()}
            scores = jax.nn.softmax(last["class"])[..., :-1]
            image = jax.nn.sigmoid(model.label_logits(decoded, vectors[:-1]))
            size = (*last["mask"].shape[:2], *batch["image"].shape[2:4])
            masks = jax.nn.sigmoid(jax.image.resize(last["mask"], size, "bilinear"))
            return Regions(last["box"], scores, masks, image)

        return self._apply(params, ask)

    def _look(self, model: Coupled, image: jax.Array, deterministic: bool = True):
        """Decomposed outputs (None without that decoder), what the pixel decoder saw, and class names."""
        seen = model.look(image, deterministic=deterministic)
        if not model.decomposed:
            return None, seen, None
        names = model.name_vectors(jnp.asarray(self.names), jnp.asarray(self.names_mask))
        return model.decompose(seen, names), seen, names

    def _recall(self, model: Coupled, batch: Batch):
        decoded, seen, _ = self._look(model, normalise(batch["image"]))
        return model.recall(seen, decoded)

    def _apply(self, params: Params, method, **kwargs):
        return self.model.apply({"params": _plain(params)}, method=method, **kwargs)

    @property
    def _weights(self) -> Mapping[str, float]:
        return WEIGHTS | dict(self.weights)

    def _needs(self, decoder: str) -> None:
        if not getattr(self.model, decoder):
            raise UserError(f"this model was trained without the {decoder} decoder (system.model.{decoder}=False)")


_PROPOSED = ("class", "box", "object_mask")


def normalise(image: jax.Array) -> jax.Array:
    """The first view of uint8 `[B, V, H, W, C]` as float32 `[B, H, W, C]`, about -1..1."""
    return image[:, 0].astype(jnp.float32) / 127.5 - 1


def grid_of(image: jax.Array) -> tuple[int, int]:
    """Rows and columns of blocks of 32 pixels of an image `[B, H, W, C]`."""
    return image.shape[1] // 32, image.shape[2] // 32


def targets_of(batch: Batch) -> dict[str, jax.Array]:
    """The annotations of a batch under the names of `set_criterion`."""
    given = {"class": "classes", "box": "boxes", "mask": "masks"}
    kept = {name: batch[name] for name in ("object_mask", "has_mask", "annotated")}
    return kept | {name: batch[key] for name, key in given.items()}


def with_nothing(names: jax.Array, nothing: np.ndarray) -> jax.Array:
    """Rows of tokens (or their mask) `[C, L]` with the row "nothing" `[M]` behind them: `[C + 1, max(L, M)]`."""
    length = max(names.shape[1], len(nothing))
    rows = [jnp.pad(x, ((0, 0), (0, length - x.shape[1]))) for x in (jnp.asarray(names), jnp.asarray(nothing)[None])]
    return jnp.concatenate(rows)


def copied(x: jax.Array, times: int) -> jax.Array:
    """Objects `[B, K, ...]` several times: `[B, times * K, ...]`."""
    return jnp.tile(x, (1, times, *(1,) * (x.ndim - 2)))


def semantic_map(outputs: Mapping[str, jax.Array]) -> jax.Array:
    """Log odds `[B, C, h, w]` of every class but the last at every place, from the last layer: queries' masks, each weighed by
    its class probability (X-Decoder)."""
    weight = jax.nn.softmax(outputs["class"][-1])[..., :-1]
    return logit(jnp.einsum("bqc,bqhw->bchw", weight, jax.nn.sigmoid(outputs["mask"][-1])))


def in_corners(outputs: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Outputs of the decomposed decoder with boxes as corners."""
    return {**outputs, "box": boxes.to_corners(outputs["box"])}


def agreement(logits: jax.Array, predicted: jax.Array, matched: jax.Array, batch: Batch) -> jax.Array:
    """Coupling loss between the boxes `[B, Q, 4]` of matched queries `[B, K]` and the coordinate tokens of the same objects.

    Objects whose box is not in the response do not count.
    """
    places, there = box_places(batch["target"], batch["boxes"], batch["object_mask"], COORDINATE_START, COORDINATE_BINS)
    at = (places[..., None] + jnp.arange(4)).reshape(places.shape[0], -1)
    coordinates = logits[..., COORDINATE_START : COORDINATE_START + COORDINATE_BINS]
    coordinates = pick(coordinates, at).reshape(*places.shape, 4, COORDINATE_BINS)
    own = pick(predicted, matched)
    return coupling_loss(coordinates, own, there)


def _plain(params: Params) -> Params:
    return {name: value for name, value in params.items() if name != "statistics"}


def from_config(options: Mapping[str, Any], space: TokenSpace, image_size: int, views: int) -> UniMed:
    """The system of a config's `system` part; `model` holds the module's fields, `labels` names of image labels, in the order
    of `data.spec.labels`."""
    options = dict(options)
    if views != 1:
        raise UserError(f"data.spec.views is {views}: unimed looks at one image of a study, set it to 1")
    sizes = dict(options.pop("model", {}))
    if "dtype" in sizes:
        sizes["dtype"] = jnp.dtype(sizes["dtype"])
    encoder = build_backbone(sizes.pop("backbone", {}), sizes.get("dtype", jnp.float32))
    model = configs.build(
        Coupled,
        sizes,
        "system.model",
        vocab=space.vocabulary.size,
        coordinates=(COORDINATE_START, COORDINATE_BINS),
        encoder=encoder,
    )
    classes = space.vocabulary.classes
    names, mask = space.encode_names([*classes, "nothing"])
    labels = [classes.index(name) for name in options.pop("labels", ()) if space.vocabulary.class_id(name)]
    fixed = {"model": model, "names": names, "names_mask": mask, "labels": np.array(labels, int)}
    options["weights"] = dict(options.get("weights", {}))
    return configs.build(UniMed, options, "system", **fixed)


def build_backbone(options: Mapping[str, Any], dtype: Any) -> Backbone:
    """The backbone that `name` in `options` names; the other keys are its fields. UserError for an unknown name or field."""
    options = dict(options)
    name = options.pop("name", "")
    if name not in BACKBONES:
        raise UserError(f"system.model.backbone.name {name!r} is unknown: use one of {tuple(BACKBONES)}")
    return configs.build(BACKBONES[name], options, "system.model.backbone", dtype=dtype, parent=None)
