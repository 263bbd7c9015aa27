"""Small folders laid out as the owners of image data sets ship them, quirks included; used by the tests of each set.

Every maker takes an empty folder, fills it and returns what `prepare` should be given as --source.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

IDENTIFIERS = ("Doe^Jane", "MRN-4711", "St. Elsewhere", "19700101")


def picture(seed: int = 0, height: int = 24, width: int = 24, suffix: str = ".png", channels: int = 1) -> bytes:
    """A small textured picture."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, channels), dtype=np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def put(path: Path, data: bytes | str) -> Path:
    """Write a file, making its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def dicom(path: Path, seed: int = 0, height: int = 20, width: int = 20, photometric: str = "MONOCHROME2") -> Path:
    """An 8-bit DICOM radiograph of a patient with a name, a number, a birth date and a hospital."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{seed + 1}"
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.PatientName, data.PatientID, data.InstitutionName, data.PatientBirthDate = IDENTIFIERS
    data.Modality, data.BodyPartExamined, data.ViewPosition = "CR", "CHEST", "PA"
    data.PhotometricInterpretation, data.SamplesPerPixel = photometric, 1
    data.Rows, data.Columns = height, width
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = np.random.default_rng(seed).integers(0, 255, (height, width), dtype=np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


CHEXPERT_COLUMNS = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,"
    "Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)


def chexpert(source: Path) -> Path:
    """Three patients to train and two to validate, in a folder whose name is not the one in `Path`."""
    train = [
        ("train/patient00001/study1/view1_frontal", "Female,68,Frontal,AP", "1.0,,,,,,,,,0.0,,,,1.0"),
        ("train/patient00002/study2/view1_frontal", "Male,87,Frontal,PA", ",,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,"),
        ("train/patient00002/study2/view2_lateral", "Male,87,Lateral,", ",,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,"),
        ("train/patient00005/study1/view1_frontal", "Unknown,0,Frontal,AP", ",,,,,,,,,,,,,"),
    ]
    valid = [
        ("valid/patient64541/study1/view1_frontal", "Male,73,Frontal,AP", ",1.0,1.0,1.0,,,,,,,,,,"),
        ("valid/patient64542/study1/view2_lateral", "Male,70,Lateral,", "0.0,0.0,0.0,0.0,0,0,0,0,0,0,0,0,0,1.0"),
    ]
    for name, rows in (("train", train), ("valid", valid)):
        lines = [f"CheXpert-v1.0-small/{path}.jpg,{about},{labels}" for path, about, labels in rows]
        put(source / "small" / f"{name}.csv", "\n".join([CHEXPERT_COLUMNS, *lines, ""]))
        for i, (path, _, _) in enumerate(rows):
            put(source / "small" / f"{path}.jpg", picture(10 * len(rows) + i, suffix=".jpg"))
    return source


NIH_COLUMNS = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)


def nih(source: Path) -> Path:
    """Four patients, the first with two images; boxes in pixels of 1024; a follow-up in each official list."""
    rows = [
        "00000001_000.png,Cardiomegaly|Emphysema,0,1,57,M,PA,2682,2749,0.143,0.143",
        "00000001_001.png,No Finding,1,1,58,M,AP,2894,2729,0.143,0.143",
        "00000002_000.png,Effusion|Infiltration|Pleural_Thickening,0,2,80,F,PA,2500,2048,0.171,0.171",
        "00000003_000.png,Hernia,0,3,81,F,PA,2582,2991,0.143,0.143",
        "00000004_000.png,Mass|Nodule,0,4,82,M,AP,2500,2048,0.168,0.168",
    ]
    put(source / "Data_Entry_2017.csv", "\n".join([NIH_COLUMNS, *rows, ""]))
    boxes = ["00000002_000.png,Infiltrate,256,512,128,256,,,", "00000004_000.png,Mass,0,0,1024,1024,,,"]
    put(source / "BBox_List_2017.csv", "\n".join(["Image Index,Finding Label,Bbox [x,y,w,h],,,", *boxes, ""]))
    for i, row in enumerate(rows):
        put(source / f"images_00{1 + i % 2}/images" / row.split(",")[0], picture(i))
    put(source / "train_val_list.txt", "".join(f"0000000{i}_00{j}.png\n" for i, j in ((1, 0), (1, 1), (2, 0), (3, 0))))
    put(source / "test_list.txt", "00000004_000.png\n")
    return source


