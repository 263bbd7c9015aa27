"""What is wrong with a prepared data set: problems of one kind, field and split are counted together, with a few examples."""

import dataclasses

LEVELS = ("error", "warning", "note")  # errors make a set unfit for use; notes are counts worth knowing
EXAMPLES = 5


@dataclasses.dataclass
class Problem:
    """So many times `message` in `field` of `split`; `examples` are the first places, as "study: what is there"."""

    level: str
    message: str
    split: str = ""
    field: str = ""
    count: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)


class Problems:
    """Collects problems; iterates from the worst to the mildest, in the order in which they were met."""

    def __init__(self):
        self._found: dict[tuple[str, str, str, str], Problem] = {}

    def add(
        self, level: str, message: str, split: str = "", field: str = "", where: str | list[str] = "", count: int = 1
    ) -> None:
        """Count a problem; the message is the same for all problems of one kind, `where` (one place or some) tells them apart."""
        problem = self._found.setdefault((level, message, split, field), Problem(level, message, split, field))
        problem.count += count
        places = [where] if isinstance(where, str) else where
        problem.examples += [place for place in places if place][: EXAMPLES - len(problem.examples)]

    def sorted(self) -> list[Problem]:
        """All problems, errors first."""
        return sorted(self._found.values(), key=lambda problem: LEVELS.index(problem.level))


def by_kind(problems: list[Problem]) -> list[tuple[Problem, dict[str, int]]]:
    """The same problem in several splits as one, with its count in each split; the examples are those of the first ones."""
    kinds: dict[tuple[str, str, str], tuple[Problem, dict[str, int]]] = {}
    for problem in problems:
        new = Problem(problem.level, problem.message, "", problem.field)
        kind, counts = kinds.setdefault((problem.level, problem.message, problem.field), (new, {}))
        kind.count += problem.count
        kind.examples += problem.examples[: EXAMPLES - len(kind.examples)]
        if problem.split:
            counts[problem.split] = problem.count
    return list(kinds.values())
