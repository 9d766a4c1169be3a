"""Choose the device and the threads that the engine computes with."""

import os

import cv2
import torch

from heygem_daemon.core.errors import error


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


def use_threads(threads: int) -> None:
    """Let torch and OpenCV use `threads` CPU threads each; 0 = as many as this process may run on."""
    count = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
