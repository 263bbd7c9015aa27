"""UniDCP on SLAKE: questions in English about an image.

unimedvlp prepare slake --source SLAKE --protocol official --out data
unimedvlp train --config configs/finetune/unidcp_slake.py --data data --workdir runs/unidcp_slake --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_slake --data data

Protocol: the published split of the English questions; pairs of image and question; exact match.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "answer", "encoded": True}
    return finetune(
        size,
        "slake/official/1.0.0",
        task,
        "accuracy_all",
        views=1,
        text=32,
        prompt=4,
        response=24,
        limit=0,
        resize="letterbox",
    )
