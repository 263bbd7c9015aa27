"""ROCOv2: radiology figures of open-access articles with captions, the successor of ROCO (Rückert et al. 2024).

Source: https://zenodo.org/records/8333645. Licence: that of each article, in license_information.csv. Native layout:

    {train,valid,test}_captions.csv    ID,Caption
    license_information.csv            ID,PMCID,Attribution,Link (if there, each record carries its attribution)
    {train,valid,test}_images/{train,valid,test}/ID.jpg, or directly in {train,valid,test}_images/ or {train,valid,test}/

Tables named {train,validation,test}.csv with `image_id` and `caption`, as exported from the Hugging Face copy, are read too,
with the images in images/ or in folders named as above. A record is one figure.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import MISSING, image_index, one_of, table, wrong_layout
from data_pipelines.protocols import Protocol, by_id_suffix
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import Record

NAMES = {"train": ("train",), "validation": ("valid", "validation"), "test": ("test",)}
LICENCES = "license_information.csv"


class RocoV2(Builder):
    """ROCOv2's tables and images."""

    name, version, licence = "rocov2", "1.0.0", "per figure, see license_information.csv"
    protocols: ClassVar = {
        "official": Protocol(
            by_id_suffix, "the published split", expected={"train": 59962, "validation": 9904, "test": 9927}
        ),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record a figure."""
        tables = {split: one_of(source, *_tables(names)) for split, names in NAMES.items()}
        licences = {}
        if (source / LICENCES).is_file():
            licences = {row["ID"]: row["Attribution"] for row in table(source / LICENCES, ("ID", "Attribution"))}
        for split, path in tables.items():
            folders = [
                source / place for name in NAMES[split] for place in (f"{name}_images/{name}", f"{name}_images", name)
            ]
            files = image_index([*folders, source / "images"])
            if not files:
                raise wrong_layout(source, f"images in {NAMES[split][0]}_images/{NAMES[split][0]}/")
            columns = ("ID", "Caption") if "_captions" in path.name else ("image_id", "caption")
            for i, row in enumerate(table(path, columns, absent=("nan",)), start=1):
                figure, caption = (row[column] for column in columns)
                where = f"{path.name} row {i}"
                if not figure or not caption:
                    yield SetAside(figure, "no caption" if figure else "no id", where)
                elif figure not in files:
                    yield SetAside(f"{figure[:40]}/{split}", MISSING, where)
                else:
                    licence = licences.get(figure, "") or self.licence
                    yield partial(self._record, f"{figure}/{split}", files[figure], caption, where, licence)

    def _record(self, study_id: str, path: Path, caption: str, where: str, licence: str) -> Record:
        return Record(
            study_id=study_id,
            images=(path.read_bytes(),),
            views=("unknown",),
            caption=caption,
            source=f"rocov2 {where}",
            licence=licence,
        )


def _tables(names: tuple[str, ...]) -> list[str]:
    return [f"{name}_captions.csv" for name in names] + [f"{name}.csv" for name in names]


BUILDER = RocoV2
