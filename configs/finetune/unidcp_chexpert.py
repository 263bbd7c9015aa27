"""UniDCP on CheXpert-5: five findings of a frontal image.

unimedvlp prepare chexpert --source CHEXPERT --protocol valid-frontal-202 --out data
unimedvlp train --config configs/finetune/unidcp_chexpert.py --data data --workdir runs/unidcp_chexpert --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_chexpert --data data

Protocol: the published validation images test, a fortieth of the training patients validates; images alone; AUROC over five findings.
PTUnifier also removes CheXpert 5x200 from training, and counts uncertain atelectasis, edema and effusion as positive, uncertain
cardiomegaly and consolidation as negative; here uncertain ones are not learnt from.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune

FINDINGS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural effusion")


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "findings", "classes": FINDINGS}
    return finetune(
        size,
        "chexpert/valid-frontal-202/1.0.0",
        task,
        "auroc_macro",
        pack=5,
        views=1,
        text=1,
        prompt=4,
        response=32,
        limit=0,
    )
