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
ITALIAN: Final = _pairs(
    "a:a a1:a e:e e1:e E1:ɛ E:ɛ i:i i1:i o:o o1:o O:ɔ O1:ɔ u:u u1:u j:j w:w p:p t:t k:k b:b d:d g:g ts:ts dz:dz tS:tʃ dZ:dʒ f:f s:s v:v z:z"
    " S:ʃ m:m n:n J:ɲ nf:ɱ ng:ŋ l:l L:ʎ r:r"
)
CZECH: Final = {
    **_pairs("a:a e:e i:i o:o u:u o_u:oʊ a_u:aʊ e_u:eʊ j:j p:p b:b m:m f:f v:v t:t d:d n:n k:k g:g h:h x:x s:s z:z l:l r:r c:ts ch:x"),
    **_pairs("s~:ʃ z~:ʒ c~:tʃ t~:c d~:ɟ n~:ɲ r~:r r~*:r dz~:dʒ dz:dz n*:ŋ n~*:ŋ m*:m g*:g"),
    **{"a:": "aː", "e:": "eː", "i:": "iː", "o:": "oː", "u:": "uː"},
}
FINNISH: Final = {
    **_pairs("a:a e:e i:i o:o u:u y:y ae:æ oe:ø @:æ 7:ø p:p t:t k:k d:d g:g b:b f:f s:s h:h v:ʋ j:j l:l r:r m:m n:n N:ŋ S:ʃ"),
    **{
        "a:": "aː",
        "e:": "eː",
        "i:": "iː",
        "o:": "oː",
        "u:": "uː",
        "y:": "yː",
        "@:": "æː",
        "7:": "øː",
        "{": "æ",
        "{:": "æː",
        "2": "ø",
        "2:": "øː",
    },
}
RUSSIAN: Final = _pairs(
    "a:ə aa:a ay:ɪ ae:ɪ ee:e e:e i:i ii:i y:ɨ yy:ɨ o:o oo:o u:u uu:u ur:ʊ b:b bb:b p:p pp:p m:m mm:m f:f ff:f v:v vv:v t:t tt:t d:d dd:d"
    " s:s ss:s z:z zz:z n:n nn:n l:l ll:l r:r rr:r k:k kk:k g:g gg:g h:x hh:x sh:ʃ sch:ʃ zh:ʒ ch:tʃ c:ts j:j"
)
