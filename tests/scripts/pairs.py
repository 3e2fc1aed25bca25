"""Two inputs: are two digits the same? The parts of the model are called one by one."""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
X, y = load_digits(return_X_y=True)
X, y = torch.tensor(X / 16, dtype=torch.float32), torch.tensor(y)
left = torch.randint(len(X), (6000,))
right = torch.where(torch.rand(6000) < 0.5, (left + 10) % len(X), torch.randint(len(X), (6000,)))
pairs = TensorDataset(X[left], X[right], (y[left] == y[right]).float())


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32))
        self.head = nn.Linear(32, 1)


model = Siamese()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(8):
    for a, b, same in DataLoader(pairs, batch_size=50, shuffle=True):
        distance = (model.trunk(a) - model.trunk(b)).abs()
        logit = model.head(distance).squeeze(-1)
        loss = F.binary_cross_entropy_with_logits(logit, same)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