def rsna(source: Path) -> Path:
    """Eight patients, the first with two boxes and three rows of classes for two of them, and one test image."""
    ids = [f"0004cfab-14fd-4e49-80ba-63a80b6bddd{i}" for i in range(8)]
    rows = [f"{ids[0]},2,4,10,5,1", f"{ids[0]},12,1,6,15.5,1", f"{ids[1]},,,,,0", f"{ids[2]},0,0,20,20,1"]
    rows += [f"{patient},,,,,0" for patient in ids[3:]]
    put(source / "stage_2_train_labels.csv", "\n".join(["patientId,x,y,width,height,Target", *rows, ""]))
    kinds = ["Lung Opacity", "Lung Opacity", "No Lung Opacity / Not Normal", "Lung Opacity"] + ["Normal"] * 5
    classes = [f"{row.split(',')[0]},{kind}" for row, kind in zip(rows, kinds, strict=True)]
    put(source / "stage_2_detailed_class_info.csv", "\n".join(["patientId,class", *classes, ""]))
    for i, patient in enumerate(ids):
        dicom(source / f"stage_2_train_images/{patient}.dcm", i)
    dicom(source / "stage_2_test_images/fffb2395-8edd-4954-8a89-ffe2fd329be3.dcm", 50)
    return source


def siim(source: Path) -> Path:
    """Six images: one with two rows of runs, one with a single one, the others without; a blank before the column's name."""
    ids = [f"1.2.276.0.7230010.3.1.4.8323329.{i}.1517875174.52957" for i in range(6)]
    rows = [f"{ids[0]},0 2 1022 3", f"{ids[0]}, 5120 10", f"{ids[1]}, 100 1 1023 1"]
    rows += [f"{image}, -1" if i % 2 else f"{image},-1" for i, image in enumerate(ids[2:])]
    put(source / "train-rle.csv", "\n".join(["ImageId, EncodedPixels", *rows, ""]))
    for i, image in enumerate(ids):
        dicom(source / f"dicom-images-train/1.2.{i}/1.2.{i}.1/{image}.dcm", i)
    return source


def siim_png(source: Path) -> Path:
    """The same data as Kaggle's PNG copy has it: new names, masks as pictures, a test part."""
    mask = np.zeros((32, 32), np.uint8)
    mask[4:10, 8:12] = 255
    for part, count in (("train", 6), ("test", 2)):
        rows = ["new_filename,ImageId,has_pneumo"]
        for i in range(count):
            name, positive = f"{i}_{part}_{i % 2}_.png", i % 2
            rows.append(f"{name},1.2.276.{part == 'test':d}.{i},{positive}")
            put(source / "png_images" / name, picture(10 * count + i, 32, 32))
            put(source / "png_masks" / name, cv2.imencode(".png", mask * positive)[1].tobytes())
        put(source / f"stage_1_{part}_images.csv", "\n".join([*rows, ""]))
    return source


VINDR_COLUMNS = "image_id,rad_id,class_name,x_min,y_min,x_max,y_max,class_id"


def vindr(source: Path) -> Path:
    """Four training images read by three radiologists each, one test image with a consensus and without reader and number."""
    rows = [
        "aaa,R8,Cardiomegaly,2,4,30,16,3", "aaa,R9,Cardiomegaly,3,4,31,16,3", "aaa,R10,Nodule/Mass,8,8,12,12,8",
    ]  # fmt: skip
    rows += [f"{image},{reader},No finding,,,,,14" for image in ("bbb", "ccc", "ddd") for reader in ("R8", "R9", "R10")]
    put(source / "annotations/annotations_train.csv", "\n".join([VINDR_COLUMNS, *rows, ""]))
    test = ["image_id,class_name,x_min,y_min,x_max,y_max", "eee,Cardiomegaly,0,0,40,10", "fff,No finding,,,,"]
    put(source / "annotations/annotations_test.csv", "\n".join([*test, ""]))
    for i, name in enumerate(("train/aaa", "train/bbb", "train/ccc", "train/ddd", "test/eee", "test/fff")):
        dicom(source / f"{name}.dicom", i, 20, 40, "MONOCHROME1" if i % 2 else "MONOCHROME2")
    return source


