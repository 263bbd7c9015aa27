"""Split protocols: named rules that say of each record which split it belongs to.

A protocol is what makes two numbers comparable, so it has a name, a rule and the counts that it should give.
Splits are train, validation and test; a rule answers None for a record that is no part of the protocol.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from unimedvlp.errors import UserError
from unimedvlp.records import Record

SPLITS = ("train", "validation", "test")
Rule = Callable[[Record], str | None]
Lists = Mapping[str, Iterable[str]]  # split -> study ids


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A rule with its story. `leaks` says why patients may be on both sides, where the published split has it so.

    Where the split depends on the native files (an owner's lists, a draw from all ids), `rule` is None and `lists` reads it
    from the source folder. `fraction` keeps so much of the training patients, drawn by a hash of `seed` and the id: those
    of a smaller fraction are among those of a larger one.
    """

    rule: Rule | None
    about: str
    expected: Mapping[str, int] = dataclasses.field(default_factory=dict)  # a split, from the full data set
    counted: str = "records"  # what `expected` counts: records or questions
    leaks: str = ""
    lists: Callable[[Path], Lists] | None = None
    fraction: float = 1.0
    seed: int = 0

    def bind(self, source: Path) -> Rule:
        """The rule for the native files in `source`."""
        rule = self.rule or by_lists(self.lists(source), str(source))
        if self.fraction == 1:
            return rule

        def fewer(record: Record) -> str | None:
            split = rule(record)
            left_out = share(f"fraction of {record.patient}", self.seed) >= self.fraction
            return None if split == "train" and left_out else split

        return fewer


def label_fractions(name: str, protocol: Protocol, seeds: Iterable[int] = (0, 1, 2)) -> dict[str, Protocol]:
    """A protocol as NAME, and with 10 % and 1 % of its training patients as NAME-10pct, NAME-1pct, NAME-10pct-seed1, ..."""
    found = {name: protocol}
    for seed in seeds:
        for percent in (10, 1):
            found[f"{name}-{percent}pct" + (f"-seed{seed}" if seed else "")] = dataclasses.replace(
                protocol,
                about=f"{protocol.about}; {percent} % of the training patients, seed {seed}",
                expected={split: n for split, n in protocol.expected.items() if split != "train"},
                fraction=percent / 100,
                seed=seed,
            )
    return found


def share(key: str, seed: int = 0) -> float:
    """A number in [0, 1) that depends on the seed and the key alone, the same on every machine."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def by_patient(seed: int = 0, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)) -> Rule:
    """Every patient to one split by a hash of the id; adding patients moves none of the others."""
    train, validation, _ = fractions

    def rule(record: Record) -> str:
        place = share(record.patient, seed)
        return "train" if place < train else "validation" if place < train + validation else "test"

    return rule


def by_id_suffix(record: Record) -> str:
    """The split that the builder wrote behind the last slash of `study_id`."""
    return record.study_id.rpartition("/")[2]


def by_ids(name: str) -> Rule:
    """The published lists in `protocols/NAME.json`: {"checksum": sha256, "splits": {split: [study ids]}}.

    Raises UserError if the file does not match its checksum or one study is in two lists.
    """
    path = Path(__file__).with_name(f"{name}.json")
    content = json.loads(path.read_text())
    splits = content["splits"]
    if (found := checksum(splits)) != content["checksum"]:
        raise UserError(f"{path}: the lists give checksum {found[:12]}, the file says {content['checksum'][:12]}")
    return by_lists(splits, str(path))


def by_lists(splits: Lists, where: str) -> Rule:
    """Splits by study id; UserError naming `where` if one study is in two lists."""
    place: dict[str, str] = {}
    for split, ids in splits.items():
        for study in ids:
            if place.setdefault(study, split) != split:
                raise UserError(f"{where}: study {study} is in both {place[study]} and {split}")
    return lambda record: place.get(record.study_id)


def checksum(splits: Lists) -> str:
    """SHA-256 over "split<TAB>id" lines, sorted: equal for equal splits, whatever the order of the records."""
    lines = sorted(f"{split}\t{study}" for split, ids in splits.items() for study in ids)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
