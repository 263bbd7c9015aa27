"""What training, evaluation and prediction ask of a system, and how a config names one."""

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax

from unimedvlp.errors import UserError
from unimedvlp.models.generate import Grammar, Method
from unimedvlp.tokens.space import TokenSpace

Params = Mapping[str, Any]
Batch = Mapping[str, jax.Array]
Metrics = dict[str, jax.Array]


class System(Protocol):
    """A paper's method: pure functions of (params, batch, rng). What it cannot do raises a `UserError` that says so."""

    def init(self, rng: jax.Array, batch: Batch) -> Params:
        """Parameters, boxed with their logical axis names."""

    def loss(self, params: Params, batch: Batch, rng: jax.Array, *, train: bool) -> tuple[jax.Array, Metrics]:
        """All passes and objectives: a float32 scalar, and every term by name.

        A system with running statistics keeps them as `params["statistics"]` and returns the new ones under "statistics".
        """

    def generate(
        self,
        params: Params,
        batch: Batch,
        rng: jax.Array,
        method: Method,
        length: int,
        allowed: Grammar | None = None,
    ) -> jax.Array:
        """Response ids `[B, length]` for the prompts of a batch, such as the grammar `allowed` lets through.

        `batch["guide"]`, where there is one, is a `models.guidance.Guide` to be passed on.
        """

    def first_logits(self, params: Params, batch: Batch) -> jax.Array:
        """Logits `[B, V]` of the first response token, float32: scores for tasks that choose among single tokens."""

    def response_logits(self, params: Params, batch: Batch, response: jax.Array) -> jax.Array:
        """Logits `[B, R, V]` of every token of given responses `[B, R]`, float32: how sure a system is of what it wrote."""


class Regions(NamedTuple):
    """What Q queries find in an image, asked for C names: boxes `[B, Q, 4]` (ymin xmin ymax xmax in 0..1), scores
    `[B, Q, C]` and masks `[B, Q, h, w]`, both probabilities; `image` `[B, C]` is how likely a name says something true of the
    whole image. float32; None for what a system does not predict."""

    boxes: jax.Array
    scores: jax.Array
    masks: jax.Array | None = None
    image: jax.Array | None = None


@runtime_checkable
class RegionSystem(Protocol):
    """A system that also finds objects without writing them: evaluators give its regions a row beside its responses."""

    def regions(self, params: Params, batch: Batch, names: jax.Array, names_mask: jax.Array) -> Regions:
        """Regions of the batch's images for class names, given as text tokens and their mask `[C, L]`: any names may be asked."""


@runtime_checkable
class NamingSystem(Protocol):
    """A system that can say outright which classes an image shows, before it writes: what planned reports need."""

    def class_logits(self, params: Params, batch: Batch) -> jax.Array:
        """Logits `[B, V]` of every class token being named by the response, float32; other tokens' places mean nothing."""


@runtime_checkable
class RetrievalSystem(Protocol):
    """A system that compares images with texts, what retrieval needs."""

    def embed(self, params: Params, batch: Batch) -> dict[str, jax.Array]:
        """`image` and `text`, float32 `[B, D]` of unit length: the images of each row alone and its text alone."""

    def match(self, params: Params, batch: Batch) -> jax.Array:
        """Probability `[B]` that the text of each row belongs to its images, both seen together."""


def names() -> list[str]:
    """Names of all systems: the modules of this package."""
    import unimedvlp.systems as package

    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "base")


def build(config: Mapping[str, Any], space: TokenSpace, image_size: int, views: int) -> System:
    """The system that a config names; its other keys are the system's fields."""
    options = dict(config)
    name = options.pop("name", "")
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        raise UserError(f"unknown system {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {names()}"))
    module = importlib.import_module(f"unimedvlp.systems.{name}")
    return module.from_config(options, space, image_size, views)
