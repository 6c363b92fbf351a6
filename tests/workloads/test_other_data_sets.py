"""Images of any size and classes of any number: what is read is what torchvision reads, and full trainings take it."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from perfsuite.cli import main
from perfsuite.errors import DataError, RecordError
from perfsuite.records.predictions import confusion_of, count_discordant, pack_predictions, unpack_predictions
from perfsuite.records.workload import CIFAR10_CLASSES
from perfsuite.workloads.image_files import check_data_path
from perfsuite.workloads.image_import import import_images
from perfsuite.workloads.image_store import load_image_set, save_image_set, verify_image_set
from perfsuite.workloads.images import make_image_set
from perfsuite.workloads.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("rose", "Tulip", "daisy & <b>", "oak")


def picture(size: tuple[int, int], seed: int, ending: str = "png", mode: str = "RGB") -> bytes:
    """Return the file of an image with something in it that resizing changes."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "PNG" if ending == "png" else "JPEG")
    return stream.getvalue()


def write_folders(root: Path, size: tuple[int, int] | None, *, test: str = "test", above: str = "") -> Path:
    """Write class folders of different numbers of images; without a size, each image has another one."""
    chance = np.random.default_rng(1)
    for split, num in (("train", 5), (test, 2)):
        for label, name in enumerate(NAMES):
            folder = root / above / split / name
            folder.mkdir(parents=True)
            for index in range(num + label):
                own = size or (int(chance.integers(40, 90)), int(chance.integers(40, 90)))
                ending = "jpg" if index % 2 else "png"
                mode = "L" if index == 2 else "RGB"
                (folder / f"{index}.{ending}").write_bytes(picture(own, 100 * label + index, ending, mode))
    return root


def read_by_torchvision(root: Path, image_size: int | None) -> list[tuple[bytes, int]]:
    """Return pixels and label of each image, as torchvision's ImageFolder and its transforms read them."""
    vision = import_torchvision()
    transforms: Any = vision.transforms
    steps = [] if image_size is None else [transforms.Resize(image_size), transforms.CenterCrop(image_size)]
    folder = vision.datasets.ImageFolder(str(root), transforms.Compose([*steps, transforms.PILToTensor()]))
    return sorted((image.numpy().tobytes(), label) for image, label in folder)


@pytest.mark.parametrize(("size", "image_size"), [((48, 48), None), (None, 32), (None, 64)])
def test_images_and_labels_are_those_of_torchvisions_image_folder(
    tmp_path: Path, size: tuple[int, int] | None, image_size: int | None
) -> None:
    root = write_folders(tmp_path / "flowers", size)
    found = import_images(root, image_size=image_size)
    for split, pixels, labels in (
        ("train", found.train_images, found.train_labels),
        ("test", found.test_images, found.test_labels),
    ):
        ours = sorted((image.tobytes(), int(label)) for image, label in zip(pixels, labels, strict=True))
        assert ours == read_by_torchvision(root / split, image_size)
    assert found.classes == tuple(sorted(NAMES))
    assert (found.image_size, found.num_classes) == (image_size or 48, 4)


def test_a_data_set_is_the_same_in_any_container_and_with_validation_images_for_a_test(tmp_path: Path) -> None:
    folder = write_folders(tmp_path / "flowers", (48, 48))
    with tarfile.open(tmp_path / "flowers.tar.gz", "w:gz") as archive:
        archive.add(folder, "flowers")
    plain = import_images(folder)
    assert import_images(tmp_path / "flowers.tar.gz").fingerprint == plain.fingerprint
    validated = import_images(write_folders(tmp_path / "val", (48, 48), test="val"))
    assert validated.fingerprint == plain.fingerprint
    assert validated.source == "imported from val, tested on its validation images"
    nested = import_images(write_folders(tmp_path / "nested", (48, 48), above="flowers"))
    assert nested.fingerprint == plain.fingerprint


def test_validation_images_are_left_out_where_there_are_test_images_and_that_is_said(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "flowers", (48, 48))
    plain = import_images(root)
    (root / "val" / "rose").mkdir(parents=True)
    (root / "val" / "rose" / "9.png").write_bytes(picture((48, 48), 9))
    found = import_images(root)
    assert found.fingerprint == plain.fingerprint
    assert found.source == "imported from flowers; its 1 validation image left out"


