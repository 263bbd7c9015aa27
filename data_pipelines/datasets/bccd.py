"""BCCD: blood smears under the microscope with boxes around cells.

Source: https://github.com/Shenggan/BCCD_Dataset; 364 images. Licence: MIT.

Native layout, in SOURCE or SOURCE/BCCD: Annotations/NAME.xml, JPEGImages/NAME.jpg, ImageSets/Main/{train,val,test}.txt
(Pascal VOC). A record is one image; the source names no patients, so an image counts as one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from data_pipelines import voc_xml
from data_pipelines.builder import Builder
from data_pipelines.protocols import Protocol, by_patient
from data_pipelines.summary import SetAside
from unimedvlp.records import Record

NAMES = {"RBC": "red blood cell", "WBC": "white blood cell", "Platelets": "platelet"}


class Bccd(Builder):
    """BCCD as its owner ships it."""

    name, version, licence = "bccd", "1.0.0", "MIT"
    protocols: ClassVar = {
        "official": Protocol(None, "the owner's lists in ImageSets/Main", lists=voc_xml.image_sets),
        "by-image": Protocol(by_patient(0), "80/10/10 by a hash of the image's name, seed 0"),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record an image, by name."""
        for item in voc_xml.studies(source):
            if isinstance(item, SetAside):
                yield item
                continue
            picture, objects = item
            yield from objects.aside
            fields = objects.fields()
            fields["box_classes"] = tuple(NAMES.get(name, name) for name in fields["box_classes"])
            yield Record(
                study_id=objects.study_id,
                patient_id=objects.study_id,
                images=(picture.data,),
                views=("unknown",),
                modality="microscopy",
                body_part="blood",
                source=f"bccd {objects.where}",
                licence=self.licence,
                **fields,
            )


BUILDER = Bccd
