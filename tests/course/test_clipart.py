"""The script that makes the data set of tagged drawings, on invented drawings, and the data set itself."""
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from tools import clipart
from tools.clipart import Drawing, compressed, cropped, extract, grouped, kept_tags, one_spelling, read, united, without_large

SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:cc="http://web.resource.org/cc/">
<metadata><rdf:RDF><cc:Work><dc:title> Apple 2 </dc:title><dc:subject><rdf:Bag><rdf:li>Red_Fruit</rdf:li><rdf:li/><rdf:li>unsorted</rdf:li><rdf:li>food</rdf:li></rdf:Bag></dc:subject>
<dc:publisher><cc:Agent><dc:title>Somebody else</dc:title></cc:Agent></dc:publisher><dc:creator><cc:Agent><dc:title>Ada</dc:title></cc:Agent></dc:creator>
<cc:license rdf:resource="{}"/></cc:Work></rdf:RDF></metadata></svg>"""


def drawing(file, tags=(), title="", author="Ada", shade=0):
    picture = np.full((2, 2, 3), shade, dtype=np.uint8)
    return Drawing(file, title, author, set(tags), set(file.split("/")[:-1]), True, picture)


@pytest.mark.parametrize("licence, marked", [("http://web.resource.org/cc/PublicDomain", True), ("http://creativecommons.org/licenses/GPL/2.0/", False), ("", False)])
def test_read(tmp_path, licence, marked):
    (path := tmp_path / "food/my-fruit/apple.svg").parent.mkdir(parents=True)
    path.write_text(SVG.format(licence))
    assert read(path, tmp_path) == Drawing("food/my-fruit/apple.svg", "Apple 2", "Ada", {"red fruit", "food"}, {"food", "my fruit"}, marked)


def test_a_file_without_a_licence_is_not_in_the_public_domain(tmp_path):
    (path := tmp_path / "apple.svg").write_text("<svg/>")
    assert read(path, tmp_path) == Drawing("apple.svg", "", "", set(), set(), False)


def test_one_spelling():
    found = one_spelling(["flag", "flag", "flags", "north america", "northamerica", "northamerica", "glass", "glas", "bus"])
    assert found == {"flag": "flag", "flags": "flag", "north america": "northamerica", "northamerica": "northamerica", "glass": "glass", "glas": "glas", "bus": "bus"}


def test_cropped():
    picture = Image.new("RGBA", (100, 100))
    assert cropped(picture) is None  # nothing is drawn
    picture.paste("white", (20, 20, 40, 30))
    assert cropped(picture) is None  # nothing is seen
    picture.paste("black", (20, 20, 40, 30))
    pixels = cropped(picture)
    assert pixels.shape == (clipart.SIZE, clipart.SIZE, 3)
    rows, columns = np.nonzero(pixels[..., 0] < 128)
    assert 0.85 < np.ptp(columns) / clipart.SIZE < 0.95 and 0.4 < np.ptp(rows) / clipart.SIZE < 0.5


def test_identical_drawings_are_one():
    one, other = united([drawing("a/x.svg", ["red"]), drawing("b/y.svg", ["blue"]), drawing("b/z.svg", ["green"], shade=9)])
    assert (one.file, one.tags, one.folders, other.tags) == ("a/x.svg", {"red", "blue"}, {"a", "b"}, {"green"})


def test_grouped():
    files = ["a/flower_ada_01.svg", "a/flower_ada_02.svg", "a/tree_ada_01.svg", "b/flower_ada_01.svg", "c/x.svg", "d/y.svg"]
    drawings = [drawing(file, title=title) for file, title in zip(files, [*["Flat Icon Collection"] * 3, "", "Deck 1", "Deck 2"])]
    groups = grouped(drawings, np.eye(6))
    assert len(set(groups)) == 4 and groups[0] == groups[1] and groups[4] == groups[5]  # one name in a folder, one title
    drawings[1].author = "Bob"
    assert len(set(grouped(drawings, np.eye(6)))) == 5
    alike = np.eye(6)
    alike[2, 3] = 3  # at a cosine of .95 with the fourth
    assert grouped(drawings, alike)[2] == grouped(drawings, alike)[3] and grouped(drawings, alike, similar=0.96)[2] != grouped(drawings, alike, similar=0.96)[3]


def test_a_large_group_is_left_out():
    drawings = [drawing(f"{name}.svg") for name in ("a1", "b1", "a2", "c1", "a3", "b2")]
    kept, features, groups = without_large(drawings, np.eye(6), largest=2)
    assert [of.file for of in kept] == ["b1.svg", "c1.svg", "b2.svg"] and features.argmax(1).tolist() == [1, 3, 5]
    assert groups[0] == groups[2] != groups[1] and set(groups) == {0, 1}


def test_kept_tags():
    drawings = [drawing("red/x.svg", ["red", "series"]), drawing("blue/x.svg", ["red", "series"]), drawing("red/y.svg", ["rare"])]
    assert kept_tags(drawings, [0, 1, 2], uses=2, in_groups=2) == {"red": 0.5, "series": 0}
    assert kept_tags(drawings, [0, 0, 2], uses=2, in_groups=2) == {}


def test_compressed():
    features = np.random.default_rng(0).normal(size=(50, 4)) * [5, 1, 0.01, 0] + [0, 0, 0, 50]
    values, scale = compressed(features, components=3)
    restored = values * scale
    assert values.dtype == np.int8 and np.abs(values).max(0).tolist() == [127, 127, 127] and restored.var(0).mean() == pytest.approx(1, rel=0.01)
    assert abs(restored[:, 0].mean()) > 20 * restored[:, 0].std()  # the mean is kept
    assert abs(np.corrcoef(restored[:, 1], features[:, 0])[0, 1]) > 0.99 and restored[:, 1].std() > 3 * restored[:, 2].std()  # not whitened


def test_extract(monkeypatch):
    monkeypatch.setattr(clipart.kept_tags, "__defaults__", (2, 2))
    drawings = [drawing("red/a.svg", ["red", "fruit"]), drawing("red/b.svg", ["red"]), drawing("blue/c.svg", ["fruit", "sky"])]
    arrays = extract(drawings, np.eye(3), np.arange(3))
    assert arrays["tag_names"].tolist() == ["fruit", "red"] and arrays["from_folder"].tolist() == [False, True]
    assert arrays["tags"].tolist() == [[0, 1], [1, 2], [0, 2]] and arrays["files"].tolist() == ["red/a", "red/b", "blue/c"]


def test_the_file_holds_what_the_script_promises():
    arrays = np.load(ROOT / "asl_explainer/course/clipart.npz")
    assert (ROOT / "asl_explainer/course/clipart.npz").stat().st_size < 1.25e6
    number, tags = len(arrays["files"]), len(arrays["tag_names"])
    assert arrays["features"].shape == (number, clipart.FEATURES) and arrays["groups"].shape == (number,) and 4800 < number < 5000
    assert not set(arrays["tag_names"]) & clipart.JUNK and len(set(arrays["files"])) == number
    uses = np.bincount(arrays["tags"].ravel(), minlength=tags + 1)[:tags]
    assert uses.min() >= clipart.TAG_USES
    for part in ("public domain", "openclipart-svg 1:0.18", "Apache License 2.0", "version 0.1.0", "2026"):
        assert part in str(arrays["origin"])
