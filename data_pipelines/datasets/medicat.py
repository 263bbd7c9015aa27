"""MedICaT: figures of open-access medical articles with captions (Subramanian et al. 2020).

Source: https://github.com/allenai/medicat, 217,060 figures of 131,410 articles. Licence: that of each article, in its entry;
the data set is for non-commercial research only. Native layout, in SOURCE or SOURCE/release: one file of JSON lines with
`pdf_hash`, `fig_uri`, `s2_caption`, `s2orc_caption`, `radiology` and `oa_info`, and figures/{pdf_hash}_{fig_uri}.

A record is one figure, its patient is the article. The caption is `s2_caption`, or `s2orc_caption` where that is empty.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import attached, json_lines, plain, wrong_layout
from data_pipelines.protocols import Protocol, by_patient
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import Record

FIELDS = ("pdf_hash", "fig_uri", "s2_caption", "s2orc_caption", "radiology", "oa_info")
SHARES = (0.96, 0.02, 0.02)


class Medicat(Builder):
    """MedICaT's release."""

    name, version, licence = "medicat", "1.0.0", "per article, non-commercial research only"
    protocols: ClassVar = {
        "by-article": Protocol(by_patient(0, SHARES), "96/2/2 by a hash of the article, seed 0"),
        "radiology-by-article": Protocol(
            by_patient(0, SHARES), "figures marked as radiology, 96/2/2 by a hash of the article, seed 0"
        ),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record a figure."""
        root = source / "release" if (source / "release").is_dir() else source
        files = [path for path in sorted(root.glob("*.jsonl")) if not path.name.startswith("subcaption")]
        if len(files) != 1 or not (root / "figures").is_dir():
            raise wrong_layout(root, "one file of JSON lines (*.jsonl) and figures/")
        for i, row in enumerate(json_lines(files[0], FIELDS), start=1):
            if protocol == "by-article" or row["radiology"]:
                yield partial(self._record, row, root, f"{files[0].name} figure {i}")

    def _record(self, row: dict, root: Path, where: str) -> Record | SetAside:
        article, uri = plain(row["pdf_hash"]), plain(row["fig_uri"])
        caption = plain(row["s2_caption"]) or plain(row["s2orc_caption"])
        study_id = f"{article}_{uri}"[:80]
        if not article or not uri or not caption:
            return SetAside(study_id, "no article, figure or caption", where)
        data, fault = attached(root / "figures", f"{article}_{uri}")
        if fault:
            return SetAside(study_id, fault, where)
        access = (row["oa_info"] or {}).get("oa") or {}
        return Record(
            study_id=study_id,
            patient_id=article,
            images=(data,),
            views=("unknown",),
            caption=caption,
            source=f"medicat {where}",
            licence=plain(access.get("license")) or self.licence,
        )


BUILDER = Medicat