def covidx(source: Path) -> Path:
    """Version 9B and the three classes of 9A; a file name with a blank, one number in two collections."""
    rows = {
        "train": ["3 SARS-10.1148 a0.jpeg negative cohen", "3 b.png positive actmed", "379 b1.png negative rsna"],
        "test": ["ANON24 c.png positive bimcv", "105 c1.png negative rsna"],
    }
    words = {"negative cohen": "pneumonia cohen", "negative rsna": "normal rsna", "positive": "COVID-19"}
    for split, lines in rows.items():
        put(source / f"{split}_COVIDx9B.txt", "\n".join([*lines, ""]))
        text = "\n".join([*lines, ""])
        for old, new in words.items():
            text = text.replace(old, new)
        put(source / f"{split}_COVIDx9A.txt", text)
        for i, line in enumerate(lines):
            name = " ".join(line.split()[1:-2])
            put(source / split / name, picture(10 * len(lines) + i, suffix=Path(name).suffix))
    return source


def object_cxr(source: Path) -> Path:
    """An image with all three shapes, one with an ellipse, one without objects; blanks and a trailing semicolon as met."""
    train = [
        "00001.jpg,0 10 4 30 12;1 2 2 12 8;2 20 14 36 14 36 19 20 19",
        "00002.jpg,",
        "00003.jpg,1 0 0 40 20;",
    ]
    put(source / "train.csv", "\n".join(["image_name,annotation", *train, ""]))
    put(source / "dev.csv", "image_name,annotation\n08001.jpg,\n08002.jpg,0 1 1 5 5\n")
    for i, name in enumerate(("train/00001", "train/00002", "train/00003", "dev/08001", "dev/08002")):
        put(source / f"{name}.jpg", picture(i, 20, 40, ".jpg"))
    return source


def tbx11k(source: Path) -> Path:
    """Three training images of the three kinds and two to validate, in COCO files."""
    categories = [
        {"id": 1, "name": "ActiveTuberculosis"},
        {"id": 2, "name": "ObsoletePulmonaryTuberculosis"},
        {"id": 3, "name": "PulmonaryTuberculosis"},
    ]
    names = {
        "train": ["tb/tb0005.png", "health/h0001.png", "sick/s0001.png"],
        "val": ["tb/tb0001.png", "health/h9.png"],
    }
    for split, files in names.items():
        images = [{"id": i, "file_name": name, "width": 64, "height": 64} for i, name in enumerate(files, start=1)]
        boxes = [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [16.5, 8, 32, 16], "iscrowd": 0, "area": 512}]
        content = {"images": images, "annotations": boxes, "categories": categories}
        put(source / f"TBX11K/annotations/json/TBX11K_{split}.json", json.dumps(content))
        for i, name in enumerate(files):
            put(source / "TBX11K/imgs" / name, picture(i + len(split), 32, 32))
    return source


def tbx11k_csv(source: Path) -> Path:
    """Kaggle's table: a box as a dictionary in text, "none" for none."""
    rows = [
        "fname,image_height,image_width,source,bbox,target,tb_type,image_type",
        "h0003.png,32,32,train,none,no_tb,none,healthy",
        "tb0003.png,32,32,train,\"{'xmin': 8.5, 'ymin': 4, 'width': 8, 'height': 16}\",tb,latent_tb,tb",
        "tb0003.png,32,32,train,\"{'xmin': 20, 'ymin': 4, 'width': 8, 'height': 8}\",tb,active_tb,tb",
        "s0003.png,32,32,train,none,no_tb,none,sick_but_no_tb",
    ]
    put(source / "data.csv", "\n".join([*rows, ""]))
    for i, name in enumerate(("h0003", "tb0003", "s0003")):
        put(source / f"images/{name}.png", picture(i, 32, 32))
    return source


def medmnist(source: Path, name: str = "pneumoniamnist", shape: tuple[int, ...] = (8, 8), classes: int = 2) -> Path:
    """A set of 6, 2 and 2 images; numbers as classes, or with `classes` = 0 three zeros and ones an image."""
    random = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 6), ("val", 2), ("test", 2)):
        arrays[f"{split}_images"] = random.integers(0, 255, (count, *shape), dtype=np.uint8)
        numbers = (np.arange(count) % classes)[:, None] if classes else random.integers(0, 2, (count, 3))
        arrays[f"{split}_labels"] = numbers.astype(np.uint8)
    source.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(source / f"{name}.npz", **arrays)
    return source


COVID_COLUMNS = (
    "patientid,offset,sex,age,finding,survival,intubated,intubation_present,went_icu,in_icu,needed_supplemental_O2,extubated,"
    "temperature,pO2_saturation,leukocyte_count,neutrophil_count,lymphocyte_count,view,modality,date,location,folder,filename,"
    "doi,url,license,clinical_notes,other_notes,"
)


