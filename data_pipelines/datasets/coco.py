"""Your own images with boxes or masks in COCO's format.

Layout: one or more annotation files, SOURCE/*.json, SOURCE/annotations/**/*.json or SOURCE/SPLIT/_annotations.coco.json; images
beside the file, in SOURCE, SOURCE/images, or in the folder that the file is named for (`instances_train2017.json`:
`train2017/`). Where several files lie together, those named instances_* are read, or the one that --annotations names.

A record is one image, with a box and, where there is one, a mask an annotation: polygons, run lengths, or run lengths as text.
Crowd regions and annotations without a known category are set aside. The file's name, or its folder's, says the split.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from data_pipelines import coco_json
from data_pipelines.builder import option
from data_pipelines.coco_json import CocoFile, split_of
from data_pipelines.native import wrong_layout
from data_pipelines.own_data import OwnData
from data_pipelines.pictures import read_picture
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.errors import UserError
from unimedvlp.records import Record

PATTERNS = ("*.json", "annotations/**/*.json", "*/_annotations.coco.json")


@dataclasses.dataclass(frozen=True)
class Coco(OwnData):
    """Any COCO detection or segmentation set."""

    name = "coco"

    annotations: str = option("", "the annotation file to read, relative to SOURCE, where there are several")

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image, file by file."""
        files = [coco_json.read(path) for path in self._paths(source)]
        self.need_split(protocol, any(split_of(file.path) for file in files))
        for file in files:
            yield from file.aside
            for entry in file.images:
                yield partial(self._record, source, file.only(entry), entry)

    def _paths(self, source: Path) -> list[Path]:
        if self.annotations:
            if not (source / self.annotations).is_file():
                raise wrong_layout(source, self.annotations)
            return [source / self.annotations]
        paths = sorted(path for pattern in PATTERNS for path in source.glob(pattern))
        if not paths:
            raise wrong_layout(source, "an annotation file *.json, annotations/*.json or SPLIT/_annotations.coco.json")
        instances = [path for path in paths if path.name.startswith("instances")] or paths
        if len(instances) > 1 and not all(map(split_of, instances)):
            names = ", ".join(str(path.relative_to(source)) for path in instances)
            raise UserError(f"{source}: several annotation files ({names}); name one with --annotations")
        return instances

    def _record(self, source: Path, file: CocoFile, entry: dict) -> Iterator[Record | SetAside]:
        name = entry["file_name"]
        split = split_of(file.path)
        study_id = f"{split}/{name}" if split else name
        picture = read_picture(source, _locate(source, file.path, name), study_id)
        if isinstance(picture, SetAside):
            yield picture
            return
        objects = file.objects(entry, picture, study_id)
        if isinstance(objects, SetAside):
            yield objects
            return
        yield from objects.aside
        yield Record(study_id=study_id, **self.common(name, picture), **objects.fields())


def _locate(source: Path, path: Path, name: str) -> str:
    """The image's path within `source`: the first place of the usual ones that has it."""
    beside = path.parent.relative_to(source)
    named = path.stem.removeprefix("instances_")
    for folder in (beside, ".", "images", "imgs", named, f"images/{named}"):
        if (source / folder / name).is_file():
            return (Path(folder) / name).as_posix()
    return name


BUILDER = Coco
