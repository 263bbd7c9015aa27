"""CHASE_DB1: photographs of both fundi of 14 children with masks of the vessels by two observers (Fraz et al. 2012).

Source: Kingston University, https://researchinnovation.kingston.ac.uk; 28 images, 999 x 960. Licence: not stated with the
files; believed to be CC BY 4.0, check before redistribution.

Native layout, in SOURCE or SOURCE/CHASEDB1: Image_NNL.jpg, Image_NNR.jpg, and for each Image_NNL_1stHO.png,
Image_NNL_2ndHO.png (1-bit masks). A record is one image with two masks: "vessel" of the first observer, on whom methods are
usually scored, and "vessel by second observer". Both eyes of a child are one patient.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from data_pipelines.annotations import Objects, label_map
from data_pipelines.builder import Builder
from data_pipelines.native import attached, image_index, wrong_layout
from data_pipelines.pictures import read_picture
from data_pipelines.protocols import Protocol, by_patient
from data_pipelines.summary import SetAside
from unimedvlp.errors import UserError
from unimedvlp.records import Record

FOLDER = "CHASEDB1"
NAME = re.compile(r"Image_(\d+)[LR]")
OBSERVERS = {"1stHO": "vessel", "2ndHO": "vessel by second observer"}


class ChaseDb1(Builder):
    """CHASE_DB1 as Kingston University ships it."""

    name, version, licence = "chase_db1", "1.0.0", "not stated"
    protocols: ClassVar = {
        "by-patient": Protocol(
            by_patient(0, (0.6, 0.2, 0.2)),
            "60/20/20 by a hash of the child's number, seed 0",
            expected={"train": 16, "validation": 8, "test": 4},
        )
    }

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record an image, by name."""
        root = source / FOLDER if (source / FOLDER).is_dir() else source
        files = image_index([root])
        images = [name for name in files if NAME.fullmatch(name)]
        if not images:
            raise wrong_layout(root, "Image_01L.jpg, Image_01L_1stHO.png, Image_01L_2ndHO.png and so on")
        for name in images:
            yield from self._record(root, files[name].name, name)
        for name in files:
            if name.rpartition("_")[0] not in images and name not in images:
                yield SetAside(name, "neither an image nor the mask of one", files[name].name)

    def _record(self, root: Path, file: str, name: str) -> Iterator[Record | SetAside]:
        picture = read_picture(root, file, name)
        if isinstance(picture, SetAside):
            yield picture
            return
        objects = Objects(name, picture.height, picture.width, file)
        for observer, label in OBSERVERS.items():
            mask = f"{name}_{observer}.png"
            data, why = attached(root, mask)
            try:
                objects.mask(label, label_map(data), mask) if not why else objects.refuse("mask file missing", mask)
            except UserError as error:
                objects.refuse(str(error), mask)
        yield from objects.aside
        yield Record(
            study_id=name,
            patient_id=NAME.fullmatch(name)[1],
            images=(picture.data,),
            views=("unknown",),
            modality="fundus",
            body_part="eye",
            source=f"chase_db1 {file}",
            licence=self.licence,
            **objects.fields(),
        )


BUILDER = ChaseDb1
