"""UniDCP: one set of weights for all eight tasks, trained together from one pre-trained checkpoint.

unimedvlp train --config configs/finetune/unidcp_multitask.py --data data --workdir runs/unidcp_all --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_all --data data

The second command scores the eight. `:synthetic` (default) trains on phantoms, which have all that the tasks need. `:real` takes
IU X-Ray (R2Gen split) for images, reports, retrieval, summaries and image-text classes (the one finding of a study, told from its
images and the indication), medical abstracts for texts, and VQA-RAD (image-disjoint) for questions.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import TAUGHT, evaluated, run

PHANTOMS, CHESTS = "synthetic/by-patient/1.0.0", "iu_xray/r2gen/1.0.0"
ABSTRACTS, QUESTIONS = "medical_abstracts/test-file-disjoint/1.0.0", "vqa_rad/image-disjoint/1.0.0"
CONDITIONS = (
    "cardiovascular diseases", "digestive system diseases", "general pathological conditions", "neoplasms",
    "nervous system diseases",
)  # fmt: skip
FINDINGS = (
    "atelectasis", "cardiomegaly", "fracture", "lung lesion", "lung opacity", "pleural effusion", "support devices",
)  # fmt: skip
SHARED = {
    "findings": {},
    "summarise": {},
    "report": {"clean": "r2gen"},
    "retrieve": {"sections": ("findings", "impression"), "rerank": 16},
    "answer": {"encoded": True},
    "multimodal_summarise": {},
}
TASKS = {
    "synthetic": {name: (PHANTOMS, details) for name, details in SHARED.items()}
    | {
        "infer": (PHANTOMS, {}),
        "image_text_classify": (
            PHANTOMS,
            {"field": "modality", "reads": "caption", "classes": ("xray", "ct", "fundus")},
        ),
    },
    "real": {name: (QUESTIONS if name == "answer" else CHESTS, details) for name, details in SHARED.items()}
    | {
        "text_classify": (ABSTRACTS, {"classes": CONDITIONS}),
        "image_text_classify": (CHESTS, {"reads": "indication", "classes": FINDINGS}),
    },
}
# Of the rows of a batch; other tasks have 1. With equal shares relations and answers are hardly learned (docs/results.md).
SHARES = {"retrieve": 5.0, "infer": 5.0, "text_classify": 3.0, "answer": 3.0, "findings": 3.0, "report": 2.0}


def get_config(argument: str = "synthetic") -> ConfigDict:
    """`argument`: "synthetic" or "real", then a size if not tiny, separated by a comma."""
    data, _, size = argument.partition(",")
    tasks = TASKS[data]
    train = {
        name: {
            "path": path,
            "split": "train",
            "tasks": {name: details},
            "weight": SHARES.get(name, 1.0),
            "pack": 8 if name == "findings" else 1,
        }
        for name, (path, details) in tasks.items()
    }
    evals = {name: evaluated(path, name, details) for name, (path, details) in tasks.items()}
    weights = TAUGHT | {"itm": 0.5, "itc": 0.5}
    if data == "synthetic":
        lengths = {"views": 1, "text": 48, "prompt": 8, "response": 48, "steps": 1200, "batch": 24}
    else:
        lengths = {"text": 128, "prompt": 8, "response": 96, "steps": 1200, "batch": 24}
    config = run(size or "tiny", train, evals, weights, best="report/cider", **lengths)
    config.evaluate_every = config.steps  # eight evaluations take longer than a hundred steps of this size
    return config
