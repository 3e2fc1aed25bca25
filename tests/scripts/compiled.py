"""A model under torch.compile."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
X, y = load_digits(return_X_y=True)
loader = DataLoader(
    TensorDataset(torch.tensor(X / 16, dtype=torch.float32), torch.tensor(y)),
    batch_size=64,
    shuffle=True,
    drop_last=True,
)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
compiled = torch.compile(model, backend="aot_eager")
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for epoch in range(8):
    for inputs, labels in loader:
        optimizer.zero_grad()
        loss = criterion(compiled(inputs), labels)
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
