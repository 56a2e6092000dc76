"""Runs a function in several processes that form a gloo group, with a time limit."""
import os
import time

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from forks import FORK


def _one_rank(rank, world, function, folder, arguments):
    dist.init_process_group("gloo", init_method=f"file://{folder}/group-{world}", rank=rank, world_size=world)
    torch.set_num_threads(1)
    torch.save(function(rank, world, *arguments), folder / f"result-{world}-{rank}.pt")
    dist.barrier()  # a process that exits early would break the connection of the others
    os._exit(0)  # gloo can hang or abort in an ordinary exit


def in_processes(world, function, folder, *arguments, seconds=120):
    "What `function(rank, world, *arguments)` returns on each rank, as tensors and plain containers of them."
    context = FORK.get_start_method()
    ranks = mp.start_processes(_one_rank, (world, function, folder, arguments), world, join=False, start_method=context)
    deadline = time.monotonic() + seconds
    while not ranks.join(timeout=1):
        if time.monotonic() > deadline:
            for process in ranks.processes:
                process.kill()
            pytest.fail(f"{world} processes did not end within {seconds} s")
    return [torch.load(folder / f"result-{world}-{rank}.pt") for rank in range(world)]
