"""Image hashes follow their definitions, and the hash for copies finds copies."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from scipy import fft

import annkit as ak
from annkit._core import _image

PLAIN = [method for method in ak.image.METHODS if method != "copy"]


def picture(rng, height=90, width=120):
    """Return an image in colour with content of all scales, as photographs have."""
    noise = rng.standard_normal((3, height, width))
    down, across = np.meshgrid(fft.fftfreq(height), fft.fftfreq(width), indexing="ij")
    falling = 1 / np.maximum(np.hypot(down, across), 1 / width) ** 1.3
    smooth = fft.ifft2(fft.fft2(noise) * falling).real
    smooth = (smooth - smooth.mean()) / smooth.std()
    return np.clip(128 + 50 * smooth, 0, 255).astype(np.uint8).transpose(1, 2, 0).copy()


def gray(image):
    """Return luma as Pillow rounds it."""
    if image.ndim == 2:
        return image.astype(np.int64)
    return (image.astype(np.int64) @ [19595, 38470, 7471] + 0x8000) >> 16


def area_mean(image, height, width):
    """Return the mean of each value's area: pixels are repeated until the areas have whole ones."""

    def counts(pixels, values):
        return np.repeat(np.eye(pixels, dtype=np.int64), values, axis=0).reshape(values, pixels, pixels).sum(axis=1)

    rows, columns = image.shape
    return counts(rows, height) @ image @ counts(columns, width).T / (rows * columns)


