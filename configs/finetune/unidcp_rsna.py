"""UniDCP on RSNA Pneumonia: is there pneumonia in a frontal image?.

unimedvlp prepare rsna --source RSNA --protocol gloria-70-15-15 --out data
unimedvlp train --config configs/finetune/unidcp_rsna.py --data data --workdir runs/unidcp_rsna --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_rsna --data data

Protocol: GLoRIA's 70/15/15 of the stage 2 training images, as MGCA and PTUnifier take it; images alone; AUROC.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "findings", "classes": ("pneumonia",)}
    return finetune(
        size, "rsna/gloria-70-15-15/1.0.0", task, "auroc_macro", views=1, text=1, prompt=4, response=2, limit=0
    )
