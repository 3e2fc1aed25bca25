"""Predicting a sine with L-BFGS and a closure."""

import torch
from torch import nn, optim

torch.manual_seed(0)
x = torch.linspace(-3, 3, 200).unsqueeze(1)
y = torch.sin(2 * x)
seq = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1))
criterion = nn.MSELoss()
optimizer = optim.LBFGS(seq.parameters(), lr=0.8, max_iter=10)
for i in range(15):
    print("STEP: ", i)

    def closure():
        optimizer.zero_grad()
        out = seq(x)
        loss = criterion(out, y)
        print("loss:", loss.item())
        loss.backward()
        return loss

    optimizer.step(closure)
