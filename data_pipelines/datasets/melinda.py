"""MELINDA: which experimental method does a figure of a biomedical article show? (Wu et al. 2021).

Source: https://github.com/PlusLabNLP/melinda. Licence: that of the articles. Native layout: train.csv, dev.csv, test.csv with
`figure_file`, `caption` and four labels of growing fineness in two branches, `i_meth_label`, `i_meth` (interaction) and
`p_meth_label`, `p_meth` (participant); images in melinda_images/ or images/.

A record is one row: figure, caption, and the label of the column that `--level` names, as the one positive label and as
text label. A figure may have several rows (its parts); they are numbered.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder, option
from data_pipelines.native import attached, one_of, table, wrong_layout
from data_pipelines.protocols import Protocol, by_id_suffix
from data_pipelines.summary import SetAside
from unimedvlp.errors import UserError
from unimedvlp.records import POSITIVE, Record

LEVELS = ("i_meth", "p_meth", "i_meth_label", "p_meth_label")
FILES = {"train": "train.csv", "validation": "dev.csv", "test": "test.csv"}
IMAGES = ("melinda_images", "images")


@dataclasses.dataclass(frozen=True)
class Melinda(Builder):
    """MELINDA's three tables."""

    name, version, licence = "melinda", "1.0.0", "per article"
    protocols: ClassVar = {"official": Protocol(by_id_suffix, "the published train, dev and test tables")}

    level: str = option("i_meth", f"column of the label: {', '.join(LEVELS)}")

    def __post_init__(self):
        if self.level not in LEVELS:
            raise UserError(f"melinda: --level {self.level!r} is not one of {', '.join(LEVELS)}")

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record a row."""
        paths = {split: one_of(source, name) for split, name in FILES.items()}
        folders = [source / name for name in IMAGES if (source / name).is_dir()]
        if not folders:
            raise wrong_layout(source, " or ".join(f"{name}/" for name in IMAGES))
        for split, path in paths.items():
            parts: Counter[str] = Counter()
            for i, row in enumerate(table(path, ("figure_file", "caption", *LEVELS)), start=1):
                figure, label, where = row["figure_file"], row[self.level], f"{path.name} row {i}"
                parts[figure] += 1
                study_id = f"{Path(figure).stem[:80]}-{parts[figure]}/{split}"
                data, fault = attached(folders[0], figure)
                if fault or not label:
                    yield SetAside(study_id, fault or f"{self.level} is empty", where)
                    continue
                yield Record(
                    study_id=study_id,
                    images=(data,),
                    views=("unknown",),
                    caption=row["caption"],
                    labels={label: POSITIVE},
                    text_label=label,
                    source=f"melinda {where}",
                    licence=self.licence,
                )


BUILDER = Melinda
