"""The script that makes the data set of package tags, on an invented index."""
from tools.debian import extract, packages

INDEX = """Package: foo
Source: foo-src (1.2)
Description: Fast foo, a C++ parser
Tag: role::program, implemented-in::c++,
 use::parsing

Package: libfoo1
Source: foo-src
Depends: libc6
Description: fast FOO library
 Its long description is not read.
Tag: role::shared-lib

Package: foo
Description: a second version
Tag: role::program

Package: untagged
Description: fast and without tags

Package: bar
Description: foo 3 player
Tag: role::program, use::playing
"""


def test_packages():
    found = list(packages(INDEX))
    assert [source for source, _, _ in found] == ["foo-src", "foo-src", "bar"]
    assert found[0][1:] == ("Fast foo, a C++ parser", ["role::program", "implemented-in::c++", "use::parsing"])
    assert found[1][1] == "fast FOO library"


def test_extract():
    arrays = extract(INDEX, words=3, tag_uses=2)
    assert arrays["vocabulary"].tolist() == ["a", "fast", "foo"]  # by frequency, then by the alphabet
    assert arrays["tag_names"].tolist() == ["role::program"]
    assert arrays["words"].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert arrays["tags"].tolist() == [[0], [1], [0]]
    assert arrays["sources"].tolist() == [1, 1, 0]
