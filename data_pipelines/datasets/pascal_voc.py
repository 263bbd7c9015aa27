"""Your own images with boxes in Pascal VOC's format.

Layout, in SOURCE or a folder of it: Annotations/NAME.xml, JPEGImages/NAME.jpg (or .png), and for `given`
ImageSets/Main/train.txt, val.txt and test.txt.

A record is one image with its boxes. Coordinates are whole pixels counted from 1. Truncated objects are kept, difficult ones
are set aside, as are images without an XML file.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from data_pipelines import voc_xml
from data_pipelines.own_data import OwnData
from data_pipelines.protocols import Protocol
from data_pipelines.summary import SetAside
from unimedvlp.records import Record


@dataclasses.dataclass(frozen=True)
class PascalVoc(OwnData):
    """Any Pascal VOC detection set."""

    name = "pascal_voc"
    protocols: ClassVar = OwnData.protocols | {
        "given": Protocol(None, "ImageSets/Main: train.txt, val.txt, test.txt", lists=voc_xml.image_sets)
    }

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record an image, by name."""
        for item in voc_xml.studies(source):
            if isinstance(item, SetAside):
                yield item
                continue
            picture, objects = item
            yield from objects.aside
            yield Record(study_id=objects.study_id, **self.common(objects.study_id, picture), **objects.fields())


BUILDER = PascalVoc
