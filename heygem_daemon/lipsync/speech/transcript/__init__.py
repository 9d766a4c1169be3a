"""Align the transcript of a recording with its audio, to correct the visemes and to close the lips where they must meet.

    text -> language -> phonemes (espeak-ng) -> visemes -> decoding graph
    posteriors of the recording ----------------------------> Viterbi -> Alignment -> posteriors and closures for the motion

`align` is the entry; drivers use `blend_posteriors` and `closure_gate` of the result.
"""

from heygem_daemon.lipsync.speech.transcript.align import AlignmentResult, align
from heygem_daemon.lipsync.speech.transcript.alignment import AlignedWord, Alignment, Segment
from heygem_daemon.lipsync.speech.transcript.curves import aligned_posteriors, blend_posteriors, closure_gate
from heygem_daemon.lipsync.speech.transcript.problem import TranscriptProblem
from heygem_daemon.lipsync.speech.transcript.text import read_transcript, transcript_text

__all__ = [
    "AlignedWord",
    "Alignment",
    "AlignmentResult",
    "Segment",
    "TranscriptProblem",
    "align",
    "aligned_posteriors",
    "blend_posteriors",
    "closure_gate",
    "read_transcript",
    "transcript_text",
]
