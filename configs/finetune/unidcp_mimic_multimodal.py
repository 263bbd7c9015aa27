"""UniDCP on MIMIC-CXR: the impression from images and findings.

unimedvlp prepare mimic_cxr --source MIMIC_CXR --protocol official --out data
unimedvlp train --config configs/finetune/unidcp_mimic_multimodal.py --data data --workdir runs/unidcp_mimic_multimodal --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_mimic_multimodal --data data

Protocol: the published split, studies with images and both sections; pairs; ROUGE-L.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "multimodal_summarise"}
    return finetune(size, "mimic_cxr/official/1.0.0", task, "rouge_l", text=160, prompt=4, response=96)
