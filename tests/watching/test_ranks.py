"""One model trained by two processes: statistics are those of the whole, and one record is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from unstuck.recording import open_record, records_in

SCRIPT = Path(__file__).with_name("ranks.py")


@pytest.mark.slow
@pytest.mark.parametrize("share", ["0", "0.01"])
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_give_the_statistics_of_the_whole(kind: str, share: str, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    children = [
        subprocess.Popen([sys.executable, "-W", "ignore", str(SCRIPT), str(rank), str(tmp_path), kind, share],
                         env=environment)
        for rank in range(2)
    ]  # fmt: skip
    try:
        assert [child.wait(timeout=240) for child in children] == [0, 0]
    finally:
        for child in children:
            child.kill()
    (info,), broken = records_in(tmp_path)
    assert info.status == "finished" and broken == ()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    inputs = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
    hidden = model[0](inputs)
    functional.cross_entropy(model(inputs), inputs[:, :3].argmax(1)).backward()
    with open_record(info.path) as record:
        names = [layer.name for layer in record.layers()]
        assert names == ["0", "2"]
        for name in names:
            parameters = list(model.get_submodule(name).parameters())
            gradient = sum((each.grad**2).sum().item() for each in parameters if each.grad is not None) ** 0.5
            weight = sum((each**2).sum().item() for each in parameters) ** 0.5
            assert record.series("gradient_norm", name).values[0] == pytest.approx(gradient, rel=1e-4)
            assert record.series("weight_norm", name).values[0] == pytest.approx(weight, rel=1e-4)
            assert record.series("update_norm", name).values[0] == pytest.approx(0.1 * gradient, rel=1e-3)
        rms = hidden.square().mean().sqrt().item()
        assert record.series("output_rms", "0").values[0] == pytest.approx(rms, rel=1e-4)
        assert record.series("output_max", "0").values[0] == pytest.approx(hidden.max().item(), rel=1e-5)
