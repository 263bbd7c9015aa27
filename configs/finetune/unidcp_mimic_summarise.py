"""UniDCP on MIMIC-CXR: the impression from the findings.

unimedvlp prepare mimic_cxr --source MIMIC_CXR --protocol official --out data
unimedvlp train --config configs/finetune/unidcp_mimic_summarise.py --data data --workdir runs/unidcp_mimic_summarise --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_mimic_summarise --data data

Protocol: the published split, studies with both sections; texts alone; ROUGE-L.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "summarise"}
    return finetune(size, "mimic_cxr/official/1.0.0", task, "rouge_l", views=1, text=160, prompt=4, response=96)
