"""Every image data set with damaged files: the same records, a listed set-aside, or one clear line; never a silent drop."""

import csv
import io
import shutil

import damage
import natives
import pytest
from damage import Native

LIST = Native(
    "chexpert", natives.chexpert, "valid-234", ("small/train.csv", "small/valid.csv"),
    "small/train/patient00001/study1/view1_frontal.jpg",
)  # fmt: skip
SETS = (
    LIST,
    Native("nih", natives.nih, "by-patient", ("Data_Entry_2017.csv", "BBox_List_2017.csv"), "images_001/images/00000001_000.png"),
    Native("nih", natives.nih, "official", ("train_val_list.txt", "test_list.txt")),
    Native("rsna", natives.rsna, "", ("stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"),
           "stage_2_train_images/0004cfab-14fd-4e49-80ba-63a80b6bddd0.dcm"),
    Native("siim", natives.siim, "", ("train-rle.csv",),
           "dicom-images-train/1.2.0/1.2.0.1/1.2.276.0.7230010.3.1.4.8323329.0.1517875174.52957.dcm"),
    Native("siim", natives.siim_png, "stage-1", ("stage_1_train_images.csv", "stage_1_test_images.csv"), "png_masks/1_train_1_.png"),
    Native("siim", natives.siim_png, "stage-1", (), "png_images/1_train_1_.png"),
    Native("vindr", natives.vindr, "", ("annotations/annotations_train.csv", "annotations/annotations_test.csv"), "train/aaa.dicom"),
    Native("covidx", natives.covidx, "9B", ("train_COVIDx9B.txt", "test_COVIDx9B.txt"), "train/b.png"),
    Native("object_cxr", natives.object_cxr, "", ("train.csv", "dev.csv"), "train/00001.jpg"),
    Native("tbx11k", natives.tbx11k, "", ("TBX11K/annotations/json/TBX11K_train.json",), "TBX11K/imgs/tb/tb0005.png"),
    Native("tbx11k", natives.tbx11k_csv, "by-image", ("data.csv",), "images/tb0003.png"),
    Native("medmnist", natives.medmnist, "", (), "pneumoniamnist.npz"),
    Native("covid_cxr", natives.covid_cxr, "", ("metadata.csv", "annotations/v7_mask_to_image.csv"), "images/a.jpg"),
    Native("covid_cxr", natives.covid_cxr, "", ("annotations/annotations.json", "annotations/v7_covid_only_coco.json"),
           "annotations/v7-semantic-masks/11.png"),
    Native("bccd", natives.voc, "", ("BCCD/ImageSets/Main/train.txt", "BCCD/Annotations/BloodImage_00000.xml"),
           "BCCD/JPEGImages/BloodImage_00000.jpg"),
    Native("pascal_voc", natives.voc, "", ("BCCD/ImageSets/Main/train.txt", "BCCD/Annotations/BloodImage_00000.xml"),
           "BCCD/JPEGImages/BloodImage_00000.jpg"),
    Native("chase_db1", natives.chase_db1, "", (), "CHASEDB1/Image_01L.jpg"),
    Native("chase_db1", natives.chase_db1, "", (), "CHASEDB1/Image_01L_1stHO.png"),
    Native("coco", natives.coco, "", ("annotations/instances_train2017.json",), "train2017/train2017_1.jpg"),
    Native("image_folder", natives.image_folder, "", (), "train/0_normal/00000_1.png"),
    Native("image_mask_folder", natives.image_mask_folder, "", (), "train/images/p0_0.png"),
    Native("image_mask_folder", natives.image_mask_folder, "", (), "train/masks/p0_0.png"),
)  # fmt: skip
IDS = [f"{native.name}-{native.make.__name__}-{i}" for i, native in enumerate(SETS)]
TABLES = [(native, table) for native in SETS for table in native.tables]
TABLE_IDS = [f"{native.name}-{table.rpartition('/')[2]}-{i}" for i, (native, table) in enumerate(TABLES)]
# Native files that are optional: without them the records are the same ones, with less in them.
OPTIONAL = (
    "BBox_List_2017.csv", "stage_2_detailed_class_info.csv", "stage_1_test_images.csv", "annotations_test.csv",
    "v7_mask_to_image.csv", "annotations.json", "v7_covid_only_coco.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Makes a fresh copy of a native folder, and its clean outcome, without drawing it twice."""
    kept = {}

    def fresh(native, folder):
        key = (native.make.__name__, native.name, native.protocol)
        if key not in kept:
            base = tmp_path_factory.mktemp("native")
            source = native.make(base / "source")
            kept[key] = source, native.prepare(source, base / "out")
        shutil.copytree(kept[key][0], folder)
        return folder, kept[key][1]

    return fresh


@pytest.mark.parametrize("native", SETS, ids=IDS)
@pytest.mark.parametrize(
    "kind", [damage.missing, damage.empty, damage.truncated, damage.binary], ids=lambda k: k.__name__
)
def test_a_damaged_image(native, kind, made, tmp_path):
    if not native.image:
        pytest.skip("this entry damages lists only")
    if kind is damage.missing and native.name == "image_folder":
        pytest.skip("nothing says that there was one")
    source, clean = made(native, tmp_path / "source")
    kind(source / native.image)
    name = native.image.rpartition("/")[2]
    stem = name.rpartition(".")[0] if name.count(".") == 1 else name.removesuffix(".dcm")
    found = damage.accounted(native, clean, source, tmp_path / "out", (name, stem, "NAME.npz"))
    assert found != "same"


@pytest.mark.parametrize(("native", "table"), TABLES, ids=TABLE_IDS)
def test_a_damaged_table(native, table, made, tmp_path):
    source, clean = made(native, tmp_path / "source")
    path = source / table
    names = (path.name, path.stem)
    content = path.read_bytes()
    for kind in (damage.missing, damage.empty, damage.truncated, damage.binary):
        if kind is damage.missing and native.name == "coco":
            continue  # nothing says that there was one
        kind(path)
        found = damage.accounted(native, clean, source, tmp_path / "out", names)
        if kind is not damage.missing or path.name not in OPTIONAL:
            assert found != "same", kind.__name__
        path.write_bytes(content)


@pytest.mark.parametrize(("native", "table"), TABLES, ids=TABLE_IDS)
def test_harmless_differences(native, table, made, tmp_path):
    source, clean = made(native, tmp_path / "source")
    path = source / table
    content = path.read_bytes()
    for kind in (damage.bom, damage.crlf) + ((damage.reordered,) if path.suffix == ".csv" else ()):
        kind(path)
        assert damage.accounted(native, clean, source, tmp_path / "out", ()) == "same", kind.__name__
        path.write_bytes(content)


CSVS = [(native, table) for native, table in TABLES if table.endswith(".csv")]


@pytest.mark.parametrize(("native", "table"), CSVS, ids=[f"{n.name}-{t.rpartition('/')[2]}" for n, t in CSVS])
def test_odd_cells(native, table, made, tmp_path):
    """NaN, Latin-1 and a path that leads outside in each column, and the last line twice."""
    source, clean = made(native, tmp_path / "source")
    path = source / table
    content = path.read_bytes()
    row = next(r for i, r in enumerate(csv.reader(io.StringIO(content.decode()))) if i == 1)
    names = (path.name, path.stem, *(value.rpartition("/")[2] for value in row if value), "outside")
    for value in ("NaN", "caf\xe9 ", "../../../etc/passwd"):
        for column in range(len(row)):
            damage.cell(path, column, value)
            path.write_bytes(path.read_text().encode("latin-1"))
            damage.accounted(native, clean, source, tmp_path / "out", (*names, value.strip()))
            path.write_bytes(content)
    damage.repeated(path)
    damage.accounted(native, clean, source, tmp_path / "out", (path.name, path.stem, *_last(content)))


def _last(content: bytes) -> list[str]:
    return [value.rpartition("/")[2] for value in content.decode().strip().rpartition("\n")[2].split(",") if value]
