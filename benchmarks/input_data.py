"""What the input benchmark reads: drawn chest radiographs of 1024 pixels, as JPEG, as 16-bit PNG and as DICOM."""

import dataclasses
import io
import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pydicom

from data_pipelines import dicom
from data_pipelines.builder import Builder
from data_pipelines.images import decode, encode_png
from data_pipelines.protocols import Protocol
from data_pipelines.synthetic import study
from unimedvlp.records import Record

FORMATS = ("JPEG", "PNG 16 bit", "DICOM")
SIDE, DRAWN, GRAIN = 1024, 96, 6.0
PICTURES = 64  # different ones; further records repeat them


def everything(record: Record) -> str:
    """One split."""
    return "train"


@dataclasses.dataclass(frozen=True)
class Drawn(Builder):
    """`studies` phantoms drawn small, enlarged to 1024 pixels and given grain. `kind` is one of FORMATS."""

    name, version, licence, needs_source = "drawn", "1.0.0", "Apache-2.0", False
    protocols: ClassVar = {"all": Protocol(everything, "all for training")}

    studies: int = 512
    kind: str = "JPEG"

    def records(self, source: Path, protocol: str) -> Iterator[partial]:
        """Every study."""
        encoded = [stored(pixels(i), self.kind) for i in range(min(PICTURES, self.studies))]
        for i in range(self.studies):
            yield partial(self._record, i, encoded[i % len(encoded)])

    def _record(self, i: int, data: bytes) -> Record:
        drawn = study(i, 0, 0, 32)
        return Record(
            f"s{i}",
            f"p{i}",
            (data,),
            ("frontal",),
            modality="xray",
            findings=drawn.findings,
            impression=drawn.impression,
        )


def pixels(i: int) -> np.ndarray:
    """Picture i, uint16 `[1024, 1024]` of 12 bits."""
    small = decode(study(i, 0, 0, DRAWN).images[0], channels=1)
    large = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    noise = np.random.default_rng(i).normal(0, GRAIN, large.shape).astype(np.float32)
    grain = cv2.GaussianBlur(noise, (0, 0), 0.8)
    return (np.clip(large + grain, 0, 255) * 16).astype(np.uint16)


def stored(image: np.ndarray, kind: str) -> bytes:
    """What a record holds of it: a DICOM file is read by `prepare` and stored as 8-bit PNG."""
    if kind == "JPEG":
        return cv2.imencode(".jpg", (image >> 4).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    if kind == "PNG 16 bit":
        return cv2.imencode(".png", image)[1].tobytes()
    return encode_png(dicom.read(dicom_file(image)).pixels)


def write_files(records: Iterable[Record], folder: Path, kind: str) -> None:
    """The same pictures and texts as a torch user has them: files, and a list of them."""
    folder.mkdir()
    rows = []
    for i, record in enumerate(records):
        name = f"{i}.{ {'JPEG': 'jpg', 'PNG 16 bit': 'png', 'DICOM': 'dcm'}[kind] }"
        data = dicom_file(pixels(i)) if kind == "DICOM" and i < PICTURES else record.images[0]
        if i < PICTURES:
            (folder / name).write_bytes(data)
        rows.append({"image": f"{i % PICTURES}.{name.partition('.')[2]}", "findings": record.findings})
    (folder / "list.json").write_text(json.dumps(rows))


def dicom_file(image: np.ndarray) -> bytes:
    """An uncompressed 12-bit DICOM file of a picture."""
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data.Modality, data.PhotometricInterpretation, data.SamplesPerPixel = "DX", "MONOCHROME2", 1
    data.Rows, data.Columns = image.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.WindowCenter, data.WindowWidth = 2048, 4096
    data.PixelData = image.tobytes()
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()
