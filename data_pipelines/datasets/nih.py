"""NIH ChestX-ray14: frontal chest radiographs with findings mined from their reports, and a few boxes (Wang et al. 2017).

Source: https://nihcc.app.box.com/v/ChestXray-NIHCC; 112,120 images. Licence: free for any use; the NIH Clinical Center asks
for a link, the citation and an acknowledgement.

Native layout, images in any folder (`images/`, `images_001/images/`, ...), at any size:

    Data_Entry_2017.csv or Data_Entry_2017_v2020.csv   Image Index, Finding Labels (joined by |), Patient ID, View Position, ...
    BBox_List_2017.csv                                 optional: Image Index, Finding Label, Bbox [x, y, w, h]
    train_val_list.txt, test_list.txt                  the official split, for the protocol of that name

The bracketed headers hold commas, so that "Bbox [x,y,w,h]" is four columns. Boxes are in pixels of the original 1024 x 1024
images. A record is one image. Each of the 14 findings is positive or negative, as is "no finding"; "effusion" is called
"pleural effusion", and the boxes' "Infiltrate" is "infiltration".
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.annotations import Objects
from data_pipelines.builder import Builder
from data_pipelines.native import image_tree, one_of, table, wrong_layout
from data_pipelines.pictures import read_picture
from data_pipelines.protocols import Lists, Protocol, by_patient, label_fractions, share
from data_pipelines.protocols.native import listed, own_lists, without_suffix
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import NEGATIVE, POSITIVE, Record

FINDINGS = {
    "Atelectasis": "atelectasis",
    "Cardiomegaly": "cardiomegaly",
    "Effusion": "pleural effusion",
    "Infiltration": "infiltration",
    "Mass": "mass",
    "Nodule": "nodule",
    "Pneumonia": "pneumonia",
    "Pneumothorax": "pneumothorax",
    "Consolidation": "consolidation",
    "Edema": "edema",
    "Emphysema": "emphysema",
    "Fibrosis": "fibrosis",
    "Pleural_Thickening": "pleural thickening",
    "Hernia": "hernia",
    "No Finding": "no finding",
}
BOX_NAMES = FINDINGS | {"Infiltrate": "infiltration"}
SIDE = 1024  # pixels of the images that the boxes were drawn on
ENTRIES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
BOXES = "BBox_List_2017.csv"
ENTRY_COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "View Position")
BOX_COLUMNS = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")
VIEWS = {"PA": "frontal", "AP": "frontal"}


def official(source: Path) -> Lists:
    """The owner's two lists; an eighth of the patients of the first one validates, by a hash of the patient."""
    names = ("train_val_list.txt", "test_list.txt")
    if missing := [name for name in names if not (source / name).is_file()]:
        raise wrong_layout(source, missing[0])
    lists = {"train": [], "validation": [], "test": listed(source / names[1])}
    for study in listed(source / names[0]):
        lists["validation" if share(study.partition("_")[0].lstrip("0")) < 1 / 8 else "train"].append(study)
    return lists


class Nih(Builder):
    """NIH ChestX-ray14 as the NIH Clinical Center ships it."""

    name, version, licence = "nih", "1.0.0", "NIH-Clinical-Center"
    protocols: ClassVar = label_fractions(
        "official",
        Protocol(
            None,
            "train_val_list.txt and test_list.txt; an eighth of the patients of the first list validates",
            lists=official,
        ),
    ) | {
        "by-patient": Protocol(by_patient(0, (0.7, 0.1, 0.2)), "70/10/20 by a hash of the patient's id, seed 0"),
        "lists": own_lists(),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image, in the order of the table."""
        entries, boxes = one_of(source, *ENTRIES), self._boxes(source)
        files = image_tree(source)
        if not files:
            raise wrong_layout(source, "images in images/ or images_001/images/ and so on")
        for row in table(entries, ENTRY_COLUMNS):
            if not row["Image Index"]:
                yield SetAside("", "a row without Image Index", entries.name)
                continue
            image = row["Image Index"]
            file = files.get(without_suffix(image), image)
            yield partial(self._record, source, row, boxes.pop(image, []), file)
        for name, rows in boxes.items():
            yield SetAside(name, "boxes of an image that is not in the table", f"{BOXES} {len(rows)} rows")

    def _boxes(self, source: Path) -> dict[str, list[dict[str, str]]]:
        rows = defaultdict(list)
        for row in table(source / BOXES, BOX_COLUMNS) if (source / BOXES).is_file() else ():
            rows[row["Image Index"]].append(row)
        return rows

    def _record(
        self, source: Path, row: dict[str, str], boxes: list[dict[str, str]], file: str
    ) -> Iterator[Record | SetAside]:
        image = row["Image Index"]
        study_id, where = without_suffix(image), f"table row {image}"
        found = [name.strip() for name in row["Finding Labels"].split("|")]
        if unknown := [name for name in found if name not in FINDINGS]:
            yield SetAside(study_id, f"unknown finding {unknown[0]!r}", where)
            return
        if not row["Patient ID"].isdecimal():
            yield SetAside(study_id, f"Patient ID is {row['Patient ID']!r}, no number", where)
            return
        picture = read_picture(source, file, study_id)
        if isinstance(picture, SetAside):
            yield picture
            return
        objects = Objects(study_id, SIDE, SIDE, BOXES)
        for box in boxes:
            name = BOX_NAMES.get(box["Finding Label"], box["Finding Label"].lower())
            objects.sized_box(name, *(box[column] for column in BOX_COLUMNS[2:]))
        yield from objects.aside
        yield Record(
            study_id=study_id,
            patient_id=row["Patient ID"].lstrip("0"),
            images=(picture.data,),
            views=(VIEWS.get(row["View Position"], "unknown"),),
            modality="xray",
            body_part="chest",
            labels={label: POSITIVE if name in found else NEGATIVE for name, label in FINDINGS.items()},
            source=f"nih {file}",
            licence=self.licence,
            **objects.fields(),
        )


BUILDER = Nih
