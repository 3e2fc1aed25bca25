"""OneCycleLR, AdamW, and clipping, in a Trainer class."""

import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset


class Trainer:
    def __init__(self, model, loader, epochs):
        self.model = model
        self.loader = loader
        self.epochs = epochs
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
        self.scheduler = OneCycleLR(self.optimizer, max_lr=1e-2, total_steps=epochs * len(loader))
        self.criterion = nn.BCEWithLogitsLoss()

    def train_step(self, x, y):
        self.optimizer.zero_grad()
        logits = self.model(x).squeeze(1)
        loss = self.criterion(logits, y)
        loss.backward()
        clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.scheduler.step()
        return loss.item()

    def fit(self):
        self.model.train()
        for epoch in range(self.epochs):
            losses = [self.train_step(x, y) for x, y in self.loader]
            print(epoch, sum(losses) / len(losses), self.scheduler.get_last_lr()[0])


torch.manual_seed(0)
X, y = load_breast_cancer(return_X_y=True)
data = TensorDataset(torch.tensor(scale(X), dtype=torch.float32), torch.tensor(y, dtype=torch.float32))
Trainer(nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 1)), DataLoader(data, 32, shuffle=True), 12).fit()