def covid_cxr(source: Path) -> Path:
    """Four images: with polygons and run lengths, with a semantic mask only, to do, and of a second visit."""

    def row(patient: str, finding: str, view: str, name: str, licence: str, notes: str) -> str:
        blank = "," * 12
        return (
            f'{patient},0,M,65,{finding},Y{blank}{view},X-ray,2020,"Wuhan, China",images,{name},,,{licence},{notes},,'
        )

    rows = [
        row("2", '"COVID-19, ARDS"', "PA", "a.jpg", "CC BY 3.0", '"Fever, cough."'),
        row("4", "Pneumonia/Viral/SARS", "AP Supine", "b.png", "CC BY-NC-SA", ""),
        row("9", "todo", "L", "c.jpeg", "", "Follow-up."),
        row("2", "No Finding", "AP", "d.png", "CC BY", ""),
    ]
    put(source / "metadata.csv", "\n".join([COVID_COLUMNS, *rows, ""]))
    for i, name in enumerate(("a.jpg", "b.png", "c.jpeg", "d.png")):
        put(source / "images" / name, picture(i, 20, 40, Path(name).suffix))
    lungs = [{"id": 1, "name": "Right Lung"}, {"id": 2, "name": "Left Lung"}]
    sizes = {"width": 40, "height": 20}
    images = [{"id": i, "file_name": name, **sizes} for i, name in ((7, "a.jpg"), (8, "b.png"))]
    boxes = [
        {"id": 13, "image_id": 7, "category_id": 1, "bbox": [4, 2, 10, 15], "segmentation": [], "iscrowd": 0},
        {"id": 14, "image_id": 7, "category_id": 2, "bbox": [24, 2, 10, 15], "segmentation": [], "iscrowd": 0},
        {"id": 850, "image_id": 8, "bbox": [4, 2, 10, 15], "segmentation": [], "iscrowd": 0},
    ]
    content = {"images": images, "annotations": boxes, "categories": lungs}
    put(source / "annotations/annotations.json", json.dumps(content))
    half = [0, 20 * 10, 20 * 5, 20 * 25]  # columns 10 to 14
    polygons = [
        {"id": 1, "image_id": 7, "category_id": 0, "bbox": [4, 2, 10, 15], "iscrowd": 0,
         "segmentation": [[4, 2, 14, 2, 14, 17, 4, 17]]},
        {"id": 2, "image_id": 7, "category_id": 0, "bbox": [10, 0, 5, 20], "iscrowd": 1,
         "segmentation": {"counts": half[1:], "size": [20, 40]}},
        {"id": 3, "image_id": 7, "category_id": 1, "bbox": [0, 0, 2, 2], "iscrowd": 0,
         "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]},
    ]  # fmt: skip
    names = [{"id": 0, "name": "Lung"}, {"id": 1, "name": "Ignore"}]
    content = {"images": images[:1], "annotations": polygons, "categories": names}
    put(source / "annotations/v7_covid_only_coco.json", json.dumps(content))
    mask = np.zeros((20, 40), np.uint8)
    mask[5:15, 5:15], mask[0:2, 0:2] = 255, 127
    put(source / "annotations/v7-semantic-masks/11.png", cv2.imencode(".png", mask)[1].tobytes())
    put(source / "annotations/v7_mask_to_image.csv", "mask,filename\n11.png,b.png\n")
    return source


def voc_xml(name: str, objects: str, width: int = 40, height: int = 20) -> str:
    """An XML file as labelImg writes it."""
    return (
        f"<annotation>\n\t<folder>JPEGImages</folder>\n\t<filename>{name}.jpg</filename>\n\t<path>/home/pi/{name}.jpg</path>\n"
        f"\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n\t<segmented>0</segmented>\n"
        f"{objects}</annotation>\n"
    )


def voc_object(name: str, *corners: object, difficult: int = 0, truncated: int = 0) -> str:
    """One object of such a file."""
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return (
        f"\t<object>\n\t\t<name>{name}</name><pose>Unspecified</pose><truncated>{truncated}</truncated>"
        f"<difficult>{difficult}</difficult>\n\t\t<bndbox>{box}</bndbox>\n\t</object>\n"
    )


def voc(source: Path) -> Path:
    """Five images of cells: truncated and difficult ones, none at all; lists for all three splits."""
    root = source / "BCCD"
    objects = {
        "BloodImage_00000": voc_object("WBC", 1, 1, 40, 20, truncated=1) + voc_object("RBC", 11, 6, 20, 15),
        "BloodImage_00002": voc_object("Platelets", 5, 5, 8, 8) + voc_object("RBC", 2, 2, 9, 9, difficult=1),
        "BloodImage_00004": "",
        "BloodImage_00006": voc_object("RBC", 3, 3, 7, 7),
        "BloodImage_00008": voc_object("RBC", 3, 3, 9, 9),
    }
    for i, (name, items) in enumerate(objects.items()):
        put(root / f"Annotations/{name}.xml", voc_xml(name, items))
        put(root / f"JPEGImages/{name}.jpg", picture(i, 20, 40, ".jpg", 3))
    names = list(objects)
    for split, chosen in (("train", names[:3]), ("val", names[3:4]), ("test", names[4:]), ("trainval", names[:4])):
        put(root / f"ImageSets/Main/{split}.txt", "".join(f"{name}\n" for name in chosen))
    return source


def chase_db1(source: Path) -> Path:
    """Both eyes of four children, each with the 1-bit masks of two observers."""
    for i in range(8):
        name = f"CHASEDB1/Image_{1 + i // 2:02d}{'LR'[i % 2]}"
        put(source / f"{name}.jpg", picture(i, 20, 24, ".jpg", 3))
        for j, observer in enumerate(("1stHO", "2ndHO")):
            mask = np.zeros((20, 24), np.uint8)
            mask[3 + j : 9, 2:20] = 255
            data = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes()
            put(source / f"{name}_{observer}.png", data)
    return source


def coco(source: Path) -> Path:
    """COCO's own layout: a file a split; polygons, run lengths of both kinds, a crowd, a box alone, nothing."""
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [4, 2, 10, 16], "segmentation": [[4, 2, 14, 2, 14, 18, 4, 18]]},
        {"id": 2, "image_id": 1, "category_id": 4, "bbox": [2, 1, 5, 4], "iscrowd": 0,
         "segmentation": {"size": [20, 40], "counts": [41, 4, 16, 4, 16, 4, 16, 4, 16, 4, 675]}},
        {"id": 3, "image_id": 1, "category_id": 4, "bbox": [0, 0, 40, 20], "iscrowd": 1,
         "segmentation": {"size": [20, 40], "counts": [0, 800]}},
        {"id": 4, "image_id": 2, "category_id": 3, "bbox": [0.5, 0.5, 2, 2]},
    ]  # fmt: skip
    categories = [{"id": 3, "name": "nodule", "supercategory": "lesion"}, {"id": 4, "name": "mass"}]
    for split, count in (("train2017", 3), ("val2017", 1)):
        images = [{"id": i, "file_name": f"{split}_{i}.jpg", "width": 40, "height": 20} for i in range(1, count + 1)]
        kept = [item for item in annotations if item["image_id"] <= count]
        content = {"images": images, "annotations": kept, "categories": categories}
        put(source / f"annotations/instances_{split}.json", json.dumps(content))
        for i in range(1, count + 1):
            put(source / f"{split}/{split}_{i}.jpg", picture(i + len(split), 20, 40, ".jpg"))
    put(source / "annotations/captions_train2017.json", '{"images": [], "annotations": []}')
    return source


def image_folder(source: Path) -> Path:
    """Two classes in three splits, PNG, JPEG and DICOM, and a file that is no image."""
    for i, split in enumerate(("train", "valid", "test")):
        put(source / split / "0_normal" / f"0000{i}_1.png", picture(10 + i))
        put(source / split / "1_abnormal" / f"0000{i}_2.JPG", picture(20 + i, suffix=".jpg"))
    dicom(source / "train/1_abnormal/00000_3.dcm", 30)
    put(source / "README.txt", "about")
    return source


def image_mask_folder(source: Path) -> Path:
    """Label maps of two classes beside images, in three splits; one mask with a suffix in its name, one a palette."""
    from PIL import Image

    for i, split in enumerate(("train", "val", "test")):
        for j in range(2):
            put(source / split / "images" / f"p{i}_{j}.png", picture(10 * i + j, 20, 40))
            mask = np.zeros((20, 40), np.uint8)
            mask[2:8, 4:12], mask[10:18, 20:30] = 1, 2 * j
            path = source / split / "masks" / (f"p{i}_{j}_mask.png" if j else f"p{i}_{j}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(mask)
            if i == 1:
                image = image.convert("P")
                image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
            image.save(path)
    return source
