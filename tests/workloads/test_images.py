from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_images import generated_parts, generated_set, mirror_files, write_mirror

from perfsuite.errors import DataError
from perfsuite.workloads import archives, canonical, download, image_store, images
from perfsuite.workloads.image_import import import_images
from perfsuite.workloads.image_store import default_path, load_image_set, save_image_set, verify_image_set
from perfsuite.workloads.images import make_image_set, split_images

SHARED = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg.tar.xz"


@pytest.mark.parametrize("name", ["mirror", "mirror.zip", "mirror.tar", "mirror.tar.gz", "mirror.tar.xz"])
@pytest.mark.parametrize(("prefix", "numbers"), [("", False), ("cifar10/", True)])
def test_a_mirror_in_any_form_gives_the_same_set(tmp_path: Path, name: str, prefix: str, numbers: bool) -> None:
    parts = generated_parts()
    path = write_mirror(mirror_files(parts, numbers=numbers), tmp_path / name, prefix=prefix)
    found = import_images(path)
    assert found.fingerprint == make_image_set(parts).fingerprint
    assert found.train_images.shape == (100, 3, 32, 32)
    assert not found.is_canonical
    assert found.name == f"images {found.fingerprint[:8]}"


def test_jpeg_is_another_set_and_is_decoded_by_worker_processes_too(tmp_path: Path) -> None:
    parts = generated_parts(1500, 40)
    path = write_mirror(mirror_files(parts, ending="jpg"), tmp_path / "mirror.zip")
    reported: list[int] = []
    found = import_images(path, report=reported.append)
    assert found.fingerprint != make_image_set(parts).fingerprint
    expected = make_image_set(parts)
    assert sorted(found.train_labels.tolist()) == sorted(expected.train_labels.tolist())
    assert reported == [1000, 1540]


def test_the_order_of_the_images_does_not_matter_but_every_pixel_and_label_does() -> None:
    parts = generated_parts()
    shuffled = {split: (pixels[::-1], labels[::-1]) for split, (pixels, labels) in parts.items()}
    original = make_image_set(parts)
    assert make_image_set(shuffled).fingerprint == original.fingerprint
    np.testing.assert_array_equal(make_image_set(shuffled).train_images, original.train_images)
    pixel = {split: (pixels.copy(), labels) for split, (pixels, labels) in parts.items()}
    pixel["test"][0][3, 1, 5, 5] ^= 1
    label = {split: (pixels, labels.copy()) for split, (pixels, labels) in parts.items()}
    label["train"][1][7] = 3
    assert len({original.fingerprint, make_image_set(pixel).fingerprint, make_image_set(label).fingerprint}) == 3


def test_the_split_is_drawn_by_the_seed_and_is_part_of_the_fingerprint() -> None:
    found = generated_set()
    one, same, other = (split_images(found, seed=seed) for seed in (0, 0, 1))
    assert (len(one.train), len(one.validation), len(one.test)) == (90, 10, 40)
    assert set(one.train) | set(one.validation) == set(range(100))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    small = split_images(found, seed=0, num_train=20, num_validation=10, num_test=8)
    assert (len(small.train), len(small.validation), len(small.test)) == (20, 10, 8)
    assert not set(small.train) & set(small.validation)
    with pytest.raises(DataError, match=r"95 images to train, 10 to validate and 40 to test on are asked for"):
        split_images(found, seed=0, num_train=95)


def test_a_set_survives_its_file_and_is_verified(tmp_path: Path) -> None:
    original = generated_set()
    path = tmp_path / "new" / "images.npz"
    save_image_set(original, path)
    found = load_image_set(path)
    np.testing.assert_array_equal(found.test_images, original.test_images)
    assert (found.fingerprint, found.source, found.is_canonical) == (original.fingerprint, "generated", False)
    verify_image_set(found, path)
    found.train_images[0, 0, 0, 0] ^= 1
    with pytest.raises(DataError, match="import or download it again"):
        verify_image_set(found, path)


@pytest.mark.parametrize("cut", [0, 10, 1000, 100_000])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "images.npz"
    save_image_set(generated_set(), path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"images\.npz: not a data set of perfsuite, or damaged"):
        load_image_set(path)


