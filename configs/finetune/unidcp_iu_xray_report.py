"""UniDCP on IU X-Ray: the findings from two views.

unimedvlp prepare iu_xray --source IU_XRAY --protocol r2gen --out data
unimedvlp train --config configs/finetune/unidcp_iu_xray_report.py --data data --workdir runs/unidcp_iu_xray_report --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_iu_xray_report --data data

Protocol: R2Gen's split, cleaning and 60 words; images alone; BLEU, ROUGE-L, CIDEr and F1 of findings; kept by CIDEr on validation.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import finetune


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" or "base"."""
    task = {"name": "report", "clean": "r2gen"}
    return finetune(size, "iu_xray/r2gen/1.0.0", task, "cider", text=1, prompt=4, response=128, limit=0)
