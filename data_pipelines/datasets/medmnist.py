"""MedMNIST: small images of many modalities for classification, one .npz file a set (Yang et al. 2023).

Source: https://medmnist.com and https://zenodo.org/record/10519652. Licence: CC BY 4.0 unless the
set's own page says otherwise.

Native layout: SOURCE/NAME.npz (or NAME_64.npz, NAME_128.npz, NAME_224.npz) with {train,val,test}_images, `[N, H, W]` or
`[N, H, W, 3]` of uint8, and {train,val,test}_labels, `[N, 1]` class numbers or `[N, C]` zeros and ones. Where the folder holds
several files, --file says which. --names gives class names for a file that is none of MedMNIST's.

A record is one image. The class of an image is positive, the others are negative. Nothing names patients: an image counts as
one. Images are read one by one; files that hold Python objects are refused, as are the volumes of the 3-D sets.
"""

import dataclasses
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, ClassVar

import numpy as np

from data_pipelines.builder import Builder, option
from data_pipelines.images import encode_png
from data_pipelines.native import wrong_layout
from data_pipelines.protocols import Protocol
from data_pipelines.protocols.native import by_folder
from data_pipelines.summary import SetAside
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, Record

ORGANS = (
    "bladder", "left femur", "right femur", "heart", "left kidney", "right kidney", "liver", "left lung", "right lung",
    "pancreas", "spleen",
)  # fmt: skip
SETS = {  # modality, body part, classes by number
    "pathmnist": ("pathology", "colon", (
        "adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa",
        "cancer-associated stroma", "colorectal adenocarcinoma epithelium",
    )),
    "chestmnist": ("xray", "chest", (
        "atelectasis", "cardiomegaly", "pleural effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax",
        "consolidation", "edema", "emphysema", "fibrosis", "pleural thickening", "hernia",
    )),
    "dermamnist": ("dermoscopy", "skin", (
        "actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions",
        "dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions",
    )),
    "octmnist": ("oct", "eye", ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal")),
    "pneumoniamnist": ("xray", "chest", ("normal", "pneumonia")),
    "retinamnist": ("fundus", "eye", tuple(f"diabetic retinopathy grade {i}" for i in range(5))),
    "breastmnist": ("ultrasound", "breast", ("malignant", "normal or benign")),
    "bloodmnist": ("microscopy", "blood", (
        "basophil", "eosinophil", "erythroblast", "immature granulocyte", "lymphocyte", "monocyte", "neutrophil",
        "platelet",
    )),
    "tissuemnist": ("microscopy", "kidney", (
        "collecting duct or connecting tubule", "distal convoluted tubule", "glomerular endothelial cells",
        "interstitial endothelial cells", "leukocytes", "podocytes", "proximal tubule segments",
        "thick ascending limb",
    )),
    "organamnist": ("ct", "abdomen", ORGANS),
    "organcmnist": ("ct", "abdomen", ORGANS),
    "organsmnist": ("ct", "abdomen", ORGANS),
}  # fmt: skip
SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class MedMnist(Builder):
    """One set of MedMNIST, or any other .npz file of its form."""

    name, version, licence = "medmnist", "1.0.0", "CC-BY-4.0"
    protocols: ClassVar = {"official": Protocol(by_folder(), "the split of the file")}

    file: str = option("", "the .npz file, where the folder holds several")
    names: str = option("", "class names in the order of their numbers, separated by commas")

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record an image, in the order of the file."""
        path = self._path(source)
        modality, body_part, names = SETS.get(path.stem.partition("_")[0].lower(), ("other", "", ()))
        names = tuple(name.strip() for name in self.names.split(",")) if self.names else names
        try:
            with zipfile.ZipFile(path) as archive:
                for split in SPLITS:
                    images, labels = (_array(archive, f"{split}_{part}", path) for part in ("images", "labels"))
                    if images[0] != labels[0]:
                        raise UserError(f"{path}: {images[0]} {split}_images and {labels[0]} {split}_labels")
                    for i, (image, row) in enumerate(zip(images[1], labels[1], strict=True)):
                        study_id, where = f"{split}/{i}", f"{path.name} {split}_images[{i}]"
                        found = _labels(row, names)
                        if found is None or image.dtype != np.uint8:
                            yield SetAside(
                                study_id, f"label {row.tolist()} or image of {image.dtype} is unknown", where
                            )
                            continue
                        yield Record(
                            study_id=study_id,
                            patient_id=study_id,
                            images=(encode_png(image),),
                            views=("unknown",),
                            modality=modality,
                            body_part=body_part,
                            labels=found,
                            source=f"medmnist {where}",
                            licence=self.licence,
                        )
        except (zipfile.BadZipFile, EOFError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as .npz: {error}") from error

    def _path(self, source: Path) -> Path:
        paths = [source / self.file] if self.file else sorted(source.glob("*.npz"))
        if not paths or not paths[0].is_file():
            raise wrong_layout(source, self.file or "a file NAME.npz")
        if len(paths) > 1:
            raise UserError(f"{source} holds {', '.join(path.name for path in paths)}; choose one with --file")
        return paths[0]


def _labels(row: np.ndarray, names: tuple[str, ...]) -> dict[str, str] | None:
    """{class: value} of a class number `[1]` or of zeros and ones `[C]`; None for anything else."""
    row = np.atleast_1d(row)
    if not (row == np.floor(row)).all():
        return None
    if len(row) == 1 and not (names and 0 <= row[0] < len(names)):
        return {f"class {row[0]}": POSITIVE} if not names and row[0] >= 0 else None
    if len(row) > 1 and (not np.isin(row, (0, 1)).all() or (names and len(names) != len(row))):
        return None
    on = {int(row[0])} if len(row) == 1 else set(np.flatnonzero(row))
    names = names or tuple(f"class {i}" for i in range(len(row)))
    return {name: POSITIVE if i in on else NEGATIVE for i, name in enumerate(names)}


def _array(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[int, Iterator[np.ndarray]]:
    """Length of one array of the archive and its rows, which are read one after another; nothing is unpickled."""
    if f"{name}.npy" not in archive.namelist():
        raise UserError(f"{path} has no array {name}; it has {', '.join(archive.namelist()) or 'nothing'}")
    file = archive.open(f"{name}.npy")
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_column, dtype = read(file)
    if dtype.hasobject or by_column or not shape:
        raise UserError(f"{path}: array {name} holds Python objects or is stored by columns; expected rows of numbers")
    if name.endswith("images") and not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
        raise UserError(f"{path}: array {name} has shape {list(shape)}; expected [N, H, W] or [N, H, W, 3]")
    return shape[0], _rows(file, shape, dtype, f"{path}: array {name}")


def _rows(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype, where: str) -> Iterator[np.ndarray]:
    size = int(np.prod(shape[1:])) * dtype.itemsize
    with file:
        for i in range(shape[0]):
            data = file.read(size)
            if len(data) != size:
                raise UserError(f"{where} ends at row {i} of {shape[0]}")
            yield np.frombuffer(data, dtype).reshape(shape[1:])


BUILDER = MedMnist