def test_nothing_in_a_file_is_ever_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    path = tmp_path / "images.npz"
    np.savez(path, train_images=np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError):
        load_image_set(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("field", ["train_images", "train_labels", "test_labels", "meta"])
def test_a_file_that_lacks_something_is_refused(tmp_path: Path, field: str) -> None:
    path = tmp_path / "images.npz"
    save_image_set(generated_set(), path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != field}
    np.savez(path, **arrays)
    with pytest.raises(DataError, match="not a data set of perfsuite"):
        load_image_set(path)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="perfsuite data download"):
        load_image_set(tmp_path / "nothing.npz")


# ------------------------------------------------------------------------------------------- mirrors from anywhere


def tar_with(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size) if member.isfile() else None)
    return path


def member(name: str, *, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info


@pytest.mark.parametrize(
    ("info", "complaint"),
    [
        (member("../train/cat/1.png"), "leads out of the archive"),
        (member("/train/cat/1.png"), "leads out of the archive"),
        (member("a/../../train/cat/1.png"), "leads out of the archive"),
        (member("C:\\train\\cat\\1.png"), "leads out of the archive"),
        (member("train/cat/1.png", kind=tarfile.SYMTYPE, target="/etc/passwd"), "is a link or a device"),
        (member("train/cat/1.png", kind=tarfile.LNKTYPE, target="x"), "is a link or a device"),
        (member("train/cat/1.png", kind=tarfile.FIFOTYPE), "is a link or a device"),
        (member("train/cat/1.png", size=300 * 1024), "not a PNG or JPEG"),
        (member("readme.txt", size=10), "no images in it"),
        (member("cat/1.png", size=10), "no images in it"),
    ],
)
def test_an_archive_that_leads_out_of_itself_or_is_no_mirror_is_refused(
    tmp_path: Path, info: tarfile.TarInfo, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        import_images(tar_with(tmp_path / "mirror.tar", info))


def test_a_zip_with_a_link_or_a_way_out_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("train/cat/1.png")
    link.external_attr = 0o120777 << 16
    for info, complaint in ((link, "is a link"), (zipfile.ZipInfo("../train/cat/1.png"), "leads out")):
        with zipfile.ZipFile(tmp_path / "mirror.zip", "w") as archive:
            archive.writestr(info, b"/etc/passwd")
        with pytest.raises(DataError, match=complaint):
            import_images(tmp_path / "mirror.zip")


def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MIN_UNPACKED_BYTES", 10_000)
    monkeypatch.setattr(archives, "MAX_EXPANSION", 0.1)
    with pytest.raises(DataError, match=r"it unpacks to more than 0\.0 GiB and 0\.1 times its size"):
        import_images(tar_with(tmp_path / "mirror.tar", *(member(f"pad{n}", size=5000) for n in range(3))))
    with zipfile.ZipFile(tmp_path / "mirror.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"pad{number}", b"x" * 5000)
    with pytest.raises(DataError, match=r"it unpacks to more than 0\.0 GiB and 0\.1 times its size"):
        import_images(tmp_path / "mirror.zip")


def test_a_link_in_a_folder_is_refused(tmp_path: Path) -> None:
    path = write_mirror(mirror_files(generated_parts()), tmp_path / "mirror")
    (path / "train" / "cat" / "link.png").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="is a link; copy what it points to"):
        import_images(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"no image", "not a PNG or JPEG"), (b"", "not a PNG or JPEG"), (b"GIF89a", "not a PNG or JPEG")],
)
def test_a_damaged_image_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    files = mirror_files(generated_parts())
    files["train/cat/9999.png"] = content
    path = write_mirror(files, tmp_path / "mirror.zip")
    with pytest.raises(DataError, match=rf"train/cat/9999\.png: {complaint}"):
        import_images(path)


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (64, 48)).save(stream, "PNG")
    files = {**mirror_files(generated_parts()), "test/dog/big.png": stream.getvalue()}
    with pytest.raises(DataError, match=r"test/dog/big\.png: 64x48 pixels; 32x32 are needed"):
        import_images(write_mirror(files, tmp_path / "mirror.zip"))


