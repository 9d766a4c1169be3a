"""Operations on the pixels of a face: warp, composite, detect what covers it."""