def test_superclasses_may_lie_between(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for above, names in (("fish", ("shark", "ray")), ("trees", ("oak",))):
            for name in names:
                (tmp_path / split / above / name).mkdir(parents=True)
                (tmp_path / split / above / name / "1.png").write_bytes(picture((32, 32), len(name)))
    assert import_images(tmp_path).classes == ("oak", "ray", "shark")
    check_data_path(tmp_path)


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("10", "9", "100"), ("9", "10", "100")),
        (("cat", "dog"), ("cat", "dog")),
        (("b", "10", "a"), ("10", "a", "b")),
        (tuple(str(number) for number in range(10)), tuple(str(number) for number in range(10))),
        (("0", *CIFAR10_CLASSES[1:]), CIFAR10_CLASSES),
        (tuple(name.upper() for name in CIFAR10_CLASSES), CIFAR10_CLASSES),
    ],
)
def test_classes_are_ordered_by_number_or_by_name_and_those_of_cifar10_as_there(
    tmp_path: Path, names: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    for split in ("train", "test"):
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "1.png").write_bytes(picture((32, 32), 1))
    assert import_images(tmp_path).classes == classes


def cifar_binary(folder: Path, num_labels: int, num_classes: int, num_images: int) -> dict[str, Any]:
    """Write the binary version by the words of its author's page; return images and labels by part."""
    generator = np.random.default_rng(num_classes)
    names = {1: "batches.meta.txt", 2: "fine_label_names.txt"}
    files = {1: [f"data_batch_{number}.bin" for number in range(1, 6)], 2: ["train.bin"]}
    parts: dict[str, Any] = {}
    folder.mkdir(parents=True)
    for split, places in (
        ("train", files[num_labels]),
        ("test", ["test_batch.bin" if num_labels == 1 else "test.bin"]),
    ):
        pixels = generator.integers(0, 256, (num_images, 3, 32, 32), np.uint8)
        labels = np.arange(num_images) % num_classes
        for place, rows in zip(places, np.array_split(np.arange(num_images), len(places)), strict=True):
            with (folder / place).open("wb") as stream:
                for row in rows.tolist():
                    coarse = bytes([labels[row] // 5]) if num_labels == 2 else b""
                    stream.write(coarse + bytes([labels[row]]) + pixels[row].tobytes())
        parts[split] = (pixels, labels)
    class_names = CIFAR10_CLASSES if num_classes == 10 else tuple(f"class {label}" for label in range(num_classes))
    (folder / names[num_labels]).write_text("\n".join(class_names) + "\n\n")
    return {"parts": parts, "classes": class_names}


@pytest.mark.parametrize(("num_labels", "num_classes"), [(1, 10), (2, 100)])
def test_the_binary_version_of_cifar_is_read(tmp_path: Path, num_labels: int, num_classes: int) -> None:
    written = cifar_binary(tmp_path / "cifar-binary", num_labels, num_classes, 200)
    expected = make_image_set(written["parts"], classes=written["classes"])
    with tarfile.open(tmp_path / "cifar-binary.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-binary", "cifar-binary")
    for path in (tmp_path / "cifar-binary", tmp_path / "cifar-binary.tar.gz"):
        check_data_path(path)
        found = import_images(path)
        assert (found.fingerprint, found.classes) == (expected.fingerprint, written["classes"])
        np.testing.assert_array_equal(found.train_images, expected.train_images)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda folder: (folder / "fine_label_names.txt").unlink(), "no fine_label_names.txt in it"),
        (
            lambda folder: (folder / "train.bin").unlink(),
            r"no train\.bin in it; the binary version of CIFAR-100 has one",
        ),
        (lambda folder: (folder / "test.bin").write_bytes(b"x" * 3075), "3,075 bytes; whole records of 3,074"),
        (lambda folder: (folder / "test.bin").write_bytes(b"\xff" * 3074), "label 255; 0 to 99 are allowed"),
        (lambda folder: (folder / "test.bin").write_bytes(b""), "0 bytes; whole records"),
        (lambda folder: (folder / "fine_label_names.txt").write_text("one\n"), "does not name 100 classes"),
        (lambda folder: (folder / "fine_label_names.txt").write_text("\x1b[2J\n" * 100), "does not name 100 classes"),
    ],
)
def test_a_damaged_binary_version_is_one_line(tmp_path: Path, damage: Any, complaint: str) -> None:
    folder = tmp_path / "cifar-100-binary"
    cifar_binary(folder, 2, 100, 200)
    damage(folder)
    with pytest.raises(DataError, match=complaint):
        import_images(folder)


