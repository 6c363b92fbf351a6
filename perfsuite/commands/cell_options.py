"""The options that choose training steps, of commands that measure none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.precisions import POLICIES

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Parser
    from perfsuite.offline.cells import CellChoice


def add_cell_options(command: Parser) -> None:
    """Add the options."""
    command.add_argument("--model", metavar="NAMES", help="comma-separated; default: resnet18,resnet34,resnet50")
    command.add_argument(
        "--precision", metavar="NAMES", help=f"comma-separated of {', '.join(POLICIES)}; default: fp32,amp-fp16"
    )
    command.add_argument("--batch-size", metavar="N[,N...]", help="default: 128")
    command.add_argument(
        "--image-size",
        metavar="N[,N...]",
        help="height and width in pixels; CIFAR form below 64, torchvision's own stem from there on; default: 32",
    )
    command.add_argument("--classes", metavar="N", help="number of classes; default: 10")


def cell_choice(options: argparse.Namespace) -> CellChoice:
    """Return what the user chose."""
    from perfsuite.offline.cells import CellChoice  # with torch: not for --help

    return CellChoice(
        models=options.model,
        precisions=options.precision,
        batch_size=options.batch_size,
        image_size=options.image_size,
        num_classes=options.classes,
    )
