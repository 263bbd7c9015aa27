"""UniDCP on RadNLI: does a sentence of a report follow from another?.

unimedvlp prepare radnli --source RADNLI --protocol official --out data
unimedvlp train --config configs/finetune/unidcp_radnli.py --data data --workdir runs/unidcp_radnli --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_radnli --data data

Protocol: published dev and test pairs, pseudo-labelled training pairs; texts alone; accuracy. PTUnifier trains on MedNLI's pairs
besides: add an entry of them to data.train.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "infer"}
    return finetune(size, "radnli/official/1.0.0", task, "accuracy", views=1, text=64, prompt=4, response=2, limit=0)
