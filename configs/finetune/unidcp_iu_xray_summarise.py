"""UniDCP on IU X-Ray (Open-I): the impression from the findings.

unimedvlp prepare iu_xray --source IU_XRAY --protocol r2gen --out data
unimedvlp train --config configs/finetune/unidcp_iu_xray_summarise.py --data data --workdir runs/unidcp_iu_xray_summarise --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_iu_xray_summarise --data data

Protocol: R2Gen's split, studies with both sections; texts alone; ROUGE-L.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "summarise"}
    return finetune(size, "iu_xray/r2gen/1.0.0", task, "rouge_l", views=1, text=128, prompt=4, response=64)
