"""UniDCP on MELINDA: which method does a figure with its caption show?.

unimedvlp prepare melinda --source MELINDA --protocol official --level p_meth_label --out data
unimedvlp train --config configs/finetune/unidcp_melinda.py --data data --workdir runs/unidcp_melinda --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_melinda --data data

Protocol: published train, dev and test tables, participant method at its coarser level, as M3AE reports it; pairs of figure and
caption; accuracy.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "image_text_classify", "reads": "caption"}
    return finetune(
        size,
        "melinda/official/1.0.0",
        task,
        "accuracy",
        views=1,
        text=128,
        prompt=4,
        response=2,
        limit=0,
        resize="letterbox",
    )
