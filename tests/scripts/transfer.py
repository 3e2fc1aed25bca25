"""A frozen trunk and a new head; label smoothing and class weights; cosine schedule."""

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
X, y = load_digits(return_X_y=True)
X, y = torch.tensor(X / 16, dtype=torch.float32), torch.tensor(y)
dataloaders = {
    "train": DataLoader(TensorDataset(X[:1400], y[:1400]), batch_size=32, shuffle=True),
    "val": DataLoader(TensorDataset(X[1400:], y[1400:]), batch_size=100),
}


class Pretrained(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 256), nn.ReLU())
        self.fc = nn.Linear(256, 1000)

    def forward(self, x):
        return self.fc(self.trunk(x))


model_ft = Pretrained()
for param in model_ft.parameters():
    param.requires_grad = False
model_ft.fc = nn.Linear(256, 10)
criterion = nn.CrossEntropyLoss(weight=torch.bincount(y[:1400]).float().pow(-1) * 140, label_smoothing=0.05)
optimizer_ft = torch.optim.SGD(model_ft.fc.parameters(), lr=0.1, momentum=0.9)
scheduler = lr_scheduler.CosineAnnealingLR(optimizer_ft, T_max=10)

for epoch in range(10):
    for phase in ["train", "val"]:
        model_ft.train(phase == "train")
        running = 0.0
        for inputs, labels in dataloaders[phase]:
            optimizer_ft.zero_grad()
            with torch.set_grad_enabled(phase == "train"):
                loss = criterion(model_ft(inputs), labels)
                if phase == "train":
                    loss.backward()
                    optimizer_ft.step()
            running += loss.item() * inputs.size(0)
        print(epoch, phase, running)
    scheduler.step()
