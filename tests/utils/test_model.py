"""The network: its shapes, where its weights come from, and what it says when they do not fit."""

import re
import urllib.error

import pytest
import torch
import torchvision
from conftest import refusal
from safetensors.torch import save_file
from torchvision.models.resnet import Bottleneck

from fer_utils.model import CLResNet50

FILE = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[1]


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


def test_features_are_what_the_average_pooling_gives_and_logits_a_linear_layer_on_them():
    for backbone, features in (("resnet50", 2048), ("resnet18", 512), ("efficientnet_b0", 1280)):
        model, seen = CLResNet50(4, backbone=backbone).eval(), []
        model.backbone.avgpool.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output))
        deep, logits = model(images())
        assert deep.shape == (2, features) and logits.shape == (2, 4) and model.feat_dim == features
        assert deep.dtype == logits.dtype == torch.float32 and torch.equal(deep, seen[0].flatten(1))
        assert torch.allclose(logits, deep @ model.classifier.weight.T + model.classifier.bias, atol=1e-6)


def test_the_default_is_resnet50_for_seven_classes_whose_blocks_start_as_the_identity():
    model = CLResNet50()
    assert sum(parameter.numel() for parameter in model.backbone.parameters()) == 25_557_032 - 2048 * 1000 - 1000
    assert sum(parameter.numel() for parameter in model.classifier.parameters()) == 2048 * 7 + 7
    blocks = [module for module in model.modules() if isinstance(module, Bottleneck)]
    assert len(blocks) == 16 and not any(block.bn3.weight.any() for block in blocks)


def test_imagenet_weights_and_a_torchvision_state_dict_give_the_backbone_and_a_new_last_layer(hub, tmp_path, resnet18):
    for path, weights in ((hub / FILE, "imagenet"), (tmp_path / "plain.pt", tmp_path / "plain.pt")):
        torch.save(resnet18.state_dict(), path)
        model = CLResNet50(backbone="resnet18", weights=weights).eval()
        body = torch.nn.Sequential(*list(resnet18.children())[:-1], torch.nn.Flatten())
        with torch.inference_mode():
            assert torch.equal(model(images())[0], body(images()))
        assert model.classifier.weight.shape == (7, 512)


def test_imagenet_weights_that_cannot_be_had_or_read_name_the_file_and_the_folder(hub, resnet18):
    said = refusal(CLResNet50, backbone="resnet18", weights="imagenet")
    for part in ("the ImageNet weights of resnet18 cannot be downloaded", "no route to host", FILE, str(hub),
                 "weights='random'"):
        assert part in said
    torch.save(resnet18.state_dict(), hub / FILE)
    content = (hub / FILE).read_bytes()
    for kept in (0, 1000, -1000):
        (hub / FILE).write_bytes(content[:kept])
        said = refusal(CLResNet50, backbone="resnet18", weights="imagenet")
        assert FILE in said and str(hub) in said, kept


def test_our_own_state_dict_gives_the_same_network(tmp_path, assert_same_state):
    model = CLResNet50(backbone="resnet18")
    torch.save(model.state_dict(), tmp_path / "own.pt")
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    for name in ("own.pt", "own.safetensors"):
        again = CLResNet50(backbone="resnet18", weights=str(tmp_path / name))
        assert_same_state(model.state_dict(), again.state_dict())


def test_weights_are_read_as_training_programs_wrap_and_name_them(tmp_path, resnet18, monkeypatch, assert_same_state):
    def prefixed(prefix, state):
        return {prefix + key: value for key, value in state.items()}

    plain, own = resnet18.state_dict(), CLResNet50(backbone="resnet18")
    body = {key: value for key, value in plain.items() if not key.startswith("fc.")}
    monkeypatch.setenv("HOME", str(tmp_path))
    for content in ({"epoch": 3, "state_dict": prefixed("module.", plain)}, {"model_state_dict": plain, "loss": 0.3},
                    {"net": {"state_dict": prefixed("model.", plain)}}, prefixed("module.model.", plain), body,
                    prefixed("_orig_mod.", plain), {**prefixed("backbone.", body), "head.fc.weight": torch.zeros(3, 3)},
                    {**prefixed("module.encoder.", plain), "module.queue": torch.zeros(2)}):
        torch.save(content, tmp_path / "weights.pth")
        read = CLResNet50(backbone="resnet18", weights="~/weights.pth")
        assert_same_state(read.backbone.state_dict(), body)
    torch.save({"state_dict": prefixed("module.", own.state_dict())}, tmp_path / "own.pth")
    assert_same_state(CLResNet50(backbone="resnet18", weights="$HOME/own.pth").state_dict(), own.state_dict())


def test_densenet_is_read_under_the_names_of_torchvisions_own_file(tmp_path, assert_same_state):
    network = CLResNet50(backbone="densenet121")
    older = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): value
             for key, value in network.backbone.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in older
    torch.save(older, tmp_path / "older.pth")
    read = CLResNet50(backbone="densenet121", weights=tmp_path / "older.pth")
    assert_same_state(read.backbone.state_dict(), network.backbone.state_dict())


