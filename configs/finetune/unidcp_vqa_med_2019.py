"""UniDCP on VQA-Med 2019: questions about modality, plane and organ.

unimedvlp prepare vqa_med_2019 --source VQA_MED_2019 --protocol three-categories --out data
unimedvlp train --config configs/finetune/unidcp_vqa_med_2019.py --data data --workdir runs/unidcp_vqa_med_2019 --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_vqa_med_2019 --data data

Protocol: the published questions of three categories, as M3AE and PTUnifier take them; pairs of image and question; exact match.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "answer", "encoded": True}
    return finetune(
        size,
        "vqa_med_2019/three-categories/1.0.0",
        task,
        "accuracy_all",
        views=1,
        text=32,
        prompt=4,
        response=24,
        limit=0,
        resize="letterbox",
    )
