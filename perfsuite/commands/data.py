"""`perfsuite data`: the images of full trainings."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.commands.streams import say_progress, write
from perfsuite.errors import DataError
from perfsuite.parsing import parse_image_size
from perfsuite.paths import same_file
from perfsuite.workloads import image_import, image_store, images
from perfsuite.workloads.canonical import canonical_fingerprint

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Parser


IMPORT_WORDS = (
    "class folders {train,test}/<class>/* or {train,val}/<class>/*, or the binary version of CIFAR-10 or CIFAR-100: a "
    "folder, .zip, .tar, .tar.gz, .tar.xz"
)


def add_options(command: Parser) -> None:
    """Add the options of the command `data`."""
    command.description = (
        "Download, import, verify or show the images for full trainings, stored in one file: the original CIFAR-10, or "
        "any other images and classes."
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, words in (
        ("download", "CIFAR-10 through torchvision, checked against its published MD5 sums"),
        ("import", IMPORT_WORDS),
        ("verify", "compute the fingerprint again from all pixels"),
        ("show", "show what is stored, and where"),
    ):
        action = actions.add_parser(name, help=words, description=words)
        if name == "import":
            action.add_argument("path", metavar="PATH", type=Path, help="folder or archive")
            action.add_argument(
                "--image-size",
                metavar="N",
                help="resize to NxN pixels: the shorter side to N, then a centre crop; default: no resizing, all "
                "images must be square and of one size",
            )
        action.add_argument(
            "--data",
            metavar="FILE",
            type=Path,
            help="the file; default: $PERFSUITE_DATA, else cifar10.npz in the user's cache folder; images of "
            "another form than CIFAR-10 get a name of their own there",
        )
        action.set_defaults(action=name)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    path = options.data or image_store.default_path()
    given_by = f"${image_store.DATA_VARIABLE}" if options.data is None else "--data"
    if options.action == "import" and same_file(options.path, path):
        raise DataError(f"{given_by} {path}: is what is to be imported; name another file")
    if path.suffix != ".npz":
        raise DataError(
            f"{given_by} {path}: the file is named .npz; `perfsuite data import PATH` reads folders and archives"
        )
    is_default = options.data is None and not os.environ.get(image_store.DATA_VARIABLE)
    if options.action == "download":
        from perfsuite.workloads.download import download_images  # with torchvision, and so with torch

        found = download_images()
        image_store.save_image_set(found, path)
    elif options.action == "import":
        found = _imported(options)
        if is_default and not found.is_of_cifar10:
            path = image_store.own_path(options.path, found)  # the default is where trainings look for CIFAR-10
            is_default = False
        image_store.save_image_set(found, path)
    else:
        found = image_store.load_image_set(path)
    fingerprint = f"  fingerprint {found.fingerprint}"
    if options.action == "verify":
        image_store.verify_image_set(found, path)
        fingerprint += ", verified"
    data_option = "" if is_default else f" --perf-data={shlex.quote(str(path))}"
    lines = [
        str(path),
        f"  {found.name}, {found.source}; {_kind(found)}",
        *(f"  {line}" for line in images.class_counts_in_words(found)),
        fingerprint,
        f"train on it: pytest -m full_training{data_option}",
    ]
    write("\n".join(lines) + "\n", None)
    return 0


def _imported(options: argparse.Namespace) -> images.ImageSet:
    image_size = None if options.image_size is None else parse_image_size("--image-size", options.image_size)
    found = image_import.import_images(
        options.path, image_size=image_size, report=lambda num: say_progress(f"importing: {num:,} images")
    )
    say_progress("")
    return found


def _kind(found: images.ImageSet) -> str:
    if found.is_canonical:
        return "CIFAR-10 itself"
    if not found.is_of_cifar10:
        return "other images than CIFAR-10's: the thesis's accuracies are not their targets"
    if canonical_fingerprint() is None:
        return (
            "not recognised as the original CIFAR-10: accuracy targets are not checked (`perfsuite data download` "
            "once makes its pixels known on this machine)"
        )
    return "not the original CIFAR-10: accuracy targets are not checked"
