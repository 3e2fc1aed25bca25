"""Two views of an image are to be near each other and far from those of the others (SimCLR), on digits."""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)
images = torch.tensor(load_digits().data / 16, dtype=torch.float32)


class TwoViews(Dataset):
    def __init__(self, images):
        self.noise = 0.1 * torch.randn(2, *images.shape)
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i] + self.noise[0, i], self.images[i] + self.noise[1, i]


encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32))
optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)
loader = DataLoader(TwoViews(images), batch_size=100, shuffle=True, drop_last=True)

for epoch in range(20):
    for first, second in loader:
        z1 = F.normalize(encoder(first), dim=1)
        z2 = F.normalize(encoder(second), dim=1)
        logits = z1 @ z2.T / 0.2
        loss = F.cross_entropy(logits, torch.arange(len(first)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
