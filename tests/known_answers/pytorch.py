"""Makes pytorch.safetensors, layers.safetensors: weights as PyTorch saves them; and what it computes with them.

pytorch.npz, layers.npz hold inputs and outputs, in float64; `Net` is stored in several dtypes. It needs torch and
safetensors; the tests don't. Run it with `python tests/known_answers/pytorch.py`.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent
WORDS, CLASSES = 7, 2

Outputs = dict[str, torch.Tensor]


class Net(nn.Module):
    """Words to classes, by one recurrent layer of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 5)
        self.lstm = nn.LSTM(5, 4, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(8, 3, batch_first=True)
        self.rnn = nn.RNN(3, 4, batch_first=True)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """[batch, time] → [batch, time, classes]."""
        sequence, _ = self.lstm(self.embed(ids))
        sequence, _ = self.gru(sequence)
        sequence, _ = self.rnn(sequence)
        return self.head(sequence)


class Layers(nn.Module):
    """All layers that docs/weights.md has a row for and `Net` lacks: of series, of pictures and of volumes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2)
        self.spread1 = nn.ConvTranspose1d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.norm = nn.LayerNorm(4)
        self.block = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, norm_first=True)
        self.scaled = nn.RMSNorm(4, eps=1e-5)
        self.look = nn.MultiheadAttention(4, 2, batch_first=True)
        self.cross = nn.MultiheadAttention(4, 2, batch_first=True, kdim=3, vdim=3)
        self.lstm = nn.LSTM(4, 3, num_layers=2, batch_first=True)

        self.conv2 = nn.Conv2d(3, 4, (3, 2))
        self.grouped = nn.GroupNorm(2, 4)
        self.spread2 = nn.ConvTranspose2d(4, 16, (3, 2))
        self.running = nn.BatchNorm2d(16)
        self.fc = nn.Linear(16 * 8 * 8, 2)

        self.conv3 = nn.Conv3d(2, 4, (1, 3, 2))
        self.each = nn.InstanceNorm3d(4, affine=True)
        self.spread3 = nn.ConvTranspose3d(4, 3, (3, 1, 2), stride=(1, 2, 1))

    def forward(
        self, series: torch.Tensor, memory: torch.Tensor, picture: torch.Tensor, volume: torch.Tensor
    ) -> Outputs:
        """series[b, 8, 4], memory[b, places, 3], picture[b, 8, 8, 3], volume[b, 3, 4, 3, 2]: channels last."""
        x = self.norm(self.spread1(torch.tanh(self.conv1(series.mT))).mT)
        x = self.scaled(self.block(x))
        x, _ = self.look(x, x, x)
        x, _ = self.lstm(self.cross(x, memory, memory)[0])
        y = self.running(self.spread2(torch.tanh(self.grouped(self.conv2(picture.movedim(-1, 1))))))
        z = self.spread3(self.each(torch.tanh(self.conv3(volume.movedim(-1, 1)))))
        return {"x": x, "y": self.fc(torch.tanh(y).flatten(1)), "z": z.movedim(1, -1)}


def save_net() -> None:
    """Writes the two files of `Net`."""
    torch.manual_seed(0)
    net = Net()
    net.embed.half()
    net.gru.bfloat16()
    net.rnn.double()
    save_file(net.state_dict(), HERE / "pytorch.safetensors")
    ids = torch.randint(WORDS, (3, 6))
    with torch.no_grad():
        out = net.double()(ids)
    np.savez(HERE / "pytorch.npz", ids=ids.numpy(), out=out.numpy())


def save_layers() -> None:
    """Writes the two files of `Layers`, whose gains, offsets and running moments are what nothing starts from."""
    torch.manual_seed(1)
    net = Layers()
    shapes = {"series": (2, 8, 4), "memory": (2, 5, 3), "picture": (2, 8, 8, 3), "volume": (2, 3, 4, 3, 2)}
    inputs = {name: torch.randn(shape) for name, shape in shapes.items()}
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * torch.randn_like(parameter)
        net(**inputs)
        net.eval()
        save_file(net.state_dict(), HERE / "layers.safetensors")
        inputs = {name: value.double() for name, value in inputs.items()}
        outputs = net.double()(**inputs)
    np.savez_compressed(HERE / "layers.npz", **{name: value.numpy() for name, value in (inputs | outputs).items()})


if __name__ == "__main__":
    save_net()
    save_layers()
