"""UniDCP on VQA-RAD: questions about an image.

unimedvlp prepare vqa_rad --source VQA_RAD --protocol official --out data
unimedvlp train --config configs/finetune/unidcp_vqa_rad.py --data data --workdir runs/unidcp_vqa_rad --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_vqa_rad --data data

Protocol: the published split, all of whose test images occur in training; pairs of image and question; exact match over open, closed
and all questions. Answers are written, so unseen ones can be given; PTUnifier chooses among all answers, those of the test included.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "answer", "encoded": True}
    return finetune(
        size,
        "vqa_rad/official/1.0.0",
        task,
        "accuracy_all",
        views=1,
        text=64,
        prompt=4,
        response=24,
        limit=0,
        resize="letterbox",
    )
