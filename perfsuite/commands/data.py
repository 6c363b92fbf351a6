"""`perfsuite data`: the images of full trainings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.commands.streams import say_progress, write
from perfsuite.errors import DataError
from perfsuite.paths import same_file
from perfsuite.workloads import images
from perfsuite.workloads.canonical import canonical_fingerprint

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Parser


def add_options(command: Parser) -> None:
    """Add the options of the command `data`."""
    command.description = (
        "Download, import, verify or show the images for full trainings: the original CIFAR-10, or a mirror of it, "
        "stored in one file."
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, words in (
        ("download", "CIFAR-10 through torchvision, checked against its published MD5 sums"),
        ("import", "a mirror as class folders {train,test}/<class>/*: a folder, .zip, .tar, .tar.gz, .tar.xz"),
        ("verify", "compute the fingerprint again from every pixel"),
        ("show", "what it is, and where"),
    ):
        action = actions.add_parser(name, help=words, description=words)
        if name == "import":
            action.add_argument("path", metavar="PATH", type=Path, help="folder or archive")
        action.add_argument(
            "--data",
            metavar="FILE",
            type=Path,
            help="the file; default: $PERFSUITE_DATA, else cifar10.npz in the user's cache folder",
        )
        action.set_defaults(action=name)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    path = options.data or images.default_path()
    if options.action == "import" and same_file(options.path, path):
        raise DataError(f"--data {path}: is what is to be imported; name another file")
    if path.suffix != ".npz":
        raise DataError(
            f"--data {path}: the file is named .npz; `perfsuite data import PATH` reads folders and archives"
        )
    if options.action == "download":
        from perfsuite.workloads.download import download_images  # with torchvision, and so with torch

        found = download_images()
        images.save_image_set(found, path)
    elif options.action == "import":
        found = images.import_images(options.path, report=lambda num: say_progress(f"importing: {num:,} images"))
        say_progress("")
        images.save_image_set(found, path)
    else:
        found = images.load_image_set(path)
        if options.action == "verify":
            images.verify_image_set(found, path)
    lines = [
        str(path),
        f"  {found.name}, {found.source}; {_kind(is_canonical=found.is_canonical)}",
        *(f"  {line}" for line in images.class_counts_in_words(found)),
        f"  fingerprint {found.fingerprint}" + (", verified" if options.action == "verify" else ""),
    ]
    write("\n".join(lines) + "\n", None)
    return 0


def _kind(*, is_canonical: bool) -> str:
    if is_canonical:
        return "CIFAR-10 itself"
    if canonical_fingerprint() is None:
        return (
            "not recognised as the original CIFAR-10: accuracy targets are not checked (`perfsuite data download` "
            "once makes its pixels known on this machine)"
        )
    return "not the original CIFAR-10: accuracy targets are not checked"
