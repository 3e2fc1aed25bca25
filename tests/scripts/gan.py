"""A generative adversarial network on points of a ring."""

import torch
from torch import nn

torch.manual_seed(0)
G = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
D = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
optimizerG = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.999))
optimizerD = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.999))
criterion = nn.BCEWithLogitsLoss()
for step in range(100):
    angle = 6.2832 * torch.rand(64)
    real = torch.stack([angle.cos(), angle.sin()], 1)
    D.zero_grad()
    errD_real = criterion(D(real), torch.ones(64, 1))
    errD_real.backward()
    fake = G(torch.randn(64, 4))
    errD_fake = criterion(D(fake.detach()), torch.zeros(64, 1))
    errD_fake.backward()
    optimizerD.step()
    G.zero_grad()
    errG = criterion(D(fake), torch.ones(64, 1))
    errG.backward()
    optimizerG.step()
    if step % 10 == 0:
        print(step, (errD_real + errD_fake).item(), errG.item())
