"""ROCO: figures of open-access articles with their captions (Pelka et al. 2018).

Source: https://github.com/razorx89/roco-dataset, which ships captions and links; its script fetches the images, of which
more go missing every year. Licence: that of each article, in licences.txt. Native layout:

    data/{train,validation or val,test}/{radiology,non-radiology}/captions.txt     ROCO_00001<TAB>caption
                                                                  licences.txt     ROCO_ID,PMC_ID,CC
                                                                  images/ROCO_00001.jpg

A record is one figure; its patient is the article. Figures whose image is missing are counted and listed.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import attached, numbered_lines, plain, table, wrong_layout
from data_pipelines.protocols import Protocol, by_id_suffix
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import Record

FOLDERS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}
KINDS = ("radiology", "non-radiology")
LEAKS = "the split is by figure: figures of one article are on both sides"


class Roco(Builder):
    """ROCO as its fetching script leaves it."""

    name, version, licence = "roco", "1.0.0", "per figure, see licences.txt"
    protocols: ClassVar = {
        "radiology": Protocol(by_id_suffix, "published split of the radiology figures", leaks=LEAKS),
        "all": Protocol(by_id_suffix, "published split of all figures, radiology or not", leaks=LEAKS),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record a figure."""
        root = source / "data" if (source / "data").is_dir() else source
        kinds = KINDS[:1] if protocol == "radiology" else KINDS
        parts = [(split, _folder(root, split, kind)) for split in FOLDERS for kind in kinds]
        for split, folder in parts:
            articles = _articles(folder)
            where = f"{folder.relative_to(source)}/captions.txt"
            for i, line in numbered_lines(folder / "captions.txt"):
                name = plain(line.partition("\t")[0])
                known = articles.get(name, ("", ""))
                yield partial(self._record, line, split, folder, known, f"{where} line {i}")

    def _record(self, line: str, split: str, folder: Path, known: tuple[str, str], where: str) -> Record | SetAside:
        name, _, caption = map(plain, line.partition("\t"))
        study_id = f"{name[:40]}/{split}"
        if not caption:
            return SetAside(study_id, "no caption", where)
        data, fault = attached(folder / "images", f"{name}.jpg")
        if fault:
            return SetAside(study_id, fault, where)
        article, licence = known
        return Record(
            study_id=study_id,
            patient_id=article,
            images=(data,),
            views=("unknown",),
            caption=caption,
            source=f"roco {where}",
            licence=licence or self.licence,
        )


def _folder(root: Path, split: str, kind: str) -> Path:
    for name in FOLDERS[split]:
        if (root / name / kind / "captions.txt").is_file():
            return root / name / kind
    raise wrong_layout(root, f"{' or '.join(FOLDERS[split])}/{kind}/captions.txt")


def _articles(folder: Path) -> dict[str, tuple[str, str]]:
    """{figure: (article, licence)}; PMC_ID is the article and the name of its image file, joined by "_"."""
    path = folder / "licences.txt"
    if not path.is_file():
        raise wrong_layout(folder, "licences.txt")
    return {
        row["ROCO_ID"]: (row["PMC_ID"].partition("_")[0], row["CC"]) for row in table(path, ("ROCO_ID", "PMC_ID", "CC"))
    }


BUILDER = Roco
