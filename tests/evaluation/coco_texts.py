"""Report-like text that we wrote, deterministic, for comparing captioning metrics."""

import random

SENTENCES = (
    "the heart is normal in size",
    "the heart is mildly enlarged",
    "the lungs are clear",
    "the lungs are clear without focal consolidation",
    "there is a small left pleural effusion",
    "no pleural effusion or pneumothorax",
    "there is no pneumothorax",
    "mild bibasilar opacities may reflect atelectasis",
    "the mediastinal contours are within normal limits",
    "degenerative changes are present in the spine",
    "a central venous catheter ends in the superior vena cava",
    "no acute bony abnormality is seen",
    "the the the lungs lungs are are clear",
)


def pairs(count: int = 60, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Predictions [N] and references [N][1..3]; among them identical, empty, short and long predictions."""
    rng = random.Random(seed)

    def report() -> str:
        return " . ".join(rng.sample(SENTENCES, rng.randint(1, 7))) + " ."

    predictions = [report() for _ in range(count)]
    references = [[report() for _ in range(rng.randint(1, 3))] for _ in range(count)]
    predictions[3] = references[3][0]
    predictions[4] = ""
    predictions[5] = "effusion"
    predictions[6] = " . ".join(SENTENCES)
    return predictions, references
