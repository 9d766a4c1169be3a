"""The phoneme names of the recorded voices, in IPA. A name that is missing is a pause."""

from collections.abc import Mapping
from typing import Final


def _pairs(text: str) -> Mapping[str, str]:
    return dict(word.split(":") for word in text.split())


RADIO: Final = _pairs(
    "aa:ɑ ae:æ ah:ʌ ao:ɔ aw:aʊ ax:ə axr:ɚ ay:aɪ b:b ch:tʃ d:d dh:ð dx:ɾ eh:ɛ el:l em:m en:n er:ɝ ey:eɪ f:f g:g h:h hh:h hv:h ih:ɪ iy:i"
    " jh:dʒ k:k l:l m:m n:n nx:n ng:ŋ ow:oʊ oy:ɔɪ p:p r:ɹ s:s sh:ʃ t:t th:θ uh:ʊ uw:u v:v w:w y:j z:z zh:ʒ"
)
"""US English, the names of the radio corpus: flite, kal, ked, slt."""
RUSSIAN: Final = _pairs(
    "a:ə aa:a ay:ɪ ae:ɪ ee:e e:e i:i ii:i y:ɨ yy:ɨ o:o oo:o u:u uu:u ur:ʊ b:b bb:b p:p pp:p m:m mm:m f:f ff:f v:v vv:v t:t tt:t d:d dd:d"
    " s:s ss:s z:z zz:z n:n nn:n l:l ll:l r:r rr:r k:k kk:k g:g gg:g h:x hh:x sh:ʃ sch:ʃ zh:ʒ ch:tʃ c:ts j:j"
)
