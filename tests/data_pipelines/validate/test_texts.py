"""What texts give away: languages, residue of de-identification, damage."""

import pytest

from data_pipelines.validate.texts import COUNTED, damage, empty, language, residue

SENTENCES = {
    "English": "The heart is normal in size and there are no pleural effusions. The lungs are clear.",
    "Spanish": "El corazón es de tamaño normal y los pulmones son claros sin derrame del lado izquierdo.",
    "Portuguese": "O coração é normal e os pulmões não apresentam lesões; sem derrame da base à direita.",
    "French": "Le coeur est de taille normale et les poumons sont clairs, sans épanchement dans la base gauche.",
    "German": "Das Herz ist normal groß und die Lunge ist frei, kein Erguss und keine Stauung mit Infiltrat.",
    "Italian": "Il cuore è di dimensioni normali e gli spazi della base sono liberi, senza versamento nel seno.",
    "Dutch": "Het hart is niet vergroot en er is geen vocht van de longen, zonder infiltraat aan de basis bij een patiënt.",
    "Chinese or Japanese": "心脏大小正常，双肺清晰，无胸腔积液。",
    "Cyrillic": "Сердце не увеличено, лёгкие чистые.",
}


@pytest.mark.parametrize(("name", "text"), SENTENCES.items(), ids=SENTENCES)
def test_languages_are_told_apart(name, text):
    assert language(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "Cor pulmonale.",
        "T2 hyperintense lesion",
        "Left lower lobe opacity",
        "Alpha-1 \u03b1 \u03b2 level",
        "Normal. No effusion.",
    ],
)
def test_short_texts_are_not_judged(text):
    assert language(text) == ""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("seen by [**Doctor Last Name 123**] today", "a placeholder of de-identification"),
        ("patient <NAME> was", "a placeholder of de-identification"),
        ("compared with 03/14/2019.", "a date"),
        ("compared with 14.03.2019.", "a date"),
        ("on 2019-03-14 a", "a date"),
        ("since March 14, 2019 the", "a date"),
        ("call 555-123-4567 now", "a phone number"),
        ("call (555) 123-4567 now", "a phone number"),
        ("discussed with Dr. Smith by phone", "a name after a title"),
        ("Mrs Miller is", "a name after a title"),
        ("write to j.doe@hospital.org", "an address of mail"),
        ("MRN: 1234567", "a record number"),
    ],
)
def test_residue_is_found(text, kind):
    assert list(residue(text)) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "Lungs are clear XXXX.", "seen by Dr. XXXX at XXXX", "T5/T6 and L4-5 on 3/4 views", "measures 12.5 x 13.4 x 10 cm",
        "ratio 10/12/145", "compared to ____", "MR of the brain", "1.2.3.2019 in a version", "Ms contin 15 mg", "doctor visit in 2019",
        "blood pressure 120/80/60", "phase 555 123 45",
    ],
)  # fmt: skip
def test_what_is_no_residue(text):
    assert residue(text) == {}


def test_blanks_are_counted_apart():
    name = next(iter(COUNTED))
    assert residue("a XXXX b", COUNTED) == {name: "a XXXX b"} == residue("a XXXX b", COUNTED)
    assert residue("x-____", COUNTED) and not residue("XX chromosomes", COUNTED)


@pytest.mark.parametrize(
    "text",
    [
        "caf\u00c3\u00a9",
        "it\u00e2\u20ac\u2122s",
        "it\ufffds",
        "a &gt; b",
        "a\\u00e9",
        "bad\x00",
        "\u00ef\u00bb\u00bfstart",
    ],
)
def test_damaged_encodings_are_found(text):
    assert damage(text) == text.strip()


@pytest.mark.parametrize(
    "text", ["caf\u00e9", "38 \u00b0C", "\u00c2ge", "S\u00c3O", "R&D > 5", "line\none\ttab", "\u4f60\u597d"]
)
def test_sound_encodings_pass(text):
    assert damage(text) == ""


def test_long_places_are_cut():
    assert damage("a" * 100 + "\ufffd" + "b" * 100) == "\u2026" + "a" * 20 + "\ufffd" + "b" * 20 + "\u2026"


def test_texts_without_a_word():
    assert empty(" . -- ") and empty("") and not empty("5") and not empty("\u80ba")
