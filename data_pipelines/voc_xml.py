"""Pascal VOC's folders: an XML file of boxes an image."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from data_pipelines.annotations import Objects
from data_pipelines.native import image_index, root_of, wrong_layout
from data_pipelines.pictures import Picture, read_picture
from data_pipelines.protocols import Lists
from data_pipelines.protocols.native import listed
from data_pipelines.summary import SetAside

ANNOTATIONS, IMAGES, SETS = "Annotations", "JPEGImages", "ImageSets/Main"
FILES = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def studies(source: Path) -> Iterator[tuple[Picture, Objects] | SetAside]:
    """Picture and boxes of each annotated image, by name; images without an XML file are set aside.

    Coordinates are whole pixels counted from 1, the last one included. Difficult objects are set aside, truncated ones are kept.
    """
    root = root_of(source, ANNOTATIONS)
    if not (root / IMAGES).is_dir():
        raise wrong_layout(root, f"{IMAGES}/")
    files = image_index([root / IMAGES])
    paths = sorted((root / ANNOTATIONS).glob("*.xml"))
    for path in paths:
        yield _study(path, root / IMAGES, files)
    for name in sorted(files.keys() - {path.stem for path in paths}):
        yield SetAside(name, f"image without an XML file in {ANNOTATIONS}", files[name].name)


def image_sets(source: Path) -> Lists:
    """The lists in ImageSets/Main: train.txt, val.txt, test.txt."""
    root = root_of(source, ANNOTATIONS)
    folder = root / SETS
    lists = {split: listed(folder / name) for split, name in FILES.items() if (folder / name).is_file()}
    if "train" not in lists:
        raise wrong_layout(folder if folder.is_dir() else root, f"{SETS}/{FILES['train']}")
    return lists


def _study(path: Path, images: Path, files: dict[str, Path]) -> tuple[Picture, Objects] | SetAside:
    name = path.stem
    try:
        root = ET.fromstring(path.read_bytes())
    except (ET.ParseError, ValueError) as error:
        return SetAside(name, f"malformed XML: {error}", path.name)
    image = files[name].name if name in files else root.findtext("filename", f"{name}.jpg")
    picture = read_picture(images, image, name)
    if isinstance(picture, SetAside):
        return picture
    height, width = (_number(root.findtext(f"size/{side}")) for side in ("height", "width"))
    if height and width and (height, width) != (picture.height, picture.width):
        sizes = f"{picture.width}x{picture.height}, its XML file says {width:g}x{height:g}"
        return SetAside(name, f"the image is {sizes}", path.name)
    objects = Objects(name, picture.height, picture.width, path.name)
    for item in root.iter("object"):
        label = (item.findtext("name") or "").strip()
        corners = [_number(item.findtext(f"bndbox/{corner}")) for corner in CORNERS]
        if not label:
            objects.refuse("an object without a name")
        elif item.findtext("difficult", "").strip() == "1":
            objects.refuse("a difficult object")
        elif None in corners:
            objects.refuse("a box is not four numbers")
        else:
            objects.box(label, corners[0] - 1, corners[1] - 1, corners[2], corners[3])
    return picture, objects


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
