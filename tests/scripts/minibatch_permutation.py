"""Mini-batches cut by hand out of a permutation; wine."""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_wine
from torch import nn

torch.manual_seed(3)
data, target = load_wine(return_X_y=True)
X = torch.tensor((data - data.mean(0)) / data.std(0), dtype=torch.float32)
Y = torch.tensor(target)

net = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
batch_size = 16

for epoch in range(30):
    permutation = torch.randperm(X.size(0))
    total = 0.0
    for i in range(0, X.size(0), batch_size):
        indices = permutation[i : i + batch_size]
        batch_x, batch_y = X[indices], Y[indices]
        opt.zero_grad()
        loss = F.cross_entropy(net(batch_x), batch_y)
        loss.backward()
        opt.step()
        total += loss.item()
    print(epoch, total)
