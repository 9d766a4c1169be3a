"""The file types that people bring, by the suffix of the name: one list for the listing of a drop and for media.

A name decides only whether a file is looked at, and what its folder makes of it; what a file really is, its content decides (media).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final


class FileType(StrEnum):
    """What the name of a file promises.

    UNNAMED: a name without a suffix, whose content may be anything. UNSUPPORTED: media that nothing here can open. INDIRECT: no media
    itself, but something that holds or points to it (an archive, a playlist, a project). SIDECAR: a document beside media. UNKNOWN: a
    suffix of none of these.
    """

    AUDIO = "audio"
    VIDEO = "video"
    STILL = "still"
    UNNAMED = "unnamed"
    UNSUPPORTED = "unsupported"
    INDIRECT = "indirect"
    SIDECAR = "sidecar"
    UNKNOWN = "unknown"


def _suffixes(words: str) -> frozenset[str]:
    return frozenset(f".{word}" for word in words.split())


def _described(**kinds: str) -> dict[str, str]:
    return {suffix: what.replace("_", " ") for what, words in kinds.items() for suffix in _suffixes(words)}


AUDIO_SUFFIXES: Final = _suffixes(
    "wav wave bwf rf64 w64 mp3 mp2 mp1 mpga m4a m4b m4r qta f4a aac adts flac ogg oga opus spx wma aiff aif aifc caf amr awb 3ga"
    " ac3 eac3 ec3 dts loas latm au snd ape wv tta mka weba"
)
SILENT_VIDEO_SUFFIXES: Final = _suffixes("gif apng m1v m2v mpv h264 avc h265 hevc")
"""Videos that never have audio: they cannot be a recording."""
VIDEO_SUFFIXES: Final = SILENT_VIDEO_SUFFIXES | _suffixes(
    "mp4 m4v mp4v mpg4 mpeg4 fmp4 cmfv ismv mov qt mkv mk3d webm avi divx xvid mpg mpeg mpe m2p mts m2ts m2t ts tp trp mod tod vob vro"
    " 3gp 3gpp 3gpp2 3g2 3gp2 wmv asf flv f4v mxf dv dif ogv ogm ogx insv 360"
)
STILL_SUFFIXES: Final = _suffixes(
    "png jpg jpeg jpe jfif jif pjpeg pjp mpo heic heics heif heifs hif avif avifs webp bmp dib tif tiff jp2 j2k j2c jpf jpx"
)
RECORDING_SUFFIXES: Final = AUDIO_SUFFIXES | (VIDEO_SUFFIXES - SILENT_VIDEO_SUFFIXES)
"""Files whose audio can be the recording."""

UNSUPPORTED: Final[Mapping[str, str]] = _described(
    a_raw_photo="cr2 cr3 crw nef nrw arw sr2 srf srw dng raf raw rw2 rwl orf pef x3f 3fr iiq erf mef mos mrw dcr kdc gpr",
    a_drawing_or_layered_image="psd psb ai svg svgz eps xcf kra afphoto afdesign procreate clip wmf emf",
    an_image_of_a_rare_type="jxl jxr wdp hdp exr hdr dds tga pcx ico icns ppm pgm pbm pnm",
    a_RealMedia_file="ra ram rm rmvb",
    a_Flash_animation="swf",
    raw_camera_footage="braw r3d ari arx crm cine",
    a_recording_of_a_surveillance_camera="dav",
    MIDI_notes="mid midi kar",
    protected_audio="aa aax m4p",
    a_dictation_in_a_closed_format="ds2 dss silk slk",
    a_track_of_an_audio_CD="cda",
)
"""Suffix -> what such media is."""
INDIRECT: Final[Mapping[str, str]] = _described(
    a_playlist="m3u m3u8 pls xspf asx wpl mpd ism ffconcat",
    a_project_of_an_editing_program="prproj aep drp dra fcpxml veg kdenlive mlt osp camproj tscproj trec wlmp mswmm imovieproj",
    a_project_of_an_audio_program="aup aup3 band logicx als flp cpr ptx sesx",
    an_archive="zip rar 7z tar gz tgz bz2 xz",
    an_image_of_a_disc="iso",
    a_shortcut_and_not_the_file="lnk webloc",
    a_placeholder_of_a_file_that_is_not_downloaded="icloud",
)
"""Suffix -> what such a file is."""

SIDECAR_SUFFIXES: Final = _suffixes(
    "txt md rst rtf doc docx odt pages pdf html htm url csv tsv xls xlsx ods numbers ppt pptx odp key gdoc gsheet gslides"
    " srt vtt ass ssa sub idx sbv lrc smi ttml dfxp textgrid eaf json xml yaml yml toml ini cfg plist log nfo cue md5 sha1 sha256 sfv"
    " thm lrv aae xmp moi cpi mpl bdm ifo bup bim ppn gpx kml fit sfk sfl pek cfa reapeaks asd pkf torrent db"
)
"""Documents, subtitles, and what cameras and editors write beside media (thumbnails, previews, edits, indexes)."""
_DOCUMENT_NAMES: Final = frozenset({"readme", "license", "licence", "notes", "todo", "changelog", "copying", "authors"})

ACCEPTED_AUDIO: Final = "wav, mp3, m4a, aac, flac, ogg, opus, wma, aiff, amr and more, or a video with audio"
ACCEPTED_VIDEO: Final = "mp4, mov, mkv, webm, avi, mpg, mts, wmv, 3gp, flv and more; portraits as jpg, png, heic, webp, avif, bmp or tif"
"""What sentences name of the long lists above."""

_TABLES: Final[tuple[tuple[FileType, Iterable[str]], ...]] = (
    (FileType.AUDIO, AUDIO_SUFFIXES),
    (FileType.VIDEO, VIDEO_SUFFIXES),
    (FileType.STILL, STILL_SUFFIXES),
    (FileType.UNSUPPORTED, UNSUPPORTED),
    (FileType.INDIRECT, INDIRECT),
    (FileType.SIDECAR, SIDECAR_SUFFIXES),
)
_TYPES: Final[Mapping[str, FileType]] = {suffix: file_type for file_type, suffixes in _TABLES for suffix in suffixes}


def suffix_of(path: str) -> str:
    """Return the suffix of a path in lower case, with its dot; "" where what follows the last dot is none (`Interview 12.05.2026`)."""
    stem, _, word = path.rpartition("/")[2].rstrip().lower().rpartition(".")
    suffix = f".{word}"
    is_suffix = suffix in _TYPES or (word.isalnum() and word.isascii() and not word.isdigit())
    return suffix if stem and is_suffix else ""


def type_of(path: str) -> FileType:
    """Return what the name of a file promises."""
    suffix = suffix_of(path)
    if suffix:
        return _TYPES.get(suffix, FileType.UNKNOWN)
    return FileType.SIDECAR if path.rpartition("/")[2].casefold() in _DOCUMENT_NAMES else FileType.UNNAMED


def description(path: str) -> str:
    """Return what a file of UNSUPPORTED or INDIRECT is, in words that follow "it is"."""
    suffix = suffix_of(path)
    return UNSUPPORTED.get(suffix) or INDIRECT[suffix]
