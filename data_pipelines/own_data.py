"""What the builders for a user's own data share: options that say what the files cannot."""

import dataclasses
import re
from typing import Any, ClassVar

from data_pipelines.builder import Builder, option
from data_pipelines.pictures import Picture
from data_pipelines.protocols import Protocol, by_patient
from data_pipelines.protocols.native import by_folder
from unimedvlp.errors import UserError
from unimedvlp.records import MODALITIES


@dataclasses.dataclass(frozen=True)
class OwnData(Builder):
    """A user's own images. `given` takes the splits as folders or files are named, `by-patient` makes them."""

    version, licence = "1.0.0", "not stated"
    protocols: ClassVar = {
        "given": Protocol(by_folder(), "as folders or files are named: train, val or test"),
        "by-patient": Protocol(by_patient(0), "80/10/10 by a hash of the patient, or of the image without --patient"),
    }

    modality: str = option("other", f"modality of all images: {', '.join(MODALITIES)}")
    body_part: str = option("", "body part in all images, such as chest")
    patient: str = option("", "regular expression: its first group, found in an image's path, is the patient")

    def __post_init__(self):
        if self.modality not in MODALITIES:
            raise UserError(f"--modality {self.modality!r} is not one of {', '.join(MODALITIES)}")
        try:
            groups = re.compile(self.patient).groups
        except re.error as error:
            raise UserError(f"--patient {self.patient!r} is no regular expression: {error}") from None
        if self.patient and not groups:
            raise UserError(f"--patient {self.patient!r} has no group; mark the patient with (...), as in '^([0-9]+)_'")

    def common(self, name: str, picture: Picture) -> dict[str, Any]:
        """Fields of a record that the options or the image itself decide, for the image with this path."""
        found = re.search(self.patient, name) if self.patient else None
        return {
            "patient_id": (found[1] or "" if found else "") or name,
            "images": (picture.data,),
            "views": (picture.view or "unknown",),
            "modality": self.modality if self.modality != "other" else picture.modality,
            "body_part": self.body_part or picture.body_part,
            "source": f"{self.name} {name}",
            "licence": self.licence,
        }

    def need_split(self, protocol: str, found: bool) -> None:
        """UserError if the protocol is `given` and nothing is named train, val or test."""
        if protocol == "given" and not found:
            raise UserError("no folder or file is named train, val or test; add --protocol by-patient to make splits")
