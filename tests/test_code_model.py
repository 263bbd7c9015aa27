"""Codes from a real, tiny, trained model: what the command stores is what a jitted step computes, bit for bit."""

import json

import jax
import numpy as np
import pytest

from data_pipelines.coded import image_picture, mask_pictures
from data_pipelines.read import PreparedSplit
from launch import codes, prepare, train
from unimedvlp.code_model import CodeModel
from unimedvlp.errors import UserError
from unimedvlp.tokens import text
from unimedvlp.tokens.region_sequences import image_codes, read_image_codes
from unimedvlp.tokens.space import TokenSpace

PATH = "synthetic/by-patient/1.0.0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prepared phantoms, and a model of image codes and one of mask codes trained on them for a few steps."""
    folder = tmp_path_factory.mktemp("codes")
    jax.config.update("jax_disable_most_optimizations", True)  # training compiles much and computes little
    prepare.main(["synthetic", "--out", str(folder / "data"), "--studies", "24"])
    for of in ("images", "masks"):
        mixture = f"{{synthetic: {{path: {PATH}, split: train, tasks: {{reconstruct: {{pictures: {of}}}}}}}}}"
        tiny = ["steps=3", "batch=2", "optimizer.warmup=1", "save_every=0", "log_every=3", "data.threads=0"]
        tiny += ["data.spec.image_size=16", "system.model.width=8", "system.model.blocks=1", f"data.train={mixture}"]
        tiny += ["data.spec.mask_size=16"] if of == "masks" else []
        command = ["--config", f"configs/pretrain/codes.py:{of}", "--data", str(folder / "data")]
        train.main([*command, "--workdir", str(folder / of), "--set", *tiny])
    jax.config.update("jax_disable_most_optimizations", False)
    return folder


@pytest.fixture(scope="module")
def models(folder):
    return CodeModel.load(folder / "images", "images"), CodeModel.load(folder / "masks", "masks")


@pytest.fixture(scope="module")
def coded(folder):
    both = ["--images", str(folder / "images"), "--masks", str(folder / "masks"), "--data", str(folder / "data")]
    codes.main([*both, "--path", PATH, "--out", str(folder / "coded")])
    return folder / "coded" / PATH


def test_stored_codes_are_those_of_a_jitted_step(folder, coded, models):
    images, masks = models
    step = jax.jit(lambda params, batch: {"codes": images.system.encode(params, batch["image"][:, 0])})
    count = 0
    for split in ("train", "validation", "test"):
        before, after = PreparedSplit(folder / "data" / PATH, split), PreparedSplit(coded, split)
        assert len(before) == len(after)
        batch = np.stack([image_picture(record, images) for record in after])[:, None]
        found = np.asarray(step(images.params, {"image": batch})["codes"])  # another batch size than the command's
        for old, record, expected in zip(before, after, found, strict=True):
            assert (old.study_id, old.images, old.masks) == (record.study_id, record.images, record.masks)
            np.testing.assert_array_equal(record.image_codes, expected)
            pictures = mask_pictures(record, masks)
            alone = [
                np.asarray(jax.jit(masks.system.encode)(masks.params, picture[None]))[0] for picture in pictures[:1]
            ]
            if alone:
                np.testing.assert_array_equal(record.mask_codes[: len(alone[0])], alone[0])
                count += 1
            assert len(record.mask_codes) == 4 * len(record.masks)
    assert count > 5


def test_codes_go_into_the_token_space_and_come_back_as_pictures(coded, models):
    space = TokenSpace.create((), text.train(["a b"], size=300))
    record = PreparedSplit(coded, "test")[0]
    sequence = image_codes(space, record.modality, record.image_codes)
    codes_ = read_image_codes(sequence.response)
    np.testing.assert_array_equal(codes_, record.image_codes)
    images, masks = models
    assert images.decode(codes_[None]).shape == (1, 16, 16, 1)
    probability = masks.decode(np.zeros((2, 4), np.int32))
    assert probability.shape == (2, 16, 16, 1) and (probability >= 0).all() and (probability <= 1).all()


def test_scores_and_page(folder, capsys, tmp_path):
    arguments = ["--images", str(folder / "images"), "--masks", str(folder / "masks"), "--data", str(folder / "data")]
    codes.main([*arguments, "--path", PATH, "--page", str(tmp_path / "page.html")])
    out = capsys.readouterr().out
    found = json.loads(out[: out.index("page:")])
    images, masks = found["images"]["synthetic"], found["masks"]["synthetic"]
    assert images["psnr"][1] <= images["psnr"][0] <= images["psnr"][2]
    assert 0 <= masks["dice"][0] <= 1 and 0 <= masks["dice at full size"][0] <= 1
    assert 0 < images["used"][0] <= 1 and images["perplexity"][0] >= 1
    assert (tmp_path / "page.html").read_text().count("<figure") == 2


def test_what_goes_wrong_is_said(folder, coded):
    with pytest.raises(UserError, match=r"holds no codes of masks; train one with configs/pretrain/codes\.py:masks"):
        CodeModel.load(folder / "images", "masks")
    arguments = ["--images", str(folder / "images"), "--data", str(folder / "data"), "--path", PATH]
    with pytest.raises(UserError, match="is already there"):
        codes.main([*arguments, "--out", str(folder / "coded")])
    with pytest.raises(UserError, match="is the folder of the data itself"):
        codes.main([*arguments, "--out", str(folder / "data")])
    with pytest.raises(UserError, match="--images WORKDIR, --masks WORKDIR, or both"):
        codes.main([])
    assert not list((folder / "coded").rglob("incomplete*"))