@pytest.mark.parametrize(
    ("change", "image_size", "complaint"),
    [
        ("other size", None, r"0\.png: 40x40 pixels; 48x48 are needed, as the first image has; `perfsuite data import"),
        ("no test", None, r"no images of class daisy & <b> in test"),
        ("control", None, r"a class is named 'x\\x1b\[2J'; at most 100 printable characters"),
        ("long", None, r"a class is named 'aaaa"),
        ("flat", 32, r"flat\.png: 1x4000 pixels; at most"),
        ("one class", None, r"images of 1 class; from 2 to 65,536"),
    ],
)
def test_what_is_wrong_with_class_folders_is_one_line(
    tmp_path: Path, change: str, image_size: int | None, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.workloads import decoding

    root = write_folders(tmp_path / "flowers", (48, 48))
    if change == "other size":
        (root / "test" / "oak" / "0.png").write_bytes(picture((40, 40), 0))
    elif change == "no test":
        for path in (root / "test" / "daisy & <b>").iterdir():
            path.unlink()
    elif change == "flat":
        monkeypatch.setattr(decoding, "MAX_PIXELS", 100_000)
        (root / "test" / "oak" / "flat.png").write_bytes(picture((1, 4000), 0))
    elif change == "one class":
        for split in ("train", "test"):
            for name in NAMES[1:]:
                for path in (root / split / name).iterdir():
                    path.unlink()
    else:
        folder = root / "train" / ("x\x1b[2J" if change == "control" else "a" * 101)
        folder.mkdir()
        (folder / "0.png").write_bytes(picture((48, 48), 0))
    with pytest.raises(DataError, match=complaint) as caught:
        import_images(root, image_size=image_size)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(47, 48), (8, 8), (1100, 1100)])
def test_images_that_cannot_be_taken_as_they_are_say_how_to_resize_them(tmp_path: Path, size: tuple[int, int]) -> None:
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "1.png").write_bytes(picture(size, 1))
    with pytest.raises(DataError, match=rf"{size[0]}x{size[1]} pixels; as they are, .* PATH --image-size N` makes"):
        import_images(tmp_path)
    assert import_images(tmp_path, image_size=24).image_size == 24


def test_a_set_of_many_classes_survives_its_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    classes = tuple(f"class {label}" for label in range(300))
    parts = {
        split: (generator.integers(0, 256, (300, 3, 16, 16), np.uint8), np.arange(300)) for split in ("train", "test")
    }
    original = make_image_set(parts, classes=classes, source="generated")
    path = tmp_path / "images.npz"
    save_image_set(original, path)
    found = load_image_set(path)
    verify_image_set(found, path)
    assert (found.classes, found.num_classes, found.image_size) == (classes, 300, 16)
    assert found.train_labels.max() == 299
    np.testing.assert_array_equal(found.train_labels, original.train_labels)


def test_a_file_of_before_there_were_other_data_sets_is_read(tmp_path: Path) -> None:
    from generated_images import generated_set

    path = tmp_path / "images.npz"
    original = generated_set()
    save_image_set(original, path)
    with np.load(path) as arrays:
        contents = {name: arrays[name] for name in arrays.files}
    meta = contents["meta"].tobytes().replace(b"perfsuite-images-2", b"perfsuite-images-1")
    np.savez(path, **{**contents, "meta": np.frombuffer(meta, np.uint8)})
    found = load_image_set(path)
    assert (found.classes, found.fingerprint) == (CIFAR10_CLASSES, original.fingerprint)


