"""Two worker processes and random augmentation."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Augmented(Dataset):
    def __init__(self):
        self.images, self.labels = load_digits(return_X_y=True)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = torch.tensor(self.images[index] / 16, dtype=torch.float32)
        return image + 0.05 * torch.randn(64), int(self.labels[index])


def main():
    torch.manual_seed(0)
    np.random.seed(0)
    loader = DataLoader(Augmented(), batch_size=128, shuffle=True, num_workers=2)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(6):
        for images, labels in loader:
            loss = criterion(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"{epoch} {loss.item()!r}")


if __name__ == "__main__":
    main()
