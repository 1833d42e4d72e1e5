"""The network: its shapes, where its weights come from, and what it says when they do not fit."""

import re
import urllib.error

import pytest
import torch
import torchvision
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


@pytest.mark.parametrize("backbone, features", [("resnet50", 2048), ("resnet18", 512), ("efficientnet_b0", 1280)])
def test_features_and_logits_have_the_shapes_of_the_backbone(backbone, features):
    model = CLResNet50(backbone=backbone).eval()
    deep, logits = model(images())
    assert model.feat_dim == features
    assert deep.shape == (2, features) and logits.shape == (2, 7)
    assert deep.dtype == logits.dtype == torch.float32


def test_the_default_backbone_is_resnet50_with_23_5_million_parameters_below_its_last_layer():
    model = CLResNet50()
    assert isinstance(model.backbone, torchvision.models.ResNet) and isinstance(model.backbone.layer1[0], Bottleneck)
    assert sum(parameter.numel() for parameter in model.backbone.parameters()) == 25_557_032 - 2048 * 1000 - 1000
    assert sum(parameter.numel() for parameter in model.classifier.parameters()) == 2048 * 7 + 7


def test_logits_are_a_linear_layer_on_the_features():
    model = CLResNet50(backbone="resnet18").eval()
    deep, logits = model(images())
    assert torch.allclose(logits, deep @ model.classifier.weight.T + model.classifier.bias, atol=1e-6)


def test_features_are_the_outputs_of_the_average_pooling():
    model = CLResNet50(backbone="resnet18").eval()
    seen = []
    model.backbone.avgpool.register_forward_hook(lambda module, inputs, output: seen.append(output))
    deep, _ = model(images())
    assert torch.equal(deep, seen[0].flatten(1))
    assert deep.min() >= 0  # after a ReLU


def test_the_papers_image_size_works_too():
    deep, _ = CLResNet50(backbone="resnet18").eval()(images(1, 224))
    assert deep.shape == (1, 512)


def test_the_number_of_classes_can_be_chosen():
    assert CLResNet50(4, backbone="resnet18").eval()(images())[1].shape == (2, 4)


@pytest.mark.parametrize("backbone, block, last", [("resnet18", BasicBlock, "bn2"), ("resnet50", Bottleneck, "bn3")])
def test_blocks_of_a_random_resnet_start_as_the_identity(backbone, block, last):
    blocks = [module for module in CLResNet50(backbone=backbone).modules() if isinstance(module, block)]
    assert len(blocks) in (8, 16)
    assert all(not getattr(module, last).weight.any() for module in blocks)


def test_imagenet_weights_come_from_torch_hubs_folder(hub, resnet18):
    torch.save(resnet18.state_dict(), hub / ENTRY.url.rsplit("/", 1)[1])
    model = CLResNet50(backbone="resnet18", weights="imagenet")
    assert_backbone_is(model, resnet18)
    assert model.classifier.out_features == 7


def test_offline_the_message_names_the_file_and_the_folder(hub):
    with pytest.raises(FerError, match="ImageNet weights of resnet18 cannot be downloaded.*no route to host") as caught:
        CLResNet50(backbone="resnet18", weights="imagenet")
    assert ENTRY.url in str(caught.value)
    assert str(hub) in str(caught.value)
    assert "weights='random'" in str(caught.value)


