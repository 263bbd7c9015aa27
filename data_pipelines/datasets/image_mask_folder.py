"""Your own images with masks as image files, paired by name.

Layout: a folder of images beside a folder of masks, in SOURCE, in SOURCE/train, SOURCE/val and SOURCE/test, or with such
folders inside: images/ and masks/ (also image, imgs, img; mask, labels, label, annotations), or NAME/ and NAME_mask/.

The mask of images/a.png is masks/a.png, masks/a_mask.png or, one file a class, masks/a_CLASS.png ("+" for blanks). Masks are
grey, palette or 1-bit images: each non-zero value is a class, so that binary masks and label maps are the same thing.
`--classes 1=lung,2=heart` names values; without it value 1 is "class 1", and 255 is "foreground".

A record is one image with a mask a class. Images without a mask and masks without an image are set aside.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from data_pipelines.annotations import Objects, label_map
from data_pipelines.builder import option
from data_pipelines.native import IMAGE_SUFFIXES, split_name, wrong_layout
from data_pipelines.own_data import OwnData
from data_pipelines.pictures import SUFFIXES, Picture, read_picture
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.errors import UserError
from unimedvlp.records import Record

IMAGES = ("images", "image", "imgs", "img")
MASKS = ("masks", "mask", "labels", "label", "annotations")
PLAIN = ("mask", "masks", "seg", "segmentation", "label", "gt")  # endings of a name that are no class
MOST_VALUES = 64  # a picture with more is no label map


@dataclasses.dataclass(frozen=True)
class ImageMaskFolder(OwnData):
    """Any segmentation set in folders."""

    name = "image_mask_folder"

    classes: str = option("", "names of the values in masks, such as 1=lung,2=heart")

    def __post_init__(self):
        super().__post_init__()
        self.names()

    def names(self) -> dict[int, str]:
        """{value: class} of --classes; UserError if it cannot be read."""
        try:
            pairs = [item.split("=", 1) for item in self.classes.split(",") if item.strip()]
            return {255: "foreground"} | {int(value): name.strip() for value, name in pairs}
        except ValueError:
            raise UserError(f"--classes {self.classes!r}: expected VALUE=NAME,VALUE=NAME") from None

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image, folder by folder."""
        folders = list(_pairs(source))
        if not folders:
            raise wrong_layout(source, "images/ and masks/, also in train/, val/ and test/, or NAME/ and NAME_mask/")
        pairs = [(images, masks, _files(images, SUFFIXES)) for images, masks in folders]
        paths = [path.relative_to(source) for _, _, files in pairs for path in files.values()]
        self.need_split(protocol, any(split_name(part) for path in paths for part in path.parts[:-1]))
        for _, masks, files in pairs:
            found: dict[str, list[tuple[str, Path]]] = defaultdict(list)
            for name, path in _files(masks, IMAGE_SUFFIXES).items():
                image, label = _owner(name, files)
                if image:
                    found[image].append((label, path))
                else:
                    yield SetAside(name, "mask without an image", path.relative_to(source).as_posix())
            for name, path in files.items():
                relative = path.relative_to(source).as_posix()
                if name not in found:
                    yield SetAside(relative, "image without a mask", relative)
                    continue
                yield partial(self._record, source, relative, found[name])

    def _record(self, source: Path, name: str, masks: list[tuple[str, Path]]) -> Iterator[Record | SetAside]:
        picture = read_picture(source, name, name)
        if isinstance(picture, SetAside):
            yield picture
            return
        objects = self._objects(name, picture, masks, source)
        yield from objects.aside
        if objects.fields()["masks"] or not objects.aside:
            yield Record(study_id=name, **self.common(name, picture), **objects.fields())

    def _objects(self, name: str, picture: Picture, masks: list[tuple[str, Path]], source: Path) -> Objects:
        objects = Objects(name, picture.height, picture.width, name)
        for label, path in masks:
            where = path.relative_to(source).as_posix()
            try:
                values = label_map(path.read_bytes())
            except UserError as error:
                objects.refuse(str(error), where)
                continue
            present = np.unique(values[values != 0])
            if len(present) > MOST_VALUES:
                objects.refuse(f"a mask with more than {MOST_VALUES} values is no label map", where)
            elif label and len(present):
                objects.mask(label, values, where)
            else:
                for value in present:
                    objects.mask(self.names().get(int(value), f"class {value}"), values == value, where)
        return objects


def _pairs(source: Path) -> Iterator[tuple[Path, Path]]:
    """Folders of images and of their masks, in SOURCE or one level below."""
    for parent in (source, *sorted(path for path in source.iterdir() if path.is_dir())):
        named = [[parent / name for name in names if (parent / name).is_dir()][:1] for names in (IMAGES, MASKS)]
        if all(named):
            yield named[0][0], named[1][0]
            continue
        for images in sorted(path for path in parent.iterdir() if path.is_dir()):
            for masks in (images.with_name(f"{images.name}_{ending}") for ending in ("mask", "masks")):
                if masks.is_dir():
                    yield images, masks


def _files(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """{path in the folder without suffix: path}, at any depth."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in paths}


def _owner(mask: str, images: dict[str, Path]) -> tuple[str, str]:
    """The image that a mask belongs to, the one with the longest name, and the class that its own name adds; "" for none."""
    name, label = mask, ""
    while name and name not in images:
        name, _, part = name.rpartition("_")
        label = f"{part}_{label}" if label else part
    return name, "" if label.lower() in PLAIN else label.replace("+", " ")


BUILDER = ImageMaskFolder
