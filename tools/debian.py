"""Makes the data set of package tags from a Debian package index.

Usage: apt-cache dumpavail | python -m tools.debian "11 July 2026"    (the date of the index)"""
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "asl_explainer/course/debian.npz"
ORIGIN = """Derived from the Debian 12 package index (fields Package, Source, Description and Tag), published by the Debian project; the tags were assigned by Debtags contributors. The file holds word counts and tag assignments only, no descriptions. Date of the index: """
WORDS, TAG_USES = 4000, 40


def packages(index):
    "The tagged packages of an index: for each the name of its source, its one-line description and its tags."
    seen = set()
    for paragraph in index.split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): *(.*(?:\n[ \t].*)*)", paragraph, re.MULTILINE))
        if "Tag" in fields and "Description" in fields and fields["Package"] not in seen:
            seen.add(fields["Package"])
            source = fields.get("Source", fields["Package"]).split()[0]
            yield source, fields["Description"].partition("\n")[0], re.split(r",\s*", fields["Tag"].strip())


def padded(lists, padding):
    "The lists as rows of a matrix."
    rows = np.full((len(lists), max(map(len, lists))), padding, dtype=np.uint16)
    for row, numbers in zip(rows, lists):
        row[: len(numbers)] = numbers
    return rows


def extract(index, words=WORDS, tag_uses=TAG_USES):
    "The arrays of the data set. Rows of word and tag numbers, in ascending order, are padded with the number of words and of tags."
    sources, descriptions, tags = zip(*packages(index))
    texts = [re.findall(r"[a-z][a-z0-9+#]*", description.lower()) for description in descriptions]
    uses = Counter(word for text in texts for word in text)
    vocabulary = sorted(sorted(uses, key=lambda word: (-uses[word], word))[:words])
    tag_names = sorted(tag for tag, count in Counter(tag for of_package in tags for tag in set(of_package)).items() if count >= tag_uses)
    word_numbers, tag_numbers = ({name: n for n, name in enumerate(names)} for names in (vocabulary, tag_names))
    return {
        "vocabulary": np.array(vocabulary),
        "tag_names": np.array(tag_names),
        "words": padded([sorted(word_numbers[word] for word in text if word in word_numbers) for text in texts], len(vocabulary)),
        "tags": padded([sorted({tag_numbers[tag] for tag in of_package if tag in tag_numbers}) for of_package in tags], len(tag_names)),
        "sources": np.unique(sources, return_inverse=True)[1].astype(np.uint16),
    }


if __name__ == "__main__":
    np.savez_compressed(TARGET, origin=ORIGIN + sys.argv[1] + ".", **extract(sys.stdin.read()))
