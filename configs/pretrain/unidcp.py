"""UniDCP pre-training: all objectives over image-text pairs. "tiny" learns from phantoms, "base" from IU X-Ray.

unimedvlp prepare synthetic --out data
unimedvlp train --config configs/pretrain/unidcp.py --data data --workdir runs/unidcp
unimedvlp evaluate --workdir runs/unidcp --data data

After the size come the data, if others, and a rung of the ladder: unidcp.py:tiny,iu_xray  unidcp.py:base,iu_xray,roco  unidcp.py:tiny,A3
Only training splits are read: of IU X-Ray (R2Gen split) neither images nor texts of validation and test.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import RUNGS, TERMS, run
from unimedvlp.errors import UserError

REPORT = ("findings", "impression")
DATA = {
    "synthetic": ("synthetic/by-patient/1.0.0", REPORT),
    "iu_xray": ("iu_xray/r2gen/1.0.0", REPORT),
    "mimic_cxr": ("mimic_cxr/official/1.0.0", REPORT),
    "roco": ("roco/radiology/1.0.0", ("caption",)),
    "medicat": ("medicat/radiology-by-article/1.0.0", ("caption",)),
}


def get_config(argument: str = "tiny") -> ConfigDict:
    """`argument`: size, then data sets and a rung, separated by commas."""
    size, *others = argument.split(",")
    rungs = [name for name in others if name in RUNGS] or ["A7"]
    chosen = [name for name in others if name not in RUNGS] or ["iu_xray" if size == "base" else "synthetic"]
    if unknown := set(chosen) - set(DATA):
        raise UserError(f"unidcp.py:{argument}: unknown data {sorted(unknown)}; known: {', '.join(DATA)}")
    train, evals = {}, {}
    for name in chosen:
        path, sections = DATA[name]
        train[name] = {"path": path, "split": "train", "tasks": {"retrieve": {"sections": sections}}, "weight": None}
        task = {"name": "retrieve", "sections": sections}
        evals[f"retrieve_{name}"] = {"path": path, "split": "validation", "task": task, "batch": 32, "limit": 128}
    long = {"steps": 100_000, "batch": 256} if size == "base" else {"steps": 300, "batch": 16, "text": 64}
    best = f"retrieve_{chosen[0]}/image_to_text_r10"
    long["views"] = 1 if chosen == ["synthetic"] else 2  # as the tasks that follow see them
    return run(size, train, evals, TERMS, best=best, rung=rungs[-1], prompt=4, response=1, **long)
