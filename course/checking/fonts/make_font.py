"""Cut the Chinese font that plots are lettered with out of Noto Sans CJK SC.

    python course/checking/fonts/make_font.py /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc

Needs fonttools. The same source and version give the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools import subset  # type: ignore[import-untyped]
from fontTools.ttLib import TTCollection, TTFont  # type: ignore[import-untyped]

FAMILY = "Multiomics Sans SC"
OUTPUT = Path(__file__).with_name("MultiomicsSansSC-Regular.otf")
KEPT_NAMES = {0, 1, 2, 3, 4, 5, 6, 13, 14}
EXTRA = "—–…·‘’“”‰′″℃Å≈≠≤≥±×÷√∞∑∏∫∂∈∩∪→←↑↓⇒−²³¹⁰⁴⁵⁶⁷⁸⁹⁻⁺₀₁₂₃₄₅₆₇₈₉①②③④⑤⑥⑦⑧⑨"


def gb2312_rows(first: int, last: int) -> str:
    """All characters of a range of rows of GB 2312 (rows count from 1, both ends included)."""
    cells = (bytes((0xA0 + row, 0xA0 + cell)) for row in range(first, last + 1) for cell in range(1, 95))
    return "".join(cell.decode("gb2312", errors="ignore") for cell in cells)


def wanted_characters() -> str:
    """Latin, Greek, punctuation, and both levels of GB 2312: level 2 holds words of our field, such as 嘌呤."""
    latin = "".join(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x100))))
    punctuation = gb2312_rows(1, 3)
    greek = gb2312_rows(6, 6)
    hanzi = gb2312_rows(16, 87)
    return latin + punctuation + greek + hanzi + EXTRA


def simplified_chinese(collection: Path) -> TTFont:
    """The simplified Chinese face of the collection."""
    for font in TTCollection(str(collection), recalcTimestamp=False).fonts:
        if font["name"].getDebugName(1) == "Noto Sans CJK SC":
            return font
    raise SystemExit(f"{collection} holds no face 'Noto Sans CJK SC'")


def rename(font: TTFont) -> None:
    """Give the cut its own name, so that a full Noto font on the machine is never taken for it."""
    names = font["name"]
    names.names = [record for record in names.names if record.nameID in KEPT_NAMES and record.langID == 0x409]
    postscript = FAMILY.replace(" ", "") + "-Regular"
    for name_id, text in {1: FAMILY, 2: "Regular", 3: postscript, 4: FAMILY, 6: postscript}.items():
        names.setName(text, name_id, 3, 1, 0x409)
    outlines = font["CFF "].cff
    outlines.fontNames = [postscript]
    outlines.topDictIndex[0].FullName = FAMILY
    outlines.topDictIndex[0].FamilyName = FAMILY


def main(collection: Path) -> None:
    """Write the font beside this script."""
    options = subset.Options(layout_features=[], hinting=False, name_IDs=["*"], notdef_outline=True)
    options.drop_tables += ["vhea", "vmtx", "VORG", "BASE", "GSUB", "GPOS", "GDEF"]
    font = simplified_chinese(collection)
    cutter = subset.Subsetter(options)
    cutter.populate(text=wanted_characters())
    cutter.subset(font)
    rename(font)
    font.save(str(OUTPUT), reorderTables=True)
    print(f"{OUTPUT.name}: {OUTPUT.stat().st_size:,} bytes, {len(font.getBestCmap())} characters")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
