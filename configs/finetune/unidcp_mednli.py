"""UniDCP on MedNLI: does a statement follow from a clinical note?.

unimedvlp prepare mednli --source MEDNLI --protocol official --out data
unimedvlp train --config configs/finetune/unidcp_mednli.py --data data --workdir runs/unidcp_mednli --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_mednli --data data

Protocol: published train, dev and test pairs; texts alone; accuracy.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "infer"}
    return finetune(size, "mednli/official/1.0.0", task, "accuracy", views=1, text=96, prompt=4, response=2, limit=0)
