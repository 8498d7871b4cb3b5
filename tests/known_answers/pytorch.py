"""Makes pytorch.safetensors, weights as PyTorch saves them, and pytorch.npz, what it computes with them in float64.

The layers are stored in several dtypes. It needs torch and safetensors; the tests don't. Run it with
`python tests/known_answers/pytorch.py`.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent
WORDS, CLASSES = 7, 2


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


def main() -> None:
    """Writes the two files."""
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


if __name__ == "__main__":
    main()
