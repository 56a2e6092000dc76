"""Makes the fonts of the text, asl-sans-*.woff2, from a folder with Source Sans 3 (needs fontTools and brotli):

python nbs/fonts/text.py FOLDER"""
import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

STYLES = {"Regular": "regular", "Regular_Italic": "italic", "SemiBold": "semibold"}
CHARACTERS = [range(0x20, 0x7F), range(0xA0, 0x100), range(0x3B1, 0x3CA), range(0x2070, 0x208F), range(0x2190, 0x2194)]
CHARACTERS += [map(ord, "ıΔ–—‘’‚“”„•…′−√∞≈≠≤≥\u0302\u0304")]
FEATURES = ["kern", "liga", "mark", "mkmk", "ccmp", "lnum", "tnum"]

for style, name in STYLES.items():
    path, = Path(sys.argv[1]).rglob(f"SourceSans3_[46]00{style}.ttf")
    font = TTFont(path, recalcTimestamp=False)
    subsetter = Subsetter(Options(layout_features=FEATURES, hinting=False, name_IDs=[0, 5, 13, 14]))
    subsetter.populate(unicodes={code for part in CHARACTERS for code in part})
    subsetter.subset(font)
    for number, text in {1: "ASL Sans", 2: name, 4: f"ASL Sans {name}", 6: f"ASLSans-{name}"}.items():
        font["name"].setName(text, number, 3, 1, 0x409)  # the licence reserves the original's name
    font.flavor = "woff2"
    font.save(Path(__file__).with_name(f"asl-sans-{name}.woff2"))
