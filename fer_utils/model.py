"""The network: an image in, its deep features and its logits out."""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from .as_written import path_of
from .emotions import EMOTIONS
from .errors import FerError

CIFAR = "_cifar"
# MobileNetV2 as it was written before torchvision's: the convolutions of a block lie in one row, not in groups.
FLAT = re.compile(r"(features\.(\d+)\.conv\.)([013467])\.(?=\w+$)")
GROUPED = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)")  # DenseNet in torchvision's own files: norm.1, not norm1
WRAPPED = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params")
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # the further answers of GoogLeNet and Inception
FIRST = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}  # the first block has a convolution less


class CLResNet50(nn.Module):
    """torchvision's ResNet-50 whose last layer is replaced: (B, 3, H, W) to features (B, 2048) and logits (B, 7).

    The features are the outputs of the average pooling (Table 1 of the paper), the points that centre loss gathers.
    ``backbone`` names any classifier of torchvision that ends in a linear layer; ``feat_dim`` is what enters it. A
    ResNet's name with ``_cifar`` behind it begins with a 3×3 convolution of stride 1 and no pooling, as He et al. 2016
    (*Deep residual learning*, section 4.2) do for small images: at 48 px the usual beginning leaves 12 × 12 places.
    ``weights``: "random"; "imagenet", torchvision's IMAGENET1K_V1; or the path of a state_dict, of a torchvision
    network or of this one, also where a training program wrapped it or put a prefix before its names. Raises
    ``FerError`` for an unknown backbone and for weights that are missing or do not fit.
    """

    def __init__(self, num_classes=len(EMOTIONS), *, backbone="resnet50", weights="random"):
        super().__init__()
        self.backbone = _torchvision_model(backbone, weights)
        name, last = _last_linear(self.backbone, backbone)
        self.feat_dim = last.in_features
        self.backbone.set_submodule(name, nn.Identity())
        self.classifier = nn.Linear(self.feat_dim, num_classes)
        if weights not in ("random", "imagenet"):
            self._load(path_of(weights), name)

    def forward(self, images):
        features = self.backbone(images)
        return features, self.classifier(features)

    def _load(self, path, head):
        try:
            safe = path.suffix == ".safetensors"
            state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
            while wrapped := next((state[key] for key in WRAPPED if isinstance(state.get(key), dict)), None):
                state = wrapped
            if not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()):
                raise TypeError
        except FileNotFoundError as error:
            raise FerError(f"{path}: there is no such file; give 'random', 'imagenet' or a file's path.") from error
        except Exception as error:  # whatever the readers raise, and what else than a state_dict was read
            raise FerError(f"{path}: not a state_dict that torch or safetensors can load ({type(error).__name__}); "
                           "save one with torch.save(model.state_dict(), path).") from error
        first = next(iter(self.backbone.state_dict()))
        prefixes = [key.removesuffix(first) for key in state if f".{key}".endswith(f".{first}")]
        prefix = min(prefixes, key=len, default="")  # "module." of DataParallel and the like; other parts stay behind
        if prefix.endswith("backbone.") and f"{prefix.removesuffix('backbone.')}classifier.weight" in state:
            prefix = prefix.removesuffix("backbone.")
            state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        else:  # a plain torchvision network: its own last layer knows other classes and stays behind
            state = {f"backbone.{key.removeprefix(prefix)}": value for key, value in state.items()
                     if key.startswith(prefix) and not key.removeprefix(prefix).startswith((f"{head}.", *AUXILIARY))}
            state.update({f"classifier.{key}": value for key, value in self.classifier.state_dict().items()})
        if "backbone.features.1.conv.4.weight" in state:
            state = {FLAT.sub(_grouped, key): value for key, value in state.items()}
        state = {DENSE.sub(r"\1\2", key): value for key, value in state.items()}
        try:
            self.load_state_dict(state, assign=self.classifier.weight.is_meta)
        except RuntimeError as error:
            raise FerError(f"{path}: weights of another network; they do not fit this backbone and its "
                           f"{self.classifier.out_features} classes. {str(error)[:300]}") from error


def _grouped(found):
    return f"{found[1]}{(FIRST if found[2] == '1' else GROUPED)[found[3]]}."


def _torchvision_model(backbone, weights):
    if isinstance(backbone, str) and backbone.startswith("resnet") and backbone.endswith(CIFAR):
        if weights == "imagenet":
            raise FerError(f"there are no ImageNet weights of {backbone}, because its first convolution differs from "
                           "torchvision's; train it with weights='random'.")
        return _for_small_images(_torchvision_model(backbone.removesuffix(CIFAR), "random"))
    import torchvision  # takes as long as half of torch: who only reads runs does without

    if backbone not in torchvision.models.list_models(module=torchvision.models):
        raise FerError(f"unknown backbone {backbone!r}; torchvision knows resnet18, resnet50, efficientnet_b0 and more "
                       "(torchvision.models.list_models()).")
    # GoogLeNet and Inception would answer three times in training, and with ImageNet weights change their input by a
    # switch that no state_dict holds: a network that is loaded must be the one that was trained.
    switches = backbone in ("googlenet", "inception_v3")
    options = {"transform_input": False} if switches else {}
    if weights == "imagenet":
        entries = torchvision.models.get_model_weights(backbone).__members__
        if "IMAGENET1K_V1" not in entries:
            told = ", ".join(f"{name} ({entry.url})" for name, entry in entries.items())
            raise FerError(f"torchvision has no IMAGENET1K_V1 of {backbone}; it has {told or 'no weights'}. Download "
                           "one and give its path as weights, or take another backbone.")
    if weights == "imagenet" and torch.get_default_device().type != "meta":  # where shapes alone count, none is needed
        entry = entries["IMAGENET1K_V1"]
        try:
            return _answering_once(torchvision.models.get_model(backbone, weights=entry, **options))
        except Exception as error:  # the network's errors, or whatever torch raises on a file that was cut off
            folder = Path(torch.hub.get_dir()) / "checkpoints"
            raise FerError(f"the ImageNet weights of {backbone} cannot be downloaded or read ({error}). Fetch "
                           f"{entry.url} on another machine and put it into {folder}, in place of what may lie there, "
                           "or train with weights='random'.") from error
    # Blocks that start as the identity train several times faster from scratch (Goyal et al. 2017, section 5.1).
    options = {"zero_init_residual": True} if backbone.startswith(("resnet", "resnext", "wide_resnet")) else options
    if switches:
        options |= {"aux_logits": False, "init_weights": weights == "random"}  # their papers' start takes seconds
    return torchvision.models.get_model(backbone, weights=None, **options)


def _answering_once(network):
    if hasattr(network, "aux_logits"):
        network.aux_logits = False
        for name in {"aux1", "aux2", "AuxLogits"} & dict(network.named_children()).keys():
            setattr(network, name, None)
    return network


def _for_small_images(resnet):
    width = resnet.conv1.out_channels
    resnet.conv1 = nn.Conv2d(3, width, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(resnet.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's
    resnet.maxpool = nn.Identity()
    return resnet


def _last_linear(network, backbone):
    """The name and the module of the last linear layer, which is torchvision's classification layer."""
    linear = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear or linear[-1][1].out_features != 1000:
        raise FerError(f"backbone {backbone!r} does not end in one linear classification layer; choose another one.")
    return linear[-1]
