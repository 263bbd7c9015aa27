"""UniDCP: one set of weights for all eight tasks, trained together from one pre-trained checkpoint.

unimedvlp train --config configs/finetune/unidcp_multitask.py --data data --workdir runs/unidcp_all --set start_from=runs/unidcp
unimedvlp evaluate --workdir runs/unidcp_all --data data

The second command scores the eight. `:synthetic` (default) trains on phantoms, which have all that the tasks need. `:real` takes
IU X-Ray (R2Gen split) for images, reports, retrieval, summaries and image-text classes (the one finding of a study, told from its
images and the indication), the NIH sample and COVID-19 CXR for images, too, medical abstracts for texts, and VQA-RAD
(image-disjoint) for questions.
"""

from ml_collections import ConfigDict

from configs.unidcp_parts import TAUGHT, evaluated, run

PHANTOMS, CHESTS = "synthetic/by-patient/1.0.0", "iu_xray/r2gen/1.0.0"
ABSTRACTS, QUESTIONS = "medical_abstracts/test-file-disjoint/1.0.0", "vqa_rad/image-disjoint/1.0.0"
NIH, COVID = "nih/by-patient/1.0.0", "covid_cxr/by-patient/1.0.0"
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
TASKS = {  # entry: data, task, its fields
    "synthetic": {name: (PHANTOMS, name, details) for name, details in SHARED.items()}
    | {
        "infer": (PHANTOMS, "infer", {}),
        "image_text_classify": (
            PHANTOMS,
            "image_text_classify",
            {"field": "modality", "reads": "caption", "classes": ("xray", "ct", "fundus")},
        ),
    },
    "real": {name: (QUESTIONS if name == "answer" else CHESTS, name, details) for name, details in SHARED.items()}
    | {
        "findings_nih": (NIH, "findings", {}),
        "covid": (COVID, "findings", {"classes": ("covid-19",)}),
        "text_classify": (ABSTRACTS, "text_classify", {"classes": CONDITIONS}),
        "image_text_classify": (CHESTS, "image_text_classify", {"reads": "indication", "classes": FINDINGS}),
    },
}
# Of the rows of a batch; other entries have 1. With equal shares relations and answers are hardly learned (docs/results.md).
SHARES = {"retrieve": 5.0, "infer": 5.0, "text_classify": 3.0, "answer": 3.0, "findings": 3.0, "report": 2.0}


def get_config(argument: str = "synthetic") -> ConfigDict:
    """`argument`: "synthetic" or "real", then a size if not tiny, separated by a comma."""
    data, _, size = argument.partition(",")
    entries = TASKS[data]
    train = {
        name: {
            "path": path,
            "split": "train",
            "tasks": {task: details},
            "weight": SHARES.get(name, 1.0),
            "pack": 8 if task == "findings" else 1,
        }
        for name, (path, task, details) in entries.items()
    }
    evals = {name: evaluated(path, task, details) for name, (path, task, details) in entries.items()}
    weights = TAUGHT | {"itm": 0.5, "itc": 0.5}
    if data == "synthetic":
        lengths = {"views": 1, "text": 48, "prompt": 8, "response": 48, "steps": 1200, "batch": 24}
    else:
        lengths = {"text": 128, "prompt": 8, "response": 96, "steps": 1200, "batch": 24}
    config = run(size or "tiny", train, evals, weights, best="report/cider", **lengths)
    config.evaluate_every = config.steps  # eight evaluations take longer than a hundred steps of this size
    return config
