"""Describe a checkpoint that is not a Wav2Lip generator, for the error message."""

from typing import Final

from heygem_daemon.lipsync.wav2lip.checkpoints.safetensors_header import Shapes
from heygem_daemon.lipsync.wav2lip.network import published_layout

_MARKS: Final = (
    ("binary_pred.", "the discriminator of a Wav2Lip training, which judges images and generates none"),
    ("face_encoder.0.conv_block.", "the lip-sync expert (SyncNet), which judges images and generates none"),
    ("netfcaud.", "the original SyncNet, which judges images and generates none"),
    ("conv3_3_norm.", "the face detector S3FD, which comes with Wav2Lip in many downloads"),
    ("stylegan_decoder.", "the face restorer GFPGAN"),
    ("mappers.", "the weights of the speech driver of this program"),
)
"""The beginning of a tensor name that only this network has, among those that come with Wav2Lip."""


def describe_network(shapes: Shapes) -> str:
    """Return in words what network has tensors of these names and shapes; "module." before names is ignored."""
    names = {name.removeprefix("module.") for name in shapes}
    if not names:
        return "a file without weights in it"
    if what := next((what for mark, what in _MARKS if any(name.startswith(mark) for name in names)), ""):
        return what
    if not any(name.startswith("face_decoder_blocks.") for name in names):
        return f"another network ({min(names)} ...)"
    return _describe_variant({name.removeprefix("module."): shape for name, shape in shapes.items()})


def _describe_variant(shapes: Shapes) -> str:
    """Return how a generator differs from the published one."""
    layout = published_layout()
    levels, expected = _count_levels(shapes), _count_levels(layout)
    if levels > expected:
        return f"a variant for larger images: its face encoder has {levels} levels instead of {expected}"
    for name, shape in layout.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in shapes:
            return f"a variant of Wav2Lip: it has no {name}"
        if shapes[name] != shape:
            return f"a variant of Wav2Lip: its {name} is {_describe_shape(shapes[name])} instead of {_describe_shape(shape)}"
    return f"a variant of Wav2Lip with more layers ({min(shapes.keys() - layout.keys())} ...)"


def _count_levels(shapes: Shapes) -> int:
    return len({name.split(".")[1] for name in shapes if name.startswith("face_encoder_blocks.")})


def _describe_shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
