"""Dictionary batches, two heads, a weighted sum of two losses."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)


class Data(Dataset):
    def __init__(self):
        pixels, digits = load_digits(return_X_y=True)
        self.pixels = torch.tensor(pixels / 16, dtype=torch.float32)
        self.digits = torch.tensor(digits)

    def __len__(self):
        return len(self.digits)

    def __getitem__(self, i):
        return {"image": self.pixels[i], "digit": self.digits[i], "ink": self.pixels[i].mean()}


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
        self.digit = nn.Linear(64, 10)
        self.ink = nn.Linear(64, 1)

    def forward(self, image):
        h = self.body(image)
        return {"digit": self.digit(h), "ink": self.ink(h)}


model = TwoHeads()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
ce, mse = nn.CrossEntropyLoss(), nn.MSELoss()
for epoch in range(12):
    for batch in DataLoader(Data(), batch_size=64, shuffle=True):
        out = model(batch["image"])
        loss = ce(out["digit"], batch["digit"]) + 0.5 * mse(out["ink"].squeeze(1), batch["ink"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