@pytest.mark.parametrize("kept", [0, 1000, -1000])
def test_an_imagenet_file_that_was_cut_off_is_named(hub, resnet18, kept):
    path = hub / ENTRY.url.rsplit("/", 1)[1]
    torch.save(resnet18.state_dict(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FerError) as caught:
        CLResNet50(backbone="resnet18", weights="imagenet")
    assert path.name in str(caught.value) and str(hub) in str(caught.value)


def test_a_torchvision_state_dict_gives_the_backbone_and_a_new_last_layer(tmp_path, resnet18):
    torch.save(resnet18.state_dict(), tmp_path / "plain.pt")
    model = CLResNet50(backbone="resnet18", weights=tmp_path / "plain.pt")
    assert_backbone_is(model, resnet18)
    assert model.classifier.weight.shape == (7, 512)


def test_our_own_state_dict_gives_the_same_network(tmp_path, assert_same_state):
    model = CLResNet50(backbone="resnet18")
    torch.save(model.state_dict(), tmp_path / "own.pt")
    again = CLResNet50(backbone="resnet18", weights=str(tmp_path / "own.pt"))
    assert_same_state(model.state_dict(), again.state_dict())


def test_a_missing_weights_file_is_named(tmp_path):
    with pytest.raises(FerError, match="absent.pt: there is no such file"):
        CLResNet50(backbone="resnet18", weights=tmp_path / "absent.pt")


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x02garbage", b"PK\x03\x04 half a zip"])
def test_a_garbage_weights_file_is_named(tmp_path, content):
    (tmp_path / "garbage.pt").write_bytes(content)
    with pytest.raises(FerError, match="garbage.pt: not a state_dict that torch or safetensors can load"):
        CLResNet50(backbone="resnet18", weights=tmp_path / "garbage.pt")


def test_a_weights_file_that_was_cut_off_is_named(tmp_path, resnet18):
    torch.save(resnet18.state_dict(), tmp_path / "cut.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:-1000])
    with pytest.raises(FerError, match="cut.pt: not a state_dict that torch or safetensors can load"):
        CLResNet50(backbone="resnet18", weights=tmp_path / "cut.pt")


def test_a_folder_instead_of_a_weights_file_is_refused(tmp_path):
    with pytest.raises(FerError, match="not a state_dict"):
        CLResNet50(backbone="resnet18", weights=tmp_path)


@pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], {"epoch": 3, "model": {}}, 3,
                                     {0: torch.zeros(3)}], ids=["tensor", "list", "checkpoint", "number", "numbered"])
def test_a_file_that_holds_something_else_is_named(tmp_path, content):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(FerError, match="other.pt: holds something else than a state_dict"):
        CLResNet50(backbone="resnet18", weights=tmp_path / "other.pt")


@pytest.mark.parametrize("own", [True, False], ids=["ours", "torchvision's"])
def test_weights_of_another_network_are_refused(tmp_path, own):
    other = CLResNet50(backbone="resnet34") if own else torchvision.models.resnet34(weights=None)
    torch.save(other.state_dict(), tmp_path / "resnet34.pt")
    with pytest.raises(FerError, match="resnet34.pt: weights of another network"):
        CLResNet50(backbone="resnet18", weights=tmp_path / "resnet34.pt")


def test_weights_for_another_number_of_classes_are_refused(tmp_path):
    torch.save(CLResNet50(8, backbone="resnet18").state_dict(), tmp_path / "eight.pt")
    with pytest.raises(FerError, match="eight.pt: weights of another network.*7 classes"):
        CLResNet50(backbone="resnet18", weights=tmp_path / "eight.pt")


def test_an_empty_state_dict_does_not_fit(tmp_path):
    torch.save({}, tmp_path / "empty.pt")
    with pytest.raises(FerError, match="empty.pt: weights of another network"):
        CLResNet50(backbone="resnet18", weights=tmp_path / "empty.pt")


@pytest.mark.parametrize("backbone", ["resnet51", "ResNet-50", "", None, "fcn_resnet50", "r3d_18"])
@pytest.mark.parametrize("weights", ["random", "imagenet"])
def test_an_unknown_backbone_is_refused(backbone, weights):
    with pytest.raises(FerError, match=f"unknown backbone {backbone!r}; torchvision knows resnet18"):
        CLResNet50(backbone=backbone, weights=weights)


def test_a_backbone_without_a_last_linear_layer_is_refused():
    with pytest.raises(FerError, match="backbone 'squeezenet1_1' does not end in a linear"):
        CLResNet50(backbone="squeezenet1_1")


@pytest.mark.parametrize("backbone, features", [("googlenet", 1024), ("inception_v3", 2048)])
def test_backbones_with_auxiliary_outputs_give_their_last_answer_alone(backbone, features):
    model = CLResNet50(backbone=backbone).train()
    assert model.feat_dim == features
    deep, logits = model(images(2, 96))
    assert deep.shape == (2, features) and logits.shape == (2, 7)
    assert not [name for name, _ in model.named_parameters() if "aux" in name.lower()]
    (logits.sum() + deep.sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_weights_come_from_safetensors_too(tmp_path, assert_same_state):
    model = CLResNet50(backbone="resnet18")
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    again = CLResNet50(backbone="resnet18", weights=str(tmp_path / "own.safetensors"))
    assert_same_state(model.state_dict(), again.state_dict())
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "own.safetensors").read_bytes()[:-9])
    for name in ("cut", "absent"):
        with pytest.raises(FerError, match=f"{name}.safetensors: "):
            CLResNet50(backbone="resnet18", weights=tmp_path / f"{name}.safetensors")


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
