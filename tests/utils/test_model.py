"""The network: its shapes, where its weights come from, and what it says when they do not fit."""

import re
import urllib.error

import pytest
import torch
import torchvision
from conftest import refusal
from safetensors.torch import save_file
from torchvision.models.resnet import BasicBlock, Bottleneck

from fer_utils.errors import FerError
from fer_utils.model import CLResNet50

ENTRY = torchvision.models.ResNet18_Weights.IMAGENET1K_V1


def images(n=2, size=32):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def resnet18():
    """A plain torchvision ResNet-18 with 1,000 classes, as ImageNet's weights have them."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return torchvision.models.resnet18(weights=None).eval()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch hub's folder of checkpoints, empty, with the network cut off."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)

    def offline(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def assert_backbone_is(model, plain):
    """The features of ``model`` are what enters the last layer of ``plain``."""
    body = torch.nn.Sequential(*list(plain.children())[:-1], torch.nn.Flatten())
    with torch.inference_mode():
        assert torch.equal(model.eval()(images())[0], body.eval()(images()))


def test_features_are_what_the_average_pooling_gives_and_logits_a_linear_layer_on_them():
    for backbone, features in (("resnet50", 2048), ("resnet18", 512), ("efficientnet_b0", 1280)):
        model, seen = CLResNet50(backbone=backbone).eval(), []
        model.backbone.avgpool.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output))
        deep, logits = model(images())
        assert deep.shape == (2, features) and logits.shape == (2, 7) and model.feat_dim == features
        assert deep.dtype == logits.dtype == torch.float32 and torch.equal(deep, seen[0].flatten(1))
        assert torch.allclose(logits, deep @ model.classifier.weight.T + model.classifier.bias, atol=1e-6)
        if backbone.startswith("resnet"):
            assert deep.min() >= 0  # after a ReLU


def test_the_default_backbone_is_resnet50_with_23_5_million_parameters_below_its_last_layer():
    model = CLResNet50()
    assert isinstance(model.backbone, torchvision.models.ResNet) and isinstance(model.backbone.layer1[0], Bottleneck)
    assert sum(parameter.numel() for parameter in model.backbone.parameters()) == 25_557_032 - 2048 * 1000 - 1000
    assert sum(parameter.numel() for parameter in model.classifier.parameters()) == 2048 * 7 + 7


def test_the_papers_image_size_and_another_number_of_classes_work_too():
    deep, logits = CLResNet50(4, backbone="resnet18").eval()(images(1, 224))
    assert deep.shape == (1, 512) and logits.shape == (1, 4)


def test_blocks_of_a_random_resnet_start_as_the_identity():
    for backbone, block, last, count in (("resnet18", BasicBlock, "bn2", 8), ("resnet50", Bottleneck, "bn3", 16)):
        blocks = [module for module in CLResNet50(backbone=backbone).modules() if isinstance(module, block)]
        assert len(blocks) == count and all(not getattr(module, last).weight.any() for module in blocks)


def test_imagenet_weights_come_from_torch_hubs_folder(hub, resnet18):
    torch.save(resnet18.state_dict(), hub / ENTRY.url.rsplit("/", 1)[1])
    model = CLResNet50(backbone="resnet18", weights="imagenet")
    assert_backbone_is(model, resnet18)
    assert model.classifier.out_features == 7


def test_offline_the_message_names_the_file_and_the_folder(hub):
    said = refusal(CLResNet50, backbone="resnet18", weights="imagenet")
    for part in ("the ImageNet weights of resnet18 cannot be downloaded", "no route to host", ENTRY.url, str(hub),
                 "weights='random'"):
        assert part in said


def test_an_imagenet_file_that_was_cut_off_is_named(hub, resnet18):
    path = hub / ENTRY.url.rsplit("/", 1)[1]
    torch.save(resnet18.state_dict(), path)
    content = path.read_bytes()
    for kept in (0, 1000, -1000):
        path.write_bytes(content[:kept])
        said = refusal(CLResNet50, backbone="resnet18", weights="imagenet")
        assert path.name in said and str(hub) in said, kept


def test_a_torchvision_state_dict_gives_the_backbone_and_a_new_last_layer(tmp_path, resnet18):
    torch.save(resnet18.state_dict(), tmp_path / "plain.pt")
    model = CLResNet50(backbone="resnet18", weights=tmp_path / "plain.pt")
    assert_backbone_is(model, resnet18)
    assert model.classifier.weight.shape == (7, 512)


def test_our_own_state_dict_gives_the_same_network(tmp_path, assert_same_state):
    model = CLResNet50(backbone="resnet18")
    torch.save(model.state_dict(), tmp_path / "own.pt")
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    for name in ("own.pt", "own.safetensors"):
        again = CLResNet50(backbone="resnet18", weights=str(tmp_path / name))
        assert_same_state(model.state_dict(), again.state_dict())


def test_a_file_that_is_no_weights_of_this_network_is_named(tmp_path, resnet18):
    unreadable = "not a state_dict that torch or safetensors can load"
    else_ = "holds something else than a state_dict"
    another = "weights of another network; they do not fit this backbone and its 7 classes"
    torch.save(resnet18.state_dict(), tmp_path / "whole.pt")
    save_file(resnet18.state_dict(), tmp_path / "whole.safetensors")
    wanted = {"absent.pt": "there is no such file", "absent.safetensors": "there is no such file", "folder": unreadable}
    for name, content in {"empty": b"", "garbage": b"garbage", "pickle": b"\x80\x02garbage", "zip": b"PK\x03\x04 half",
                          "cut": (tmp_path / "whole.pt").read_bytes()[:-1000]}.items():
        (tmp_path / f"{name}.pt").write_bytes(content)
        wanted[f"{name}.pt"] = unreadable
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-9])
    wanted["cut.safetensors"] = unreadable
    (tmp_path / "folder").mkdir()
    for name, content, said in [
            ("tensor", torch.zeros(3), else_), ("list", [torch.zeros(3)], else_), ("number", 3, else_),
            ("checkpoint", {"epoch": 3, "model": {}}, else_), ("numbered", {0: torch.zeros(3)}, else_),
            ("none", {}, another), ("eight", CLResNet50(8, backbone="resnet18").state_dict(), another),
            ("ours", CLResNet50(backbone="resnet34").state_dict(), another),
            ("torchvisions", torchvision.models.resnet34(weights=None).state_dict(), another)]:
        torch.save(content, tmp_path / f"{name}.pt")
        wanted[f"{name}.pt"] = said
    found = {name: refusal(CLResNet50, backbone="resnet18", weights=tmp_path / name) for name in wanted}
    assert [text for name, text in found.items() if f"{tmp_path / name}: {wanted[name]}" not in text] == []


def test_an_unknown_backbone_is_refused():
    for backbone in ("resnet51", "ResNet-50", "", None, "fcn_resnet50", "r3d_18"):
        for weights in ("random", "imagenet"):
            said = refusal(CLResNet50, backbone=backbone, weights=weights)
            assert f"unknown backbone {backbone!r}; torchvision knows resnet18" in said


def test_a_backbone_without_a_last_linear_layer_is_refused():
    with pytest.raises(FerError, match="backbone 'squeezenet1_1' does not end in a linear"):
        CLResNet50(backbone="squeezenet1_1")


def test_backbones_with_auxiliary_outputs_give_their_last_answer_alone():
    for backbone, features in (("googlenet", 1024), ("inception_v3", 2048)):
        model = CLResNet50(backbone=backbone).train()
        deep, logits = model(images(2, 96))
        assert deep.shape == (2, features) and logits.shape == (2, 7) and model.feat_dim == features
        assert not [name for name, _ in model.named_parameters() if "aux" in name.lower()]
        (logits.sum() + deep.sum()).backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


def test_mobilenet_is_read_under_its_older_names(tmp_path):
    network = CLResNet50(backbone="mobilenet_v2")
    older = {}
    for name, value in network.backbone.state_dict().items():
        block = re.match(r"(features\.(\d+)\.conv\.)(0\.0|0\.1|1\.0|1\.1|1|2|3)\.(\w+)$", name)
        if block:
            places = ["0.0", "0.1", "1", "2"] if block[2] == "1" else ["0.0", "0.1", "1.0", "1.1", "2", "3"]
            name = f"{block[1]}{[0, 1, 3, 4, 6, 7][places.index(block[3])]}.{block[4]}"
        older[name] = value
    assert "features.2.conv.7.running_mean" in older and "features.1.conv.4.weight" in older
    torch.save(older, tmp_path / "older.pt")
    read = CLResNet50(backbone="mobilenet_v2", weights=str(tmp_path / "older.pt"))
    assert all(torch.equal(value, read.backbone.state_dict()[name])
               for name, value in network.backbone.state_dict().items())
