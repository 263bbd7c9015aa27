"""UniDCP on MIMIC-CXR: the findings from the images.

unimedvlp prepare mimic_cxr --source MIMIC_CXR --protocol report-generation --out data
unimedvlp train --config configs/finetune/unidcp_mimic_report.py --data data --workdir runs/unidcp_mimic_report --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_mimic_report --data data

Protocol: the published split, studies whose report has findings; images alone; BLEU, ROUGE-L, CIDEr and F1 of findings.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "report", "clean": "r2gen", "max_words": 100}
    return finetune(size, "mimic_cxr/report-generation/1.0.0", task, "cider", text=1, prompt=4, response=160)
