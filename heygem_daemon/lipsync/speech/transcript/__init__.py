"""A script beside the recording: its words, aligned to the sound, tell the mouth what the sound alone leaves open.

    text -> language -> phonemes (espeak-ng) -> visemes -> chain of states
    posteriors of the recording ----------------------------> Viterbi -> Alignment -> rows and closures for the motion

`align` is the way in; `aligned_posteriors`, `blended` and `closure_gate` are what a driver takes out.
"""

from heygem_daemon.lipsync.speech.transcript.align import ScriptResult, align
from heygem_daemon.lipsync.speech.transcript.alignment import AlignedWord, Alignment, Segment
from heygem_daemon.lipsync.speech.transcript.curves import aligned_posteriors, blended, closure_gate
from heygem_daemon.lipsync.speech.transcript.problem import ScriptProblem
from heygem_daemon.lipsync.speech.transcript.text import read_transcript, script_text

__all__ = [
    "AlignedWord",
    "Alignment",
    "ScriptProblem",
    "ScriptResult",
    "Segment",
    "align",
    "aligned_posteriors",
    "blended",
    "closure_gate",
    "read_transcript",
    "script_text",
]
