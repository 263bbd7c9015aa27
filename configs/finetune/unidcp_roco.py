"""UniDCP on ROCO: retrieval of captions and figures.

unimedvlp prepare roco --source ROCO --protocol radiology --out data
unimedvlp train --config configs/finetune/unidcp_roco.py --data data --workdir runs/unidcp_roco --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_roco --data data

Protocol: the published split of radiology figures; recall at 1, 5, 10 in both directions over the whole test split, by cosine and
with the first 16 ordered anew by matching. PTUnifier scores 2,000 drawn figures, and trains 1 of 16 captions; here negatives are
the other texts of the batch.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "retrieve", "sections": ("caption",), "rerank": 16}
    return finetune(size, "roco/radiology/1.0.0", task, "image_to_text_r10", views=1, text=64, prompt=4, response=1)
