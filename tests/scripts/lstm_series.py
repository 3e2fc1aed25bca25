"""Windows of a series through an LSTM; the initial state is made in the loop."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
t = torch.arange(0, 700, dtype=torch.float32)
series = torch.sin(0.1 * t) + 0.5 * torch.sin(0.037 * t)
windows = series.unfold(0, 21, 1)
train_data = TensorDataset(windows[:500, :-1], windows[:500, -1:])
valid_data = TensorDataset(windows[500:, :-1], windows[500:, -1:])
train_dl, valid_dl = DataLoader(train_data, batch_size=32, shuffle=True), DataLoader(valid_data, batch_size=32)


class Forecast(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 24, batch_first=True)
        self.out = nn.Linear(24, 1)

    def forward(self, x, state):
        y, _ = self.lstm(x, state)
        return self.out(y[:, -1])


model = Forecast()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
criterion = nn.MSELoss()


def state(n):
    return torch.zeros(1, n, 24), torch.zeros(1, n, 24)


for epoch in range(15):
    model.train()
    for x, y in train_dl:
        x = x.unsqueeze(-1)
        loss = criterion(model(x, state(len(x))), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        valid = sum(criterion(model(x.unsqueeze(-1), state(len(x))), y).item() for x, y in valid_dl) / len(valid_dl)
    print(epoch, loss.item(), valid)
