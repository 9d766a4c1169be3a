"""Look into media for the page, in processes of their own: faces, stills, waveforms, copies that browsers play.

The page starts `python -m heygem_daemon.previews` and never opens a media file itself. That process reads requests as lines of JSON, forks
a process with limits for each, and answers in lines of JSON. It ends by itself when nobody asks for a while.
"""