def expected(image, method, size):
    """Return the bits of a plain hash by its definition."""
    if method == "difference":
        small = area_mean(gray(image), size, size + 1)
        return small[:, 1:] > small[:, :-1]
    if method == "perceptual":
        spectrum = fft.dctn(area_mean(gray(image), 4 * size, 4 * size), type=2)[:size, :size]
        return spectrum > np.median(spectrum)
    if method == "radial":
        small = area_mean(gray(image), 128, 128)
        angles, along = np.deg2rad(np.arange(180))[:, None], np.arange(-63, 64)[None]
        lines = small[
            np.floor(63.5 - along * np.sin(angles) + 0.5).astype(int),
            np.floor(63.5 + along * np.cos(angles) + 0.5).astype(int),
        ]
        return fft.dct(lines.var(axis=1), type=2)[1 : size * size + 1] > 0
    small = area_mean(gray(image), size, size)
    if method == "average":
        return small > small.mean()
    return small >= np.median(small) if method == "block" else small > np.median(small)


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize(
    ("shape", "size"), [((90, 120), 8), ((31, 17), 8), ((7, 5), 8), ((64, 64), 12), ((40, 200), 5)]
)
def test_plain_hashes_follow_their_definitions(rng, method, shape, size):
    image = picture(rng, *shape)
    for one in (image, gray(image).astype(np.uint8)):
        (code,) = ak.image.hash(one[None] if shape[1] != 3 else [one], method, size=size)
        wanted = expected(one, method, size).ravel()
        assert len(code) == -(-wanted.size // 8)
        # A value at a threshold falls on either side by rounding: of float32 here, of float64 there.
        assert (np.unpackbits(code)[: wanted.size] != wanted).sum() <= (2 if shape == (7, 5) else 0)
        assert not np.unpackbits(code)[wanted.size :].any()


def test_hashes_of_thumbnails_are_imagehashs(rng):
    """Where nothing is to be shrunk, which imagehash does in its own way."""
    imagehash = pytest.importorskip("imagehash")
    image_module = pytest.importorskip("PIL.Image")
    functions = {
        "average": (imagehash.average_hash, (8, 8)),
        "difference": (imagehash.dhash, (8, 9)),
        "perceptual": (imagehash.phash, (32, 32)),
        "wavelet": (lambda image: imagehash.whash(image, image_scale=8, remove_max_haar_ll=False), (8, 8)),
    }
    for method, (function, shape) in functions.items():
        for channels in ((), (3,)):
            images = [rng.integers(0, 256, (*shape, *channels), dtype=np.uint8) for _ in range(50)]
            wanted = [np.packbits(function(image_module.fromarray(image)).hash.ravel()) for image in images]
            np.testing.assert_array_equal(ak.image.hash(images, method), wanted)


def test_the_wavelet_hash_is_the_haar_approximation_above_its_median(rng):
    imagehash = pytest.importorskip("imagehash")
    image_module = pytest.importorskip("PIL.Image")
    images = [rng.integers(0, 256, (64, 64), dtype=np.uint8) for _ in range(20)]
    wanted = [imagehash.whash(image_module.fromarray(image), image_scale=64).hash.ravel() for image in images]
    np.testing.assert_array_equal(np.unpackbits(ak.image.hash(images, "wavelet"), axis=1), wanted)


ORIENTATIONS = {
    "left and right": lambda x: x[:, ::-1],
    "top and bottom": lambda x: x[::-1],
    "a quarter": np.rot90,
    "a half": lambda x: np.rot90(x, 2),
    "three quarters": lambda x: np.rot90(x, 3),
    "transposed": lambda x: x.swapaxes(0, 1),
    "transposed the other way": lambda x: np.rot90(x, 2).swapaxes(0, 1),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_copy_hash_finds_every_orientation(rng, name):
    images = [picture(rng) for _ in range(4)]
    codes = ak.image.hash(images)
    turned = ak.image.hash([ORIENTATIONS[name](image) for image in images])
    found = ak.image.distances(codes, turned)
    assert np.diag(found).max() <= 1  # float32 sums in another order
    assert found[~np.eye(4, dtype=bool)].min() > 20
    np.testing.assert_array_equal(found, ak.image.distances(turned, codes).T)


def edits(image, rng):
    """Yield copies of an image of Pillow."""
    pil = pytest.importorskip("PIL")
    from PIL import ImageOps

    width, height = image.size
    for share in (0.1, 0.2):
        x, y = rng.integers(0, int(width * share) + 1), rng.integers(0, int(height * share) + 1)
        yield image.crop((x, y, x + round(width * (1 - share)), y + round(height * (1 - share))))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    yield pil.Image.open(buffer)
    yield image.resize((2 * width // 3, height // 2))
    yield image.point(lambda value: value * 0.6)
    yield image.convert("L")
    yield ImageOps.mirror(image)
    yield image.rotate(90, expand=True)
    yield image.rotate(270, expand=True)
    yield ImageOps.expand(image, width // 12, "white")
    yield image.rotate(5, pil.Image.Resampling.BICUBIC)
    yield image.rotate(-5, pil.Image.Resampling.BICUBIC, expand=True)
    captioned = image.copy()
    captioned.paste("black", (0, 9 * height // 10, width, height))
    yield captioned
    beside = pil.Image.new("RGB", (width, height + height // 7), "white")
    beside.paste(image, (0, 0))
    yield beside


def test_copy_hash_tells_edited_copies_from_others(rng):
    image_module = pytest.importorskip("PIL.Image")
    images = [image_module.fromarray(picture(rng, 180, 240)) for _ in range(6)]
    copies = [list(edits(image, rng)) for image in images]
    found = ak.image.distances(ak.image.hash([one for some in copies for one in some]), ak.image.hash(images))
    own = np.repeat(np.eye(6, dtype=bool), len(copies[0]), axis=0)
    assert (found[own] < found[~own].min()).mean() > 0.95
    assert (found.argmin(axis=1) == np.repeat(np.arange(6), len(copies[0]))).all()
    plain = np.concatenate([ak.image.hash(some, "perceptual") for some in copies])
    by_plain = ak.image.distances(plain, ak.image.hash(images, "perceptual"))
    best = [max(ak.metrics.f1(table <= radius, own) for radius in range(40)) for table in (found, by_plain)]
    assert best[0] > 0.95
    assert best[0] > best[1] + 0.05  # noise is easier to tell apart than photographs are


def test_copy_distance_is_the_least_of_whole_and_views(rng):
    codes = rng.integers(0, 256, (5, 50, 16), dtype=np.uint8)
    bits = np.unpackbits(codes, axis=2).astype(int)
    wanted = np.empty((5, 5), int)
    upright = [0, *range(8, 50)]
    for i in range(5):
        for j in range(5):
            one = (bits[i][:8, None] != bits[j][None, upright]).sum(axis=2).min()
            other = (bits[j][:8, None] != bits[i][None, upright]).sum(axis=2).min()
            wanted[i, j] = min(one, other)
    np.testing.assert_array_equal(ak.image.distances(codes, codes), wanted)


@pytest.mark.parametrize("method", ak.image.METHODS)
def test_results_do_not_depend_on_threads_or_the_batch(rng, method):
    images = [picture(rng, int(h), int(w)) for h, w in rng.integers(20, 200, (12, 2))]
    one = ak.image.hash(images, method, threads=1)
    np.testing.assert_array_equal(ak.image.hash(images, method, threads=4), one)
    np.testing.assert_array_equal(np.concatenate([ak.image.hash([image], method) for image in images]), one)


@pytest.mark.parametrize("method", ak.image.METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (64, 64)])
def test_pictures_without_contrast_or_of_one_row_have_hashes(method, shape):
    codes = ak.image.hash([np.full(shape, value, np.uint8) for value in (0, 77, 255)], method)
    # The first frequency of "perceptual" is the brightness: not above the median where all is black.
    assert ak.image.distances(codes, codes).max() == (1 if method == "perceptual" else 0)


def test_arrays_come_in_any_layout(rng):
    images = np.stack([picture(rng) for _ in range(3)])
    codes = ak.image.hash(images)
    np.testing.assert_array_equal(ak.image.hash(list(images)), codes)
    np.testing.assert_array_equal(ak.image.hash(np.asfortranarray(images)), codes)
    images.setflags(write=False)
    np.testing.assert_array_equal(ak.image.hash(images[::2]), codes[::2])
    assert ak.image.hash([]).shape == (0, 50, 16)
    assert ak.image.hash(images[:0], "average").shape == (0, 8)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((2, 5, 5)), TypeError, "dtype float64, expected uint8"),
        (np.zeros((5, 5), np.uint8), ValueError, r"shape \(5, 5\), expected \(n, h, w\)"),
        (np.zeros((5, 5, 3), np.uint8), ValueError, "hand in a list"),
        (np.zeros((5, 5, 5, 4), np.uint8), ValueError, r"\(5, 5, 5, 4\), expected"),
        (np.zeros((5, 0, 5), np.uint8), ValueError, "at least one pixel"),
        ([np.zeros((5, 5), np.uint8), np.zeros((5, 5), np.int16)], TypeError, "image 1 has dtype int16"),
        ([np.zeros((5, 5, 4), np.uint8)], ValueError, r"image 0 has shape \(5, 5, 4\)"),
        ([np.zeros((0, 5), np.uint8)], ValueError, "at least one pixel"),
        (["a.png", np.zeros((5, 5), np.uint8)], TypeError, "paths and others"),
    ],
)
def test_errors_name_what_came(images, error, message):
    with pytest.raises(error, match=message):
        ak.image.hash(images)


def test_arguments_are_checked():
    images = np.zeros((1, 9, 9), np.uint8)
    with pytest.raises(ValueError, match="method is 'phash', expected of copy, average"):
        ak.image.hash(images, "phash")
    for method, size in (("average", 1), ("average", 65), ("radial", 13)):
        with pytest.raises(ValueError, match=f"size is {size}, method {method} expects 2 to"):
            ak.image.hash(images, method, size=size)
    with pytest.raises(TypeError, match="size"):
        ak.image.hash(images, "average", size=8.5)
    with pytest.raises(ValueError, match="threads"):
        ak.image.hash(images, threads=-1)
    with pytest.raises(ValueError, match="different methods"):
        ak.image.distances(np.zeros((1, 8), np.uint8), np.zeros((1, 50, 16), np.uint8))


def test_progress_is_reported_and_can_stop():
    images = np.zeros((2000, 64, 64), np.uint8)
    seen = []
    ak.image.hash(images, progress=lambda done, total: seen.append((done, total)), threads=1)
    assert all(0 <= done <= total == 2000 for done, total in seen)

    def stop(done, total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ak.image.hash(images, progress=stop, threads=1)


def test_the_lock_of_the_interpreter_is_free_while_hashing():
    images = [np.zeros((4000, 6000), np.uint8)]
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    _image.hash(images * 4, "average", 8, 1, None)
    assert counted[0] > before + 1000
    done.set()
    thread.join()


@pytest.mark.skipif(importlib.util.find_spec("PIL") is None, reason="needs Pillow")
class TestFiles:
    def test_a_folder_gives_its_images_and_names_what_cannot_be_read(self, rng, tmp_path):
        from PIL import Image

        images = {f"{name}.png": picture(rng) for name in ("b", "a")}
        (tmp_path / "below").mkdir()
        for name, image in images.items():
            Image.fromarray(image).save(tmp_path / "below" / name)
        (tmp_path / "c.jpg").write_bytes(b"not a picture")
        (tmp_path / "d.png").write_bytes((tmp_path / "below" / "a.png").read_bytes()[:500])
        (tmp_path / "notes.txt").write_text("not an image")
        with pytest.warns(UserWarning, match=r"2 of 4 images could not be read: .*c\.jpg \(UnidentifiedImageError"):
            codes, paths, skipped = ak.image.hash(tmp_path)
        assert [path.name for path in paths] == ["a.png", "b.png"]
        assert sorted(path.name for path in skipped) == ["c.jpg", "d.png"]
        np.testing.assert_array_equal(codes, ak.image.hash([images["a.png"], images["b.png"]]))

    def test_missing_files_are_skipped_and_missing_folders_are_an_error(self, rng, tmp_path):
        from PIL import Image

        Image.fromarray(picture(rng)).save(tmp_path / "a.png")
        with pytest.warns(UserWarning, match="1 of 2 images"):
            found = ak.image.hash([tmp_path / "a.png", str(tmp_path / "b.png")], "average")
        assert found.codes.shape == (1, 8)
        assert "FileNotFoundError" in found.skipped[tmp_path / "b.png"]
        assert len(ak.image.hash(tmp_path / "a.png").paths) == 1
        with pytest.raises(FileNotFoundError, match="neither"):
            ak.image.hash(tmp_path / "nowhere")
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match="has no images"):
            ak.image.hash(tmp_path / "empty")

    def test_orientation_transparency_and_modes_are_as_shown(self, rng, tmp_path):
        from PIL import Image

        image = Image.fromarray(picture(rng))
        exif = Image.Exif()
        exif[0x0112] = 6  # shown turned by a quarter
        image.save(tmp_path / "turned.png", exif=exif)
        clear = image.convert("RGBA")
        clear.paste((0, 0, 0, 0), (0, 0, 60, 90))
        clear.save(tmp_path / "clear.png")
        on_white = image.copy()
        on_white.paste((255, 255, 255), (0, 0, 60, 90))
        levels = np.asarray(image.convert("L")).astype(np.uint16)
        Image.fromarray(levels << 8).save(tmp_path / "deep.png")
        image.convert("1").save(tmp_path / "bits.png")
        image.quantize(64).save(tmp_path / "palette.png")
        names = ["turned", "clear", "deep", "bits", "palette"]
        got = ak.image.hash([tmp_path / f"{name}.png" for name in names], "average")
        shown = [
            np.rot90(np.asarray(image), -1),
            np.asarray(on_white),
            levels.astype(np.uint8),
            np.asarray(image.convert("1").convert("L")),
            np.asarray(image.quantize(64).convert("RGB")),
        ]
        np.testing.assert_array_equal(got.codes, ak.image.hash(shown, "average"))
        np.testing.assert_array_equal(ak.image.hash([image, on_white]), ak.image.hash([np.asarray(image), shown[1]]))

    def test_progress_counts_files(self, rng, tmp_path):
        from PIL import Image

        for i in range(3):
            Image.fromarray(picture(rng)).save(tmp_path / f"{i}.png")
        seen = []
        ak.image.hash(tmp_path, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(1, 3), (2, 3), (3, 3)]


def test_without_pillow_files_are_an_error_that_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['PIL'] = None; import annkit as ak, numpy as np;"
        "ak.image.hash(np.zeros((1, 9, 9), np.uint8));"
        "ak.image.hash(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert 'ImportError: reading image files needs Pillow: pip install "annkit-native[image]"' in done.stderr
