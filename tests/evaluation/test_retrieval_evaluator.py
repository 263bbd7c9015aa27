"""The retrieval evaluator: a system that knows the pairs finds them, on cosines alone and after matching."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp import tasks
from unimedvlp.errors import UserError
from unimedvlp.evaluation.retrieval_evaluator import RetrievalEvaluator
from unimedvlp.models.generate import Greedy
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.tasks.base import Reference, Samples

COUNT, SIZE = 10, 4


@dataclasses.dataclass(frozen=True)
class Knowing:
    """Image i is a picture of grey i and its text the token i. Embeddings are blind beyond pairs of neighbours; matching is not."""

    def embed(self, params, batch):
        image, text = (jax.nn.one_hot(x // 2, COUNT) for x in self._numbers(batch))
        return {"image": image, "text": text}

    def match(self, params, batch):
        image, text = self._numbers(batch)
        return jnp.where(image == text, 0.9, 0.1)

    def _numbers(self, batch):
        return batch["image"][:, 0, 0, 0, 0].astype(jnp.int32), batch["text"][:, 0]


def batches():
    for start in range(0, COUNT, SIZE):
        index = np.minimum(np.arange(start, start + SIZE), COUNT - 1)
        yield {
            "image": np.tile(index[:, None, None, None, None], (1, 1, 2, 2, 1)).astype(np.uint8),
            "view_mask": np.ones((SIZE, 1), bool),
            "text": index[:, None].astype(np.int32),
            "text_mask": np.ones((SIZE, 1), bool),
            "index": index.astype(np.int64),
            "_mask": np.arange(start, start + SIZE) < COUNT,
        }


def evaluator(system, rerank):
    task = tasks.build({"name": "retrieve", "rerank": rerank})
    samples = Samples([{"text": f"text {i}"} for i in range(COUNT)], np.arange(COUNT), lambda: None)
    mesh = make_mesh({"data": 1}, jax.devices()[:1])
    return RetrievalEvaluator(system, task, None, samples, batches, Reference(samples), mesh, 1, Greedy())


def test_neighbours_tie_until_they_are_matched():
    predictions, samples = evaluator(Knowing(), rerank=2).predict({})
    assert len(samples.truths) == COUNT
    assert {p["image_to_text"] for p in predictions} == {2} == {p["text_to_image"] for p in predictions}
    assert {p["matched/image_to_text"] for p in predictions} == {1} == {p["matched/text_to_image"] for p in predictions}
    values = dict(evaluator(Knowing(), rerank=0).run({}))
    assert values["image_to_text_r1"].value == 0 and values["text_to_image_r5"].value == 1
    assert not any(name.startswith("matched") for name in values)


def test_a_system_that_embeds_nothing_is_refused():
    with pytest.raises(UserError, match="object cannot retrieve: it embeds no images and texts alone"):
        evaluator(object(), rerank=0)
