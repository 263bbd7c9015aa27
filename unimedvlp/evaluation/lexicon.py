"""What the 14 CheXpert findings (Irvin et al. 2019) are called in reports, and which Open-i tags name them.

`MENTIONS` are abnormalities, to be read in their context; `NORMAL` are statements that say by themselves that the
finding is absent; `TAGS` are patterns on the manual MeSH annotation of IU X-Ray, one tag ("Opacity/lung/base") each.
The wording is our own; it was tuned on the training split of IU X-Ray only.
"""

import re

NO_FINDING, SUPPORT = "No Finding", "Support Devices"
ABNORMAL = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
)
FINDINGS = (NO_FINDING, *ABNORMAL, SUPPORT)

_HEART = "(?:heart|(?:cardiac|cardio ?mediastinal|cardiopericardial) silhouette|cardiac (?:shadow|contours?|size))"
_MEDIASTINUM = r"(?:mediastin\w+|mediastinal (?:silhouette|contours?|width)|cardiomediastin\w+)"
_BIG = "(?:enlarged|enlargement|prominent|prominence|increased in size|widened|widening)"
_NORMAL = "(?:normal|unremarkable|within normal limits|within limits|not enlarged)"
_GAP = r"(?:[ ,]+(?!and\b|but\b|there\b|with\b)[\w-]+){0,4}?[ ,]+"

_MENTIONS = {
    "Enlarged Cardiomediastinum": [
        f"{_MEDIASTINUM}{_GAP}{_BIG}",
        f"(?:widened|enlarged|prominent|(?:widening|prominence) of(?: the)?)(?: upper| superior)? {_MEDIASTINUM}",
    ],
    "Cardiomegaly": [
        "cardiomegaly|cardiac enlargement|megalocardia|increase in heart size",
        f"{_HEART}(?: size)?{_GAP}(?:{_BIG}|large|borderline)",
        f"(?:enlarged|enlargement of(?: the)?|prominent|prominence of(?: the)?|large|borderline) {_HEART}",
    ],
    "Lung Lesion": [
        "nodul(?:es?|ar|arity)|mass(?:es)?|masslike|tumou?rs?|lesions?",
        r"neoplas\w+|cavit(?:ary|ation|y)|carcinoma|malignan\w+|metasta\w+",
    ],
    "Lung Opacity": [
        r"opaci\w+|infiltrat\w+|air ?-?space (?:disease|process|opaci\w+)|densit(?:y|ies)|scar(?:s|ring)?|reticul\w+",
        r"(?:prominent|increased|coarse(?:ned)?|prominence of(?: the)?)(?: \w+){0,3} markings",
        "interstitial (?:changes|prominence|thickening|disease|pattern|fibrosis)",
    ],
    "Edema": [
        "(?<!tissue )(?<!laryngeal )o?edema|heart failure|chf|failure",
        "(?:mild |vascular|venous|pulmonary|hilar) congestion|(?:vascular|venous) (?:prominence|engorgement)",
        r"vascula\w+ (?:is|are) (?:engorged|prominent)",
        r"(?:prominent|prominence of the) (?:central |pulmonary ){1,2}vascula\w+",
    ],
    "Consolidation": [r"consolidat\w+"],
    "Pneumonia": [r"pneumoni\w+|(?<!granulomatous )(?<!histoplasmosis )infecti\w+"],
    "Atelectasis": [r"atelecta\w+|collapse|volume loss"],
    "Pneumothorax": [r"(?:hydro|hemo)?pneumothora\w+"],
    "Pleural Effusion": ["(?<!pericardial )effusions?|pleural fluid"],
    "Pleural Other": [
        r"(?:pleural|fissural)(?:[ -]\w+){0,2} (?:thickening|plaques?|scar\w*|fibrosis|calcification)",
        "(?:thickening|scarring) of the pleura|fibrothorax",
    ],
    "Fracture": ["fractures?"],
    SUPPORT: [
        "pacemakers?|pacer|a?icd|defibrillators?|generator|stimulators?|devices?|leads?|port|port-a-cath|portacath|mediport",
        "catheters?|picc|(?:central|subclavian|jugular) (?:venous )?lines?|tubes?|tubing|tracheostomy|shunt",
        r"tip(?: [\w-]+){0,7} (?:svc|cava|cavoatrial|caval|right atrium|carina)",
        r"clips?|wires?|sutures?|staples?|hardware|(?<!breast )prosthe\w+|stents?|arthroplasty|anchors?",
        "(?:mitral|aortic|cardiac|heart) valve|valve replacement|internal fixation",
    ],
}
_NORMAL_STATEMENTS = {
    "Enlarged Cardiomediastinum": [rf"{_MEDIASTINUM}{_GAP}{_NORMAL}", rf"normal(?: \w+){{0,4}} {_MEDIASTINUM}"],
    "Cardiomegaly": [rf"{_HEART}(?: size)?{_GAP}{_NORMAL}", rf"normal(?: \w+){{0,3}} {_HEART}"],
    "Lung Opacity": [r"lungs(?: \w+){0,3} clear|clear lungs"],
    "Edema": [r"pulmonary vascula\w+(?: \w+){0,4} normal|normal pulmonary vascula\w+"],
    "Pleural Effusion": [r"pleural spaces(?: \w+){0,3} clear|no pleural"],
    "Fracture": [r"(?:bony structures|osseous structures|bones|bony thorax)(?: \w+){0,4} intact"],
}
_TAGS = {
    "Enlarged Cardiomediastinum": r"mediastinum/.*(?:prominent|enlarged|wide)",
    "Cardiomegaly": r"cardiomegaly|(?:cardiac shadow|heart)/.*enlarged",
    "Lung Lesion": r"nodule|mass|cavitation|(?:opacity|density)/.*round",
    "Lung Opacity": r"opacity|infiltrate|airspace disease|density|cicatrix/lung|cicatrix$|markings/.*interstitial"
    r"|lung diseases, interstitial",
    "Edema": r"pulmonary edema|pulmonary congestion|heart failure",
    "Consolidation": r"consolidation",
    "Pneumonia": r"pneumonia",
    "Atelectasis": r"pulmonary atelectasis|volume loss",
    "Pneumothorax": r"(?:hydro|hemo)?pneumothorax",
    "Pleural Effusion": r"pleural effusion",
    "Pleural Other": r"(?:thickening|cicatrix|calcinosis)/.*pleura",
    "Fracture": r"fractures, bone",
    SUPPORT: r"catheters, indwelling|tube, inserted|(?:implanted )?medical device|surgical instruments|stents|sutures",
    NO_FINDING: r"normal$",
}


def _compile(patterns: list[str]) -> re.Pattern:
    return re.compile(rf"\b(?:{'|'.join(patterns)})(?!\w)")


MENTIONS = {name: _compile(patterns) for name, patterns in _MENTIONS.items()}
NORMAL = {name: _compile(patterns) for name, patterns in _NORMAL_STATEMENTS.items()}
TAGS = {name: re.compile(pattern) for name, pattern in _TAGS.items()}
