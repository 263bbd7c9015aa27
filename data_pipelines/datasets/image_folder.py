"""Your own images sorted into folders by class.

Layout: SOURCE/CLASS/* or SOURCE/train/CLASS/*, SOURCE/val/CLASS/*, SOURCE/test/CLASS/*; PNG, JPEG or DICOM, at any depth.

A record is one image: the class of its folder is positive, the other classes are negative. Files that are no images, and
images outside of a class folder, are set aside.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from data_pipelines.native import split_name, wrong_layout
from data_pipelines.own_data import OwnData
from data_pipelines.pictures import SUFFIXES, read_picture
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import NEGATIVE, POSITIVE, Record


@dataclasses.dataclass(frozen=True)
class ImageFolder(OwnData):
    """Any classification set in folders."""

    name = "image_folder"

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image, by path."""
        files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
        labelled = {path: _class(path) for path in files if path.suffix.lower() in SUFFIXES}
        classes = sorted(set(labelled.values()) - {""})
        if not classes:
            raise wrong_layout(source, "a folder of images a class, or train/, val/ and test/ with such folders")
        self.need_split(protocol, any(split_name(path.parts[0]) for path in labelled))
        for path in files:
            name = path.as_posix()
            if not labelled.get(path):
                reason = "an image outside of a class folder" if path in labelled else "no PNG, JPEG or DICOM file"
                yield SetAside(name, reason, name)
                continue
            labels = {label: POSITIVE if label == labelled[path] else NEGATIVE for label in classes}
            yield partial(self._record, source, name, labels)

    def _record(self, source: Path, name: str, labels: dict[str, str]) -> Record | SetAside:
        picture = read_picture(source, name, name)
        if isinstance(picture, SetAside):
            return picture
        return Record(study_id=name, labels=labels, **self.common(name, picture))


def _class(path: Path) -> str:
    """The first folder that names no split."""
    folders = path.parts[:-1]
    return next(iter(folders[1:] if folders and split_name(folders[0]) else folders), "")


BUILDER = ImageFolder
