"""One of two processes that train one model, watched. Run by test_ranks.py: RANK, folder, kind."""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.distributed import destroy_process_group, init_process_group

from unstuck.watching import watch

rank, folder, kind = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
torch.manual_seed(0)
model: nn.Module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
if kind == "ddp":
    model = nn.parallel.DistributedDataParallel(model)
elif kind == "fsdp":
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
criterion = nn.CrossEntropyLoss()
inputs = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
targets = inputs[:, :3].argmax(1)
mine = slice(8 * rank, 8 * rank + 8)
with watch(model, optimizer, folder=folder, share=float(sys.argv[4]), findings=False):
    for _ in range(20):
        optimizer.zero_grad()
        criterion(model(inputs[mine]), targets[mine]).backward()
        optimizer.step()
destroy_process_group()
