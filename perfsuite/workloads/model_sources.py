"""Networks that are not the suite's own, by where they come from: torchvision, timm, a package, a file, an entry point.

What is loaded is code that the user names on the command line, and it is run.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from perfsuite.errors import InstallationError, InvalidChoiceError, ModelError
from perfsuite.formatting import first_line
from perfsuite.workloads.model_spec import InputSizes, ModelSpec
from perfsuite.workloads.models import MODELS, model_digest
from perfsuite.workloads.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from torch import nn

ENTRY_POINTS = "perfsuite.models"
"""The group of entry points by which a package gives its networks names of their own."""

FORMS = (
    "a name, torchvision:NAME, timm:NAME, package.module:FACTORY or path/to/file.py:FACTORY; "
    "FACTORY is a ModelSpec, or what returns a torch.nn.Module"
)

IMAGENET_SIZE, IMAGENET_CLASSES = 224, 1000
"""Of networks of torchvision and timm where the user chooses nothing: what they are made for. Source: O. Russakovsky et
al., ImageNet Large Scale Visual Recognition Challenge, 2015; torchvision, training references, `--train-crop-size`."""


def load_model(text: str) -> ModelSpec:
    """Return the network that a text names, and have it known by its name from now on.

    Args:
        text: One of `FORMS`. Of a file, the name is that of the file without its folder: `file.py:FACTORY`.

    Raises:
        InvalidChoiceError: The text has none of the forms, or there is no such network.
        InstallationError: torchvision or timm is not installed.
        ModelError: The file or module cannot be imported, or another network has the name already.
    """
    if text in MODELS and MODELS[text].source is None:
        return MODELS[text]
    source, colon, wanted = text.rpartition(":")
    if not colon:
        return _known(_of_entry_point(text))
    if not (source and wanted):
        raise InvalidChoiceError(f"unknown model {text!r}; allowed: {FORMS}")
    if source == "torchvision":
        return _known(_of_torchvision(wanted))
    if source == "timm":
        return _known(_of_timm(wanted))
    if source.endswith(".py"):
        return _known(_of_file(Path(source).expanduser(), wanted))
    return _known(_of_module(source, wanted))


def _known(spec: ModelSpec) -> ModelSpec:
    """Keep a network under its name.

    Raises:
        ModelError: Another network has it.
    """
    before = MODELS.get(spec.name)
    if before is not None and before.source != spec.source:
        raise ModelError(
            f"{spec.name}: two networks of this name, of different code, cannot be distinguished in results; rename one"
        )
    if before is not None:
        return before
    MODELS[spec.name] = spec
    model_digest.cache_clear()
    return spec


# --------------------------------------------------------------------------------------------------- torchvision, timm


def _of_torchvision(name: str) -> ModelSpec:
    """Return a classification network of torchvision, initial weights random.

    Its source has no version: torchvision's changes with every torch, and the question is whether that got slower.
    Parameters and buffers distinguish networks all the same.
    """
    models = import_torchvision().models
    names = models.list_models(module=models)
    if name not in names:
        raise InvalidChoiceError(
            f"torchvision:{name}: torchvision {_version('torchvision')} has no such classification network"
            f"{_nearest(name, names)}"
        )

    def build(sizes: InputSizes) -> nn.Module:
        options: dict[str, Any] = {"weights": None, "num_classes": sizes.num_classes}
        if name.startswith("vit_"):  # the only ones that are built for one size of image
            options["image_size"] = sizes.image_size
        if name in {"googlenet", "inception_v3"}:
            # No loss is taken of the auxiliary heads; without the other both warn that it will change.
            options.update(aux_logits=False, init_weights=True)
        return cast("nn.Module", models.get_model(name, **options))

    return _of_imagenet(f"torchvision:{name}", build, b"torchvision")


def _of_timm(name: str) -> ModelSpec:
    import_torchvision()  # timm imports it, whether or not its compiled operators load
    try:
        timm: Any = importlib.import_module("timm")
    except ImportError as error:
        raise InstallationError(f"timm:{name}: timm does not import: {first_line(error)}; pip install timm") from None
    names = timm.list_models()
    if name not in names:
        raise InvalidChoiceError(f"timm:{name}: timm {_version('timm')} has no such network{_nearest(name, names)}")

    def build(sizes: InputSizes) -> nn.Module:
        return cast("nn.Module", timm.create_model(name, pretrained=False, num_classes=sizes.num_classes))

    return _of_imagenet(f"timm:{name}", build, f"timm {_version('timm')}".encode())


def _of_imagenet(name: str, build: Callable[[InputSizes], nn.Module], source: bytes) -> ModelSpec:
    return ModelSpec(name=name, build=build, source=source, image_size=IMAGENET_SIZE, num_classes=IMAGENET_CLASSES)


def _nearest(name: str, names: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"; near: {', '.join(near)}" if near else ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get(package), "__version__", "of unknown version"))


# ------------------------------------------------------------------------------------------------ the user's own code


def _of_file(path: Path, wanted: str) -> ModelSpec:
    name = f"{path.name}:{wanted}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidChoiceError(f"{path}:{wanted}: {error.strerror}") from None
    folder = str(path.resolve().parent)
    module_name = f"perfsuite_model_{path.stem}"
    origin = importlib.util.spec_from_file_location(module_name, path)
    if origin is None or origin.loader is None:
        raise InvalidChoiceError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(origin)
    if folder not in sys.path:
        sys.path.append(folder)  # for what the file imports beside itself, when it is loaded or later
    sys.modules[module_name] = module  # data classes look there for what they are made of
    loader = origin.loader
    _imported(str(path), lambda: loader.exec_module(module))
    return _spec(module, wanted, name=name, source=content)


def _of_module(module_name: str, wanted: str) -> ModelSpec:
    name = f"{module_name}:{wanted}"
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise InvalidChoiceError(f"unknown model {name!r}; allowed: {FORMS}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # `python -m pytest` has it there, `pytest` has not
    module = cast("ModuleType", _imported(name, lambda: importlib.import_module(module_name)))
    return _spec(module, wanted, name=name, source=_package(module_name).encode())


def _of_entry_point(name: str) -> ModelSpec:
    found = {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    if name not in found:
        own = ", ".join(sorted([key for key, spec in MODELS.items() if spec.source is None] + list(found)))
        raise InvalidChoiceError(
            f"unknown model {name!r}; choose from {own}, or write {FORMS.removeprefix('a name, ')}"
        )
    point = found[name]
    module = cast("ModuleType", _imported(f"{name} ({point.value})", lambda: importlib.import_module(point.module)))
    return _spec(module, point.attr, name=name, source=_package(point.module).encode())


def _package(module_name: str) -> str:
    """Return the name and version of the package that a module is of; its name alone where it is not installed."""
    top = module_name.partition(".")[0]
    packages = importlib.metadata.packages_distributions().get(top, [])
    return f"{module_name} {_version(packages[0])}" if packages else module_name


def _imported(name: str, run: Callable[[], object]) -> object:
    """Import what the user wrote.

    Raises:
        ModelError: In place of whatever it raises, a `SystemExit` included.
    """
    try:
        return run()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise anything
        text = first_line(error)[:300]
        raise ModelError(f"{name}: cannot be imported: {type(error).__name__}{f': {text}' if text else ''}") from None


def _spec(module: ModuleType, wanted: str, *, name: str, source: bytes) -> ModelSpec:
    """Return what a name in a module stands for: a spec, or what builds a network that classifies images."""
    found = getattr(module, wanted, None)
    if isinstance(found, ModelSpec):
        return dataclasses.replace(found, name=name, source=source)
    if callable(found):
        return ModelSpec(name=name, source=source, build=_calling(found))
    candidates = [key for key, value in vars(module).items() if _is_factory(module, key, value)]
    kind = "has no such name" if found is None else "is neither a ModelSpec nor callable"
    listed = f"; it has {', '.join(candidates[:8])}" if candidates else ""
    raise InvalidChoiceError(f"{name}: {kind}{listed}")


def _is_factory(module: ModuleType, key: str, value: object) -> bool:
    own = isinstance(value, ModelSpec) or (callable(value) and getattr(value, "__module__", None) == module.__name__)
    return own and not key.startswith("_")


def _calling(factory: Callable[..., object]) -> Callable[[InputSizes], nn.Module]:
    """Return what calls a factory with the sizes that it has parameters for: `num_classes`, `image_size`."""

    def build(sizes: InputSizes) -> nn.Module:
        parameters = inspect.signature(factory).parameters
        known = {"num_classes": sizes.num_classes, "image_size": sizes.image_size}
        # What it returns is checked where it is called.
        return cast("nn.Module", factory(**{key: value for key, value in known.items() if key in parameters}))

    return build
