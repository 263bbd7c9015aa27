"""The evaluator of tasks that rank samples against each other."""

from typing import Any

import jax
import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.evaluation import retrieval
from unimedvlp.evaluation.evaluator import Evaluator
from unimedvlp.parallel.multihost import batch_share, global_batch
from unimedvlp.parallel.rules import activate, replicated
from unimedvlp.systems.base import RetrievalSystem
from unimedvlp.tasks.base import Samples

SHOWN = ("image", "view_mask", "text", "text_mask")


class RetrievalEvaluator(Evaluator):
    """As `Evaluator`; a prediction is {direction: rank} of `retrieval.ranked` among all samples that could be read."""

    def __post_init__(self):
        if not isinstance(self.system, RetrievalSystem):
            raise UserError(
                f"{type(self.system).__name__} cannot {self.task.name}: it embeds no images and texts alone"
            )
        everywhere = replicated(self.mesh)
        self._embed = jax.jit(self._embeddings, out_shardings=everywhere)
        self._match = jax.jit(self._matches, out_shardings=everywhere)

    def predict(self, params: Any) -> tuple[list[Any], Samples]:
        """Ranks, and the samples that they are of: all but those cut by a limit or set aside as unreadable."""
        rows: dict[int, Any] = {}
        for batch in self.batches():
            kept = {key: batch[key] for key in (*SHOWN, "index", "_mask")}
            outputs = jax.device_get(self._embed(params, global_batch(kept, self.mesh)))
            size = len(outputs["_mask"])
            for i in np.flatnonzero(outputs["_mask"]):
                rows[int(outputs["index"][i])] = jax.tree.map(lambda x, i=i: x[i], outputs["row"])
        if not rows:
            raise UserError(f"task {self.task.name}: not one sample could be read")
        places = sorted(rows)
        found = jax.tree.map(lambda *columns: np.stack(columns), *(rows[place] for place in places))
        scores = found["embeddings"]["image"] @ found["embeddings"]["text"].T
        samples, kinds = self.samples.take(places), {"": scores}
        if count := min(self.task.rerank, len(places)):
            kinds["matched/"] = (
                self._reranked(params, found["shown"], scores, count, size, ("image", "text")),
                self._reranked(params, found["shown"], scores.T, count, size, ("text", "image")).T,
            )
        return retrieval.ranked(kinds, samples.column("text")), samples

    def _reranked(self, params, shown, scores, count, size, sides) -> np.ndarray:
        """Scores [Q, G] with the first `count` items of each query in the order of their match, in batches of `size` pairs."""
        chosen = retrieval.candidates(scores, count)
        pairs = np.stack([np.repeat(np.arange(len(scores)), count), chosen.reshape(-1)])
        host, hosts = batch_share(self.mesh)
        parts = []
        for start in range(0, pairs.shape[1], size):
            picked = np.arange(start, start + size).clip(max=pairs.shape[1] - 1)[host::hosts]
            place = dict(zip(sides, pairs[:, picked], strict=True))
            batch = {key: shown[key][place["text" if key.startswith("text") else "image"]] for key in SHOWN}
            parts.append(jax.device_get(self._match(params, global_batch(batch, self.mesh))))
        matches = np.concatenate(parts)
        if hosts > 1:  # a global batch is the hosts' slices behind each other
            matches = matches.reshape(-1, hosts, size // hosts).swapaxes(1, 2)
        return retrieval.reranked(scores, chosen, matches.reshape(-1)[: pairs.shape[1]].reshape(chosen.shape))

    def _embeddings(self, params: Any, batch: dict[str, jax.Array]):
        with activate(self.mesh):
            row = {"embeddings": self.system.embed(params, batch), "shown": {key: batch[key] for key in SHOWN}}
            return {"row": row, "index": batch["index"], "_mask": batch["_mask"]}

    def _matches(self, params: Any, batch: dict[str, jax.Array]):
        with activate(self.mesh):
            return self.system.match(params, batch)