@pytest.mark.parametrize("name", ["nothing.tar", "text.tar", "cut.tar.xz", "cut.zip"])
def test_what_is_no_archive_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.startswith("text"):
        path.write_text("no archive")
    elif name.startswith("cut"):
        write_mirror(mirror_files(generated_parts()), path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError) as caught:
        import_images(path)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_the_place_of_the_data_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFSUITE_DATA", "/data/x.npz")
    assert default_path() == Path("/data/x.npz")
    monkeypatch.delenv("PERFSUITE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_path() == Path("/cache/perfsuite/cifar10.npz")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_path() == Path.home() / ".cache" / "perfsuite" / "cifar10.npz"


def test_a_download_that_fails_says_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Datasets:
        @staticmethod
        def CIFAR10(*_arguments: object, **_options: object) -> None:  # noqa: N802 - torchvision's name
            raise OSError("<urlopen error [Errno -2] Name or service not known>")

    monkeypatch.setattr(download, "import_torchvision", lambda: type("Vision", (), {"datasets": Datasets}))
    with pytest.raises(DataError, match=r"cannot be downloaded: .* use `perfsuite data import PATH`"):
        download.download_images()


def download_generated(parts: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> images.ImageSet:
    """Download generated images as if they were the archive that torchvision has verified."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))

    class Datasets:
        @staticmethod
        def CIFAR10(_root: str, *, train: bool, download: bool) -> Any:  # noqa: N802 - torchvision's name
            assert download
            pixels, labels = parts["train" if train else "test"]
            return type("Found", (), {"data": pixels.transpose(0, 2, 3, 1), "targets": labels.tolist()})

    monkeypatch.setattr(download, "import_torchvision", lambda: type("Vision", (), {"datasets": Datasets}))
    return download.download_images()


def test_what_torchvision_has_checked_is_canonical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = generated_parts()
    found = download_generated(parts, tmp_path, monkeypatch)
    assert (found.is_canonical, found.name) == (True, "CIFAR-10")
    assert found.fingerprint == make_image_set(parts).fingerprint


@pytest.mark.parametrize("container", ["mirror", "mirror.zip", "mirror.tar.xz"])
def test_once_downloaded_the_same_pixels_are_canonical_in_any_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str
) -> None:
    parts = generated_parts()
    mirror = write_mirror(mirror_files(parts), tmp_path / container)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not import_images(mirror).is_canonical
    download_generated(parts, tmp_path, monkeypatch)
    assert import_images(mirror).name == "CIFAR-10"


def test_other_pixels_are_not_canonical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = generated_parts()
    download_generated(parts, tmp_path, monkeypatch)
    parts["test"][0][3, 1, 5, 5] ^= 1
    assert not import_images(write_mirror(mirror_files(parts), tmp_path / "mirror.zip")).is_canonical
    lossy = mirror_files(generated_parts(), ending="jpg")
    assert not import_images(write_mirror(lossy, tmp_path / "lossy.zip")).is_canonical


def test_a_mirror_imported_before_the_download_is_recognised_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = generated_parts()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image_store.save_image_set(make_image_set(parts), tmp_path / "imported.npz")
    claimed = make_image_set(generated_parts(seed=1), is_canonical=True)
    image_store.save_image_set(claimed, tmp_path / "claimed.npz")
    assert not load_image_set(tmp_path / "imported.npz").is_canonical
    assert load_image_set(tmp_path / "claimed.npz").is_canonical
    download_generated(parts, tmp_path, monkeypatch)
    assert load_image_set(tmp_path / "imported.npz").is_canonical
    assert not load_image_set(tmp_path / "claimed.npz").is_canonical


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\xff", b"x" * 5000, b'{"format": "perfsuite-canonical-1", "fingerprint": "short"}'],
)
def test_a_damaged_canonical_fingerprint_is_one_line_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    canonical.canonical_path().parent.mkdir()
    canonical.canonical_path().write_bytes(content)
    with pytest.raises(DataError, match=r"cifar10-canonical\.json: damaged; delete it, `perfsuite data download`"):
        make_image_set(generated_parts())


@pytest.mark.no_cover
@pytest.mark.skipif(not SHARED.exists(), reason="the real images are not here")
def test_the_real_images_are_all_there() -> None:
    found = import_images(SHARED)
    assert (found.train_images.shape, found.test_images.shape) == ((50_000, 3, 32, 32), (10_000, 3, 32, 32))
    assert np.bincount(found.train_labels).tolist() == [5000] * 10
    assert found.fingerprint.startswith("56e8d4b4f03adff6")
    assert images.VALIDATION_SHARE * 50_000 == 5000
