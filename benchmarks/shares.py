"""Where a step's time goes: PyTorch's profiler over one epoch, its operations in a few heaps."""

import time

from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.contenders import Setting, ours

HEAPS = {
    "matrix products": ("aten::mm", "aten::addmm"),
    "likelihood": ("log_sigmoid", "aten::sigmoid", "binary_cross_entropy", "BinaryCross"),
    "tanh or ReLU": ("tanh", "relu", "threshold_backward"),
    "Adam": ("_fused_adam_", "_foreach_add_", "Optimizer.step"),
    "batch: shuffle, binarize, noise": ("index_select", "__rshift__", "randperm", "randn"),
    "checks": ("aminmax", "isfinite", "_local_scalar_dense"),
}
OTHER = "small operations, copies, autograd"
PYTHON = "Python between them"


def shares(setting: Setting, images: Tensor) -> dict[str, float]:
    """Percent of an epoch's seconds in each heap, the last two being all the rest.

    The profiler itself costs some microseconds an operation, which swells the heaps of small
    ones: read it as an order, not as a measure.
    """
    epoch = ours(setting, images)
    epoch()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        epoch()
        seconds = time.perf_counter() - start
    heaps = dict.fromkeys([*HEAPS, OTHER], 0.0)
    for event in profiler.key_averages():
        heaps[_heap(event.key)] += event.self_cpu_time_total / 1e6
    heaps[PYTHON] = max(0.0, seconds - sum(heaps.values()))
    return {heap: round(100 * spent / seconds, 1) for heap, spent in heaps.items()}


def _heap(operation: str) -> str:
    found = (heap for heap, names in HEAPS.items() if any(name in operation for name in names))
    return next(found, OTHER)