def test_a_network_without_imagenet1k_v1_says_what_there_is():
    for backbone in ("vit_h_14", "regnet_y_128gf"):
        said = refusal(CLResNet50, backbone=backbone, weights="imagenet")
        assert f"no IMAGENET1K_V1 of {backbone}; it has IMAGENET1K_SWAG_E2E_V1 (https://" in said, said


def test_a_file_that_is_no_weights_of_this_network_is_named(tmp_path, resnet18):
    torch.save(resnet18.state_dict(), tmp_path / "whole.pt")
    save_file(resnet18.state_dict(), tmp_path / "whole.safetensors")
    pickled, safe = ((tmp_path / name).read_bytes()[:-1000] for name in ("whole.pt", "whole.safetensors"))
    wanted = {
        "there is no such file": {"absent.pt": None, "absent.safetensors": None},
        "not a state_dict that torch or safetensors can load": {
            "empty.pt": b"", "garbage.pt": b"garbage", "pickle.pt": b"\x80\x02garbage", "zip.pt": b"PK\x03\x04 half",
            "cut.pt": pickled, "cut.safetensors": safe, "tensor.pt": torch.zeros(3), "list.pt": [torch.zeros(3)],
            "checkpoint.pt": {"epoch": 3, "model": {}}, "numbered.pt": {0: torch.zeros(3)}},
        "weights of another network; they do not fit this backbone and its 7 classes": {
            "none.pt": {}, "eight.pt": CLResNet50(8, backbone="resnet18").state_dict(),
            "torchvisions.pt": torchvision.models.resnet34(weights=None).state_dict()}}
    taken = []
    for words, files in wanted.items():
        for name, content in files.items():
            if isinstance(content, bytes):
                (tmp_path / name).write_bytes(content)
            elif content is not None:
                torch.save(content, tmp_path / name)
            said = refusal(CLResNet50, backbone="resnet18", weights=tmp_path / name)
            taken += [] if f"{tmp_path / name}: {words}" in said else [(name, said)]
    assert not taken


def test_an_unknown_backbone_and_one_without_one_last_linear_layer_are_refused():
    for backbone in ("resnet51", "ResNet-50", "", None, "fcn_resnet50", "r3d_18"):
        said = refusal(CLResNet50, backbone=backbone, weights="imagenet")
        assert f"unknown backbone {backbone!r}; torchvision knows resnet18" in said
    assert "'squeezenet1_1' does not end in one linear" in refusal(CLResNet50, backbone="squeezenet1_1")


@pytest.mark.parametrize("backbone", ["googlenet", "inception_v3"])
def test_a_network_with_switches_is_the_same_once_it_is_loaded(tmp_path, monkeypatch, backbone):
    """ImageNet weights turn ``transform_input`` on, which no state_dict holds, and bring two further answers."""
    def stand_in(url, *args, **kwargs):
        return torchvision.models.get_model(backbone, weights=None, init_weights=False).state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", stand_in)
    trained = CLResNet50(backbone=backbone, weights="imagenet")
    torch.save(trained.state_dict(), tmp_path / "own.pt")
    loaded = CLResNet50(backbone=backbone, weights=str(tmp_path / "own.pt"))
    images = torch.rand(2, 3, 75, 75)
    with torch.inference_mode():
        assert torch.equal(trained.eval()(images)[1], loaded.eval()(images)[1])
    features, logits = loaded.train()(images)
    assert features.shape == (2, loaded.feat_dim) and logits.shape == (2, 7)


def test_mobilenet_is_read_under_its_older_names(tmp_path, assert_same_state):
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
    assert_same_state(network.backbone.state_dict(), read.backbone.state_dict())


def test_cifars_first_layers_keep_the_places_of_a_small_image(tmp_path, assert_same_state):
    network = CLResNet50(backbone="resnet18_cifar")
    first = network.backbone.conv1
    assert (first.kernel_size, first.stride, first.out_channels) == ((3, 3), (1, 1), 64)
    assert network.backbone.maxpool(torch.ones(1, 1, 4, 4)).shape == (1, 1, 4, 4)
    assert network.feat_dim == 512 and not network.backbone.layer1[0].bn2.weight.any()  # starts as the identity
    torch.save(network.state_dict(), tmp_path / "own.pt")
    read = CLResNet50(backbone="resnet18_cifar", weights=str(tmp_path / "own.pt"))
    assert_same_state(network.state_dict(), read.state_dict())
    assert "no ImageNet weights of resnet18_cifar" in refusal(CLResNet50, backbone="resnet18_cifar", weights="imagenet")
    assert "unknown backbone 'resnet51'" in refusal(CLResNet50, backbone="resnet51_cifar")
