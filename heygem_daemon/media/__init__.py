"""Read and write video and audio files with ffmpeg: probe, decode, encode, check. Nothing here knows of jobs or faces.

    probe     what is this file, and is it allowed            ->  MediaInfo
    stills    the same for still images, and their one frame   ->  MediaInfo, Frame
    reader    its frames, one after the other                  ->  Frame, Frame, ...
    speech    its audio, as mono blocks                        ->  float32, float32, ...
    writer    frames + recording                               ->  one mp4
    verify    is that mp4 complete and of the right length

`commands` builds every command line as a tuple; only `run` executes them.
"""
