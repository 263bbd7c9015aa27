import io

import cv2
import numpy as np
import pytest
from PIL import Image

from data_pipelines import images
from unimedvlp.errors import UserError


def scene(height, width, channels=3):
    """A smooth coloured picture, so that lossy coding and scaling change little."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width) * 3
    planes = [120 + 100 * np.sin(x + i) * np.cos(y) for i in range(channels)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def jpeg(image):
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()


@pytest.mark.parametrize("channels", [1, 3])
def test_png_comes_back_bit_for_bit(channels):
    image = scene(20, 30, channels)
    np.testing.assert_array_equal(images.decode(images.encode_png(image), channels=channels), image)
    assert images.decode(images.encode_png(image), channels=None).shape == (20, 30, channels)


def test_colour_is_rgb_and_grey_is_its_luminance():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    assert images.decode(images.encode_png(red))[0, 0].tolist() == [200, 0, 0]
    assert images.decode(images.encode_png(red), channels=1)[0, 0, 0] == pytest.approx(0.299 * 200, abs=1)


def test_a_16_bit_png_is_scaled_by_its_own_range():
    deep = np.array([[1000, 2000], [3000, 1500]], np.uint16)
    data = cv2.imencode(".png", deep)[1].tobytes()
    assert images.decode(data, channels=1)[..., 0].tolist() == [[0, 128], [255, 64]]
    assert images.decode(data, channels=3).shape == (2, 2, 3)
    flat = cv2.imencode(".png", np.full((3, 3), 700, np.uint16))[1].tobytes()
    assert not images.decode(flat, channels=1).any()


def test_alpha_is_dropped():
    rgba = np.dstack([scene(8, 8), np.zeros((8, 8), np.uint8)])
    data = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    np.testing.assert_array_equal(images.decode(data), rgba[..., :3])


@pytest.mark.parametrize(("size", "shape"), [(None, (480, 640)), (300, (480, 640)), (200, (240, 320)), (60, (60, 80))])
def test_a_large_jpeg_is_decoded_at_a_reduced_scale_but_never_below_the_target(size, shape):
    image = scene(480, 640)
    for channels in (1, 3):
        decoded = images.decode(jpeg(image), size=size, channels=channels)
        assert decoded.shape == (*shape, channels)
    expected = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(decoded.astype(int) - expected).mean() < 2


@pytest.mark.parametrize("encode", [images.encode_png, jpeg])
def test_cut_off_and_damaged_images_are_refused(encode):
    data = encode(scene(64, 64))
    with pytest.raises(UserError, match="cut off"):
        images.decode(data[: len(data) // 2])
    with pytest.raises(UserError, match="damaged"):
        images.decode(data[:8] + bytes(100) + data[-12:])
    with pytest.raises(UserError, match="neither PNG nor JPEG"):
        images.decode(b"GIF89a....")


def test_a_damaged_png_body_is_refused():
    data = bytearray(images.encode_png(scene(64, 64)))
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    with pytest.raises(UserError, match="damaged"):
        images.decode(bytes(data))


@pytest.mark.parametrize("mode", images.RESIZE_MODES)
@pytest.mark.parametrize("shape", [(90, 160), (160, 90), (64, 64), (20, 30)])
def test_boxes_follow_a_resize(mode, shape):
    box = np.array([[0.2, 0.3, 0.6, 0.8]], np.float32)
    image = np.zeros((*shape, 1), np.uint8)
    top, left, bottom, right = np.round(box[0] * np.tile(shape, 2)).astype(int)
    image[top:bottom, left:right] = 255
    resized, geometry = images.resize(image, 128, mode)
    assert resized.shape == (128, 128, 1)
    rows, columns = (np.flatnonzero((resized[..., 0] > 127).any(axis)) for axis in (1, 0))
    found = np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]) / 128
    np.testing.assert_allclose(images.move_boxes(box, geometry)[0], found, atol=0.04)
    back = images.move_boxes(images.move_boxes(box, geometry), np.linalg.inv(geometry))
    np.testing.assert_allclose(back, box, atol=1e-6)


def test_letterbox_keeps_the_shape_and_squash_does_not():
    image = np.full((50, 100, 3), 255, np.uint8)
    assert images.resize(image, 64, "squash")[0].min() == 255
    boxed = images.resize(image, 64, "letterbox")[0]
    assert boxed[16:48].min() == 255
    assert boxed[:16].max() == boxed[48:].max() == 0
    with pytest.raises(UserError, match="letterbox"):
        images.resize(image, 64, "crop")


def test_files_are_told_apart_by_content(tmp_path):
    image = scene(20, 20)
    (tmp_path / "a.jpg").write_bytes(images.encode_png(image))
    loaded = images.load_image_file(tmp_path / "a.jpg")
    np.testing.assert_array_equal(loaded.pixels, image)
    assert loaded.modality == "other"
    assert images.load_image_file(tmp_path / "a.jpg", channels=1).pixels.shape == (20, 20, 1)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "cut.png").write_bytes(images.encode_png(image)[:100])
    for name, reason in (("missing.png", "No such file"), ("notes.txt", "neither PNG"), ("cut.png", "cut off")):
        with pytest.raises(UserError, match=rf"{name}.*{reason}"):
            images.load_image_file(tmp_path / name)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_pixels_are_as_stored_whatever_exif_says(kind):
    """Boxes are in shares of the stored pixels, so a tag that turns them for viewers must not turn them for models."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((64, 128), np.uint8)
    pixels[:32, :32] = 255
    Image.fromarray(pixels).save(buffer, kind, exif=exif)
    for size, channels in ((None, 1), (None, 3), (None, None), (16, 1), (16, 3)):
        image = images.decode(buffer.getvalue(), size=size, channels=channels)
        assert image.shape[1] == 2 * image.shape[0] and image[0, 0, 0] > 200 > 50 > image[-1, 0, 0]
