"""PyTorch's counterparts of Apus's models, by Apus's names."""
import torch
import torch.nn.functional as F
import torchvision
from torch import nn


class CIFARBlock(nn.Module):
    """A basic block whose shortcut subsamples and pads with zero channels (option A)."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.extra = channels - channels_in

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.extra:
            before = self.extra // 2
            x = x[:, :, :: self.stride, :: self.stride]
            x = F.pad(x, (0, 0, 0, 0, before, self.extra - before))
        return F.relu(x + y)


class CIFARResNet(nn.Module):
    """The family of He et al. 2015, section 4.2: depth 6n + 2."""

    def __init__(self, depth, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        channels_in = 16
        stages = []
        for stage in range(3):
            channels = 16 << stage
            blocks = []
            for index in range((depth - 2) // 6):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(CIFARBlock(channels_in, channels, stride))
                channels_in = channels
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def published(name, **options):
    """torchvision's model; its names have underscores where Apus's have hyphens."""
    make = getattr(torchvision.models, name.replace("-", "_"), None)
    if make is None:
        raise SystemExit(f"torchvision has no model '{name}'")
    return make(weights=None, **options)


def model(name):
    """The model and its number of classes."""
    if not name.endswith("-cifar"):
        return published(name), 1000
    base = name.removesuffix("-cifar")
    kind = base.rstrip("0123456789")
    depth = int(base[len(kind) :] or 0)
    if kind == "resnet" and depth in (18, 34, 50, 101, 152):
        network = published(base, num_classes=10)
        network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        network.maxpool = nn.Identity()
        return network, 10
    if kind == "resnet" and depth >= 8 and depth % 6 == 2:
        return CIFARResNet(depth), 10
    if kind == "densenet" and depth in (121, 161, 169, 201):
        network = published(base, num_classes=10)
        channels = network.features.conv0.out_channels
        network.features.conv0 = nn.Conv2d(3, channels, 3, 1, 1, bias=False)
        network.features.pool0 = nn.Identity()
        return network, 10
    raise SystemExit(f"no PyTorch counterpart of '{name}' is defined in {__file__}")


def images(batch, side):
    return torch.randn(batch, 3, side, side)