@pytest.mark.parametrize(
    "classes", [None, "cat", ["cat"], ["cat", "cat"], ["cat", 1], ["cat", "\x1b[2J"], ["a"] * 70_000]
)
def test_classes_of_a_damaged_file_are_one_line(tmp_path: Path, classes: Any) -> None:
    path = tmp_path / "images.npz"
    parts = {split: (np.zeros((2, 3, 16, 16), np.uint8), np.arange(2)) for split in ("train", "test")}
    save_image_set(make_image_set(parts, classes=("a", "b")), path)
    with np.load(path) as arrays:
        contents = {name: arrays[name] for name in arrays.files}
    meta = {**json.loads(contents["meta"].tobytes()), "classes": classes}
    np.savez(path, **{**contents, "meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    with pytest.raises(DataError, match=r"images\.npz: not a data set of perfsuite: its classes"):
        load_image_set(path)


def test_the_command_imports_resizes_and_says_what_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, file = write_folders(tmp_path / "flowers", None), tmp_path / "flowers.npz"
    arguments = ["data", "import", str(root), "--data", str(file)]
    assert main(arguments) == 2
    assert "PATH --image-size N` makes all of one size" in capsys.readouterr().err
    assert main([*arguments, "--image-size", "32"]) == 0
    assert main(["data", "verify", "--data", str(file)]) == 0
    out = capsys.readouterr().out
    assert "imported from flowers, resized to 32x32; other images than CIFAR-10's: the thesis's accuracies" in out
    assert "4 classes, 32x32 pixels" in out
    assert f"train on it: pytest -m full_training --perf-data={file}\n" in out
    assert "26 training images, not the same number of each class: Tulip 6, daisy & <b> 7, oak 8, rose 5" in out


def test_other_images_never_take_the_place_of_cifar10(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PERFSUITE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = write_folders(tmp_path / "my flowers.v2", (48, 48))
    assert main(["data", "import", str(root)]) == 0
    (file,) = (tmp_path / "perfsuite").glob("*.npz")
    assert file.name == f"my_flowers-{load_image_set(file).fingerprint[:8]}.npz"
    assert f"--perf-data={file}" in capsys.readouterr().out
    monkeypatch.setenv("PERFSUITE_DATA", str(tmp_path / "mine.npz"))
    assert main(["data", "import", str(root)]) == 0
    assert (tmp_path / "mine.npz").exists()


@pytest.mark.parametrize("value", ["8", "2000", "x", "32,64"])
def test_a_size_that_is_none_is_one_line(tmp_path: Path, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "import", str(tmp_path), "--image-size", value]) == 2
    assert capsys.readouterr().err.startswith("perfsuite: error: --image-size: ")


def test_many_classes_are_counted_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = {split: (np.zeros((61, 3, 16, 16), np.uint8), np.arange(61) % 30) for split in ("train", "test")}
    save_image_set(make_image_set(parts, classes=tuple(map(str, range(30)))), tmp_path / "images.npz")
    assert main(["data", "show", "--data", str(tmp_path / "images.npz")]) == 0
    assert "61 training images, 2 to 3 of each class" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------ what would be lost silently


def write_classes(root: Path, places: list[str], size: tuple[int, int] = (16, 16)) -> Path:
    """Write an image into each of these folders of both parts; each image is another one."""
    for number, (split, place) in enumerate(itertools.product(("train", "test"), places)):
        folder = root / split / place
        folder.mkdir(parents=True)
        (folder / f"{number}.png").write_bytes(picture(size, number))
    return root


def test_two_classes_of_one_name_in_two_superclasses_are_refused(tmp_path: Path) -> None:
    root = write_classes(tmp_path, ["cats/young", "cats/old", "dogs/young"])
    with pytest.raises(DataError, match="'cats/young' and 'dogs/young' are two classes of one name; rename one"):
        import_images(root)


def test_a_link_to_a_folder_is_refused_as_a_link_to_a_file_is(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "linked", ["a", "b"])
    (root / "train" / "c").symlink_to(root / "train" / "a")
    with pytest.raises(DataError, match="train/c is a link; copy what it points to"):
        import_images(root)


def test_images_that_are_not_read_are_counted(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "mixed", ["a", "b"])
    for name in ("1.webp", "2.webp", "3.bmp", ".hidden.bmp", "notes.txt"):
        (root / "train" / "a" / name).write_bytes(b"x")
    (root / "train" / "x" / "y" / "z").mkdir(parents=True)
    (root / "train" / "x" / "y" / "z" / "deep.png").write_bytes(b"x")
    found = import_images(root)
    assert found.source.endswith("; not read, of other formats or too deep in folders: 1 .bmp, 1 .png, 2 .webp")


def test_ten_classes_of_32_pixels_are_not_cifar10_unless_they_are_named_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERFSUITE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for place in ("digits", "again/digits"):
        root = write_classes(tmp_path / place, [str(number) for number in range(10)], (32, 32))
        (root / "train" / "0" / "more.png").write_bytes(picture((32, 32), len(place)))
        assert not import_images(root).is_of_cifar10
        assert main(["data", "import", str(root)]) == 0
    names = [file.name for file in (tmp_path / "cache" / "perfsuite").glob("*.npz")]
    assert len(names) == 2  # neither takes the other's place, nor that of CIFAR-10
    assert all(name.startswith("digits-") for name in names)


@pytest.mark.parametrize(("mode", "complaint"), [("I;16", r"more than 8 bits a channel \(I;16\)")])
def test_sixteen_bits_a_channel_are_refused_for_they_would_become_white(
    tmp_path: Path, mode: str, complaint: str
) -> None:
    root = write_classes(tmp_path, ["a", "b"])
    Image.new(mode, (16, 16), 300).save(root / "train" / "a" / "deep.png")
    with pytest.raises(DataError, match=complaint):
        import_images(root)


def test_a_folder_that_import_takes_is_taken_by_perf_data(tmp_path: Path) -> None:
    write_classes(tmp_path / "a" / "Cased", ["x", "y"])
    (tmp_path / "a" / "Cased" / "train").rename(tmp_path / "a" / "Cased" / "Train")
    check_data_path(tmp_path / "a" / "Cased")
    check_data_path(tmp_path / "a")
    (tmp_path / "empty" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match="no images in it"):
        check_data_path(tmp_path / "empty")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"is_canonical": True}, "says that it is CIFAR-10, and is not"),
        ({"fingerprint": ""}, "its fingerprint is none"),
        ({"fingerprint": 12}, "its fingerprint is none"),
        ({"classes": ["a", "b" * 101]}, "its classes are not named"),
        ({"classes": ["a", ""]}, "its classes are not named"),
    ],
)
def test_a_forged_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], complaint: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "images.npz"
    parts = {split: (np.zeros((2, 3, 16, 16), np.uint8), np.arange(2)) for split in ("train", "test")}
    save_image_set(make_image_set(parts, classes=("a", "b")), path)
    with np.load(path) as arrays:
        contents = {name: arrays[name] for name in arrays.files}
    meta = {**json.loads(contents["meta"].tobytes()), **change}
    np.savez(path, **{**contents, "meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    with pytest.raises(DataError, match=complaint):
        load_image_set(path)


# ---------------------------------------------------------------------------------------------------------- predictions


@pytest.mark.parametrize("num_classes", [2, 3, 10, 16, 17, 100, 256, 257, 1000])
def test_predictions_of_any_number_of_classes_survive_and_are_counted_as_numpy_counts(num_classes: int) -> None:
    generator = np.random.default_rng(num_classes)
    true, baseline, candidate = generator.integers(0, num_classes, (3, 500))
    baseline[:200], candidate[100:300] = true[:200], true[100:300]
    sides = [num_classes * true + side for side in (baseline, candidate)]
    for side in sides:
        text = pack_predictions(side, num_classes)
        np.testing.assert_array_equal(unpack_predictions(text, 500, num_classes), side)
    counts = count_discordant(sides[0], sides[1], num_classes)
    assert counts.num_only_baseline == sum(b == t != c for t, b, c in zip(true, baseline, candidate, strict=True))
    assert counts.num_only_candidate == sum(c == t != b for t, b, c in zip(true, baseline, candidate, strict=True))
    expected = np.zeros((num_classes, num_classes), int)
    for one, other in zip(true, baseline, strict=True):
        expected[one, other] += 1
    assert np.array_equal(confusion_of(sides[0], num_classes), expected)


def test_an_outcome_of_no_class_is_refused() -> None:
    with pytest.raises(RecordError, match=r"holds 300; 17 \* true class \+ predicted class is at most 288"):
        unpack_predictions(pack_predictions([0, 300], 17), 2, 17)
