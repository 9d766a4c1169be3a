"""The machine-readable label of every result: parts of this video were made by a trained model."""

import uuid
from pathlib import Path
from typing import Final

SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC digital source type of a real image of which parts were made by a trained model."""

LABEL: Final = "AI-generated: the mouth in this video was synthesised to match a recording."

XMP_BOX: Final = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac")
"""The `uuid` box that holds XMP in MP4 (XMP specification part 3, 1.2.7)."""

XMP: Final = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{LABEL}</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def append_label(path: Path) -> None:
    """Append the label to a finished mp4 as XMP, where photo and video tools look for it (ffmpeg writes XMP into mov only)."""
    body = XMP_BOX.bytes + XMP.encode("utf-8")
    with path.open("ab") as file:
        file.write((len(body) + 8).to_bytes(4, "big") + b"uuid" + body)
