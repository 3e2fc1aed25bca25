"""Fits a polynomial to batches that are made on the fly, as the official regression example does."""

import torch
import torch.nn.functional as F

torch.manual_seed(0)
POLY_DEGREE = 4
W_target = torch.randn(POLY_DEGREE, 1) * 5
b_target = torch.randn(1) * 5


def make_features(x):
    x = x.unsqueeze(1)
    return torch.cat([x**i for i in range(1, POLY_DEGREE + 1)], 1)


def get_batch(batch_size=32):
    x = torch.rand(batch_size) * 2 - 1
    x = make_features(x)
    return x, x.mm(W_target) + b_target.item()


fc = torch.nn.Linear(W_target.size(0), 1)
optimizer = torch.optim.Adam(fc.parameters(), lr=0.1)
for batch_idx in range(400):
    batch_x, batch_y = get_batch()
    fc.zero_grad()
    output = F.smooth_l1_loss(fc(batch_x), batch_y)
    loss = output.item()
    output.backward()
    optimizer.step()
    if batch_idx % 50 == 0:
        print(f"Loss: {loss!r} after {batch_idx} batches")
