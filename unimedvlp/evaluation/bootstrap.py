"""Bootstrap intervals for any metric that is a function of how often each sample was drawn.

Drawing N samples with replacement is the same as giving every sample a count, so a metric that accepts weights [R, N]
is evaluated on R resamples at once: a mean is a weighted mean, a corpus metric (BLEU, F1) is a function of weighted
sums of per-sample statistics, a rank metric (AUROC) uses weighted ranks. Intervals are percentiles (Efron & Tibshirani,
1993, ch. 13).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from unimedvlp.errors import UserError

CHUNK = 4_000_000  # weights held in memory at once


@dataclass(frozen=True)
class Value:
    """A number, its 95 % interval (nan where undefined) and the number of samples that it rests on."""

    value: float
    low: float
    high: float
    count: int

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        return f"{self.text()} (n={self.count})"

    @property
    def exact(self) -> bool:
        """Whether it is a count: a whole number above 1 without an interval."""
        return self.low == self.high == self.value > 1 and float(self.value).is_integer()

    def text(self, between: str = " ") -> str:
        """The number and behind it its interval, if it has one."""
        if self.exact:
            return f"{self.value:,.0f}"
        return f"{self.value:.3f}{between}[{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Metric:
    """One or more named scores of the same `count` samples.

    score: weights float64 [R, N] (how often each sample was drawn) -> {name: float64 [R]}.
    counts: samples behind a name where these are fewer than `count` (a mean over open questions only, say).
    groups: int [N], the patient, study or image of each sample; resampling then draws groups, not samples.
    """

    count: int
    score: Callable[[np.ndarray], dict[str, np.ndarray]]
    counts: Mapping[str, int] = field(default_factory=dict)
    groups: np.ndarray | None = None

    def point(self) -> dict[str, float]:
        """The scores on the samples as they are."""
        return {name: float(value[0]) for name, value in self.score(np.ones((1, self.count))).items()}

    def resampled(self, resamples: int = 1000, seed: int = 0) -> dict[str, np.ndarray]:
        """{name: [resamples]}. Two metrics of the same samples and groups see the same resamples under one seed."""
        return _resampled(self, resamples, seed)

    def values(self, resamples: int = 1000, seed: int = 0, level: float = 0.95) -> dict[str, Value]:
        """Point estimates with percentile intervals."""
        return self._summarise(self.point(), self.resampled(resamples, seed), level)

    def difference(
        self, other: "Metric", resamples: int = 1000, seed: int = 0, level: float = 0.95
    ) -> dict[str, Value]:
        """This system minus `other`, paired: both are scored on the same resamples of the same samples."""
        if self.count != other.count:
            raise UserError(f"a paired difference needs the same samples: {self.count} against {other.count}")
        mine, theirs = self.point(), other.point()
        drawn, against = self.resampled(resamples, seed), _resampled(other, resamples, seed, self.groups)
        shared = [name for name in mine if name in theirs]
        return self._summarise(
            {name: mine[name] - theirs[name] for name in shared}, {n: drawn[n] - against[n] for n in shared}, level
        )

    def _summarise(self, point, drawn, level) -> dict[str, Value]:
        return {
            name: Value(point[name], *_percentiles(drawn[name], level), self.counts.get(name, self.count))
            for name in point
        }


def means(values: Mapping[str, np.ndarray], groups: np.ndarray | None = None) -> Metric:
    """Means of per-sample values, {name: float [N]}; nan means that the sample does not count for this name."""
    columns = {name: np.asarray(column, np.float64) for name, column in values.items()}
    count = _one_length(columns)
    known = {name: ~np.isnan(column) for name, column in columns.items()}

    def score(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name: ratio(weights @ np.where(known[name], column, 0.0), weights @ known[name].astype(np.float64))
            for name, column in columns.items()
        }

    return Metric(count, score, {name: int(mask.sum()) for name, mask in known.items()}, groups)


def totals(
    statistics: np.ndarray, score: Callable[[np.ndarray], dict[str, np.ndarray]], groups: np.ndarray | None = None
) -> Metric:
    """A corpus metric of summed statistics. statistics [N, S] a sample; score: sums [R, S] -> {name: [R]}."""
    statistics = np.asarray(statistics, np.float64)
    if statistics.ndim != 2 or not len(statistics):
        raise UserError(f"statistics must be [N, S] with N > 0, not {statistics.shape}")
    return Metric(len(statistics), lambda weights: score(weights @ statistics), groups=groups)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, nan where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def _resampled(metric: Metric, resamples: int, seed: int, groups: np.ndarray | None = None) -> dict[str, np.ndarray]:
    groups = metric.groups if groups is None else groups
    members = np.arange(metric.count) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    if len(members) != metric.count:
        raise UserError(f"groups name {len(members)} samples, the metric has {metric.count}")
    units = int(members.max()) + 1
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // metric.count)
    parts = []
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(0, units, (size, units)) + np.arange(size)[:, None] * units
        weights = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units).astype(np.float64)
        parts.append(metric.score(weights[:, members]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _percentiles(drawn: np.ndarray, level: float) -> tuple[float, float]:
    """Percentile interval; undefined resamples (a class that was not drawn) are left out."""
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _one_length(columns: Mapping[str, np.ndarray]) -> int:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1 or not max(lengths):
        raise UserError(f"every column needs the same number of samples, above 0; got lengths {sorted(lengths)}")
    return lengths.pop()
