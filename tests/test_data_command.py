from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from documented_samples import sample_of, without_numbers
from generated_images import generated_parts, generated_set, mirror_files, write_mirror

from perfsuite.cli import main
from perfsuite.workloads import download, image_store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PERFSUITE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "perfsuite" / "cifar10.npz"


def test_a_mirror_is_imported_shown_and_verified(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror = write_mirror(mirror_files(generated_parts()), tmp_path / "mirror.tar.gz")
    assert main(["data", "import", str(mirror)]) == 0
    assert cache.exists()
    assert main(["data", "show"]) == 0
    assert main(["data", "verify"]) == 0
    out = capsys.readouterr().out
    fingerprint = generated_set().fingerprint
    assert out.count(f"fingerprint {fingerprint}") == 3
    assert f"{fingerprint}, verified" in out
    assert "100 training images, 10 of each class" in out
    assert "40 test images, 4 of each class" in out
    assert "imported from mirror.tar.gz; not recognised as the original CIFAR-10" in out


def test_the_sample_of_the_page_is_what_an_import_prints(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror = write_mirror(mirror_files(generated_parts()), tmp_path / "cifar10-jpeg.tar.xz")
    assert main(["data", "import", str(mirror)]) == 0
    out = capsys.readouterr().out.replace(str(cache.parents[1]), "/home/user/.cache")
    sample = sample_of("$ perfsuite data import").partition("\n")[2]
    assert without_numbers(out).splitlines() == without_numbers(sample).splitlines()


def test_classes_of_different_sizes_are_said(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = mirror_files(generated_parts())
    del files["train/cat/0003.png"], files["train/cat/0013.png"]
    assert main(["data", "import", str(write_mirror(files, tmp_path / "mirror.zip"))]) == 0
    out = capsys.readouterr().out
    assert cache.exists()
    assert (
        "98 training images, not the same number of each class: airplane 10, automobile 10, bird 10, cat 8, deer 10"
        in out
    )
    assert "40 test images, 4 of each class" in out


def test_a_download_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import dataclasses

    monkeypatch.setattr(
        download, "download_images", lambda: dataclasses.replace(generated_set(), is_canonical=True, source="here")
    )
    assert main(["data", "download"]) == 0
    assert image_store.load_image_set(cache).is_canonical
    assert "CIFAR-10 itself" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show"], "no such file; `perfsuite data download`"),
        (["verify"], "no such file"),
        (["import", "nowhere"], "nowhere: no such file or folder"),
        (["show", "--data", "images.tar"], "--data images.tar: the file is named .npz"),
        (["import", "nowhere", "--data", "images"], "--data images: the file is named .npz"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1


def test_a_damaged_file_is_told_by_verify(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image_store.save_image_set(generated_set(), cache)
    content = bytearray(cache.read_bytes())
    content[200_000] ^= 1
    cache.write_bytes(bytes(content))
    assert main(["data", "verify"]) == 2
    assert "cifar10.npz" in capsys.readouterr().err
