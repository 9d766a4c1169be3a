"""Pictures and sound in and out of files, by ffmpeg: probing, reading, writing and checking. Knows no jobs and no faces.

    probe     what is this file, and is it allowed            ->  MediaInfo
    reader    its pictures, one after the other                ->  Frame, Frame, ...
    speech    its sound, as mono blocks                        ->  float32, float32, ...
    writer    pictures + recording                             ->  one mp4
    verify    is that mp4 what it should be

`commands` builds every command line as a tuple, `run` is the one place that executes one.
"""
