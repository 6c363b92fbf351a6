from __future__ import annotations

import importlib.metadata
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from own_networks import sound
from torch import nn

from perfsuite.errors import InstallationError, InvalidChoiceError, ModelError
from perfsuite.workloads import model_sources
from perfsuite.workloads.model_sources import load_model
from perfsuite.workloads.model_spec import InputSizes, ModelSpec
from perfsuite.workloads.models import MODELS, build_model, model_digest

if TYPE_CHECKING:
    from pathlib import Path

CPU = torch.device("cpu")
SIZES = InputSizes(batch_size=1, image_size=64, num_classes=7)
MINE = """
from torch import nn

def net(num_classes):
    return nn.Linear(3, num_classes)

def other():
    return nn.Linear(3, 4)
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def digest(name: str, num_classes: int = 7) -> str:
    return model_digest(name, image_size=64, num_classes=num_classes)


def test_the_suite_s_own_networks_have_no_digest_and_are_what_they_were() -> None:
    assert load_model("resnet18") is MODELS["resnet18"]
    assert digest("resnet18") == ""


def test_a_network_of_torchvision_is_the_one_that_torchvision_builds() -> None:
    spec = load_model("torchvision:mobilenet_v3_small")
    assert (spec.image_size, spec.num_classes) == (224, 1000)
    model = build_model(spec.name, device=CPU, image_size=64, num_classes=7)
    import torchvision

    theirs = torchvision.models.mobilenet_v3_small(weights=None, num_classes=7)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in theirs.state_dict().items()}


def test_a_network_that_is_built_for_one_size_of_image_is_built_for_the_one_asked_for() -> None:
    spec = load_model("torchvision:vit_b_16")
    with torch.device("meta"):
        model = spec.build(SIZES)
    assert model.image_size == 64


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("vgg16", "unknown model 'vgg16'; choose from resnet101, resnet152, resnet18"),
        ("torchvision:vgg", "torchvision:vgg: torchvision 0.28.0 has no such classification network; near: vgg"),
        ("torchvision:fcn_resnet50", "has no such classification network"),
        ("nothing.py:net", "nothing.py:net: No such file or directory"),
        ("a b:net", "unknown model 'a b:net'; allowed: a name, torchvision:NAME"),
        (":net", "unknown model ':net'"),
        ("mine.py:", "unknown model 'mine.py:'"),
        ("json:net", "json:net: has no such name; it has "),
    ],
)
def test_what_is_no_network_is_one_line_that_says_what_is_allowed(text: str, complaint: str) -> None:
    with pytest.raises(InvalidChoiceError) as error:
        load_model(text)
    assert complaint in str(error.value)


def test_a_module_that_does_not_import_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no_such_module:net: cannot be imported: ModuleNotFoundError"):
        load_model("no_such_module:net")
    for number, (text, kind) in enumerate((("def f(:", "SyntaxError"), ("raise SystemExit(3)", "SystemExit: 3"))):
        path = tmp_path / f"broken{number}.py"
        path.write_text(text)
        with pytest.raises(ModelError, match=f"cannot be imported: {kind}"):
            load_model(f"{path}:net")


def test_a_file_says_which_names_it_has(mine: Path) -> None:
    with pytest.raises(InvalidChoiceError, match=r"mine\.py:nett: has no such name; it has net, other"):
        load_model(f"{mine}:nett")
    with pytest.raises(InvalidChoiceError, match="neither a ModelSpec nor callable"):
        load_model("own_networks:neither")


def test_a_factory_gets_the_sizes_that_it_asks_for_and_a_spec_stays_as_it_is(mine: Path) -> None:
    spec = load_model(f"{mine}:net")
    assert spec.name == "mine.py:net"
    assert build_model(spec.name, device=CPU, num_classes=5).out_features == 5
    own = load_model("own_networks:two_inputs")
    assert own.name == "own_networks:two_inputs"
    assert own.loss is not ModelSpec(build=own.build).loss


def test_a_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_it_lies.py").write_text("WIDTH = 6\n")
    (tmp_path / "uses.py").write_text(
        "from beside_it_lies import WIDTH\nfrom torch import nn\ndef net():\n    return nn.Linear(WIDTH, 2)\n"
    )
    assert build_model(load_model(f"{tmp_path / 'uses.py'}:net").name, device=CPU).in_features == 6


def test_two_files_of_one_name_cannot_be_told_apart_in_results(mine: Path, tmp_path: Path) -> None:
    load_model(f"{mine}:net")
    assert load_model(f"{mine}:net") is MODELS["mine.py:net"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.py").write_text(MINE + "\n# of another branch\n")
    with pytest.raises(ModelError, match=r"mine\.py:net: two networks of this name"):
        load_model(f"{tmp_path / 'b' / 'mine.py'}:net")


def test_the_digest_is_of_the_file_and_of_names_and_shapes_of_parameters(mine: Path) -> None:
    load_model(f"{mine}:net")
    of_seven, of_eight = digest("mine.py:net"), digest("mine.py:net", 8)
    assert len(of_seven) == 16
    assert of_seven != of_eight
    del MODELS["mine.py:net"]
    model_digest.cache_clear()
    mine.write_text(MINE + "\n# another file\n")
    load_model(f"{mine}:net")
    assert digest("mine.py:net") != of_seven


def test_the_digest_of_a_package_changes_with_its_version_and_that_of_torchvision_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {}
    for version in ("1.0", "2.0"):
        monkeypatch.setattr(model_sources, "_version", lambda _package, version=version: version)
        timm = SimpleNamespace(
            list_models=lambda: ["small"],
            create_model=lambda _name, pretrained, num_classes: nn.Linear(3, num_classes, bias=not pretrained),
        )
        monkeypatch.setitem(sys.modules, "timm", timm)
        for name in ("timm:small", "torchvision:shufflenet_v2_x0_5"):
            MODELS.pop(name, None)
            load_model(name)
            found[name, version] = digest(name)
    assert found["timm:small", "1.0"] != found["timm:small", "2.0"]
    assert found["torchvision:shufflenet_v2_x0_5", "1.0"] == found["torchvision:shufflenet_v2_x0_5", "2.0"]


def test_timm_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InstallationError, match=r"timm:small: timm does not import: .*; pip install timm"):
        load_model("timm:small")


def test_an_entry_point_gives_a_network_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint(name="ours", value="own_networks:sound", group="perfsuite.models")
    known: dict[str, Any] = {"perfsuite.models": [point]}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: known[group])
    assert load_model("ours").name == "ours"
    shapes = [tuple(tensor.shape) for tensor in build_model("ours", device=CPU, image_size=16).parameters()]
    assert shapes == [tuple(tensor.shape) for tensor in sound(10, 16).parameters()]
    with pytest.raises(InvalidChoiceError, match="choose from ours, resnet101"):
        load_model("theirs")
