"""Choose the device and the threads that the engine computes with."""

import cv2
import torch

from heygem_daemon.core.errors import error
from heygem_daemon.machine import usable_cores


def choose_device(wanted: str) -> str:
    """Return the torch device for auto, cpu, cuda or cuda:N. Raises SetupError (`device_unavailable`)."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
        if device.type != "cpu":
            torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as problem:  # torch without CUDA raises AssertionError
        raise error("device_unavailable", device=wanted, problem=str(problem).splitlines()[0]) from problem
    return wanted


def describe_device(device: str) -> str:
    """Return the device with the name of its card."""
    return device if device == "cpu" else f"{device} ({torch.cuda.get_device_name(device)})"


def use_threads(threads: int) -> int:
    """Let torch use `threads` CPU threads, 0 = as many as this process may run on, and return their number.

    OpenCV uses the thread that calls it alone: as many frames as that are drawn at once.
    """
    count = threads or usable_cores()
    torch.set_num_threads(count)
    cv2.setNumThreads(1)
    return count


def is_out_of_memory(problem: RuntimeError) -> bool:
    """Return whether torch, or cuDNN below it, ran out of memory."""
    return isinstance(problem, torch.OutOfMemoryError) or "out of memory" in str(problem) or "ALLOC_FAILED" in str(problem)
