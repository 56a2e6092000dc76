"""The command `asl-explainer` on files of every kind: what it reads, what it refuses, and what it must not execute."""
import gzip
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch

from asl_explainer import cli
from asl_explainer.cli import load_batch, main
from asl_explainer.diagnose import gradient_report, suggest_gamma_neg

COMMAND = Path(sys.executable).with_name("asl-explainer")
RECOMMENDED = {"gamma_neg": 4.0, "gamma_pos": 0.0, "clip": 0.05, "eps": 0.0}


@pytest.fixture
def here(tmp_path, monkeypatch):
    "An empty folder, in which the command runs."
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(here, capsys):
    "Runs the command on files; gives what it prints, and fails if it complains."

    def run(*arguments):
        code = main(["diagnose", *map(str, arguments)])
        printed = capsys.readouterr()
        assert (code, printed.err) == (0, "")
        return printed.out

    return run


@pytest.fixture
def report(command):
    "Runs the command and gives its report."
    return lambda *arguments: json.loads(command(*arguments, "--json"))["report"]


@pytest.fixture
def error(here, capsys):
    "Runs the command, which has to fail in one line; gives this line."

    def run(*arguments):
        assert main(["diagnose", *map(str, arguments)]) == 1
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.count("\n") == 1 and printed.err.startswith("asl-explainer: ")
        return printed.err

    return run


def write(**files):
    "Text files, named by keys such as `logits_csv`."
    for name, text in files.items():
        Path(name.replace("_", ".")).write_text(text, encoding="utf-8")


def some_batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(30, 7, generator=generator) * 3, (torch.rand(30, 7, generator=generator) < 0.3).float()


def saved_batch():
    logits, targets = some_batch()
    np.save("logits.npy", logits.numpy()), np.save("targets.npy", targets.numpy())
    return logits, targets


class Trap:
    "Creates a file when it is unpickled."

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt", ".csv", ".csv.gz", ".tsv", ".parquet"])
def test_a_pickle_is_not_executed(here, error, suffix):
    created, file = here / "created", here / f"logits{suffix}"
    np.save("targets.npy", np.zeros((2, 2)))
    objects = np.array([[Trap(created)]], dtype=object)
    if suffix == ".npy":
        np.save(file, objects, allow_pickle=True)
    elif suffix == ".npz":
        np.savez(file, logits=objects, targets=objects)
    elif suffix == ".pt":
        torch.save(Trap(created), file)
    else:
        file.write_bytes(gzip.compress(pickle.dumps(Trap(created))) if suffix == ".csv.gz" else pickle.dumps(Trap(created)))
    for arguments in [(file, "targets.npy"), ("targets.npy", file)]:
        assert f"cannot read numbers from {file}: " in error(*arguments)
    assert not created.exists()


@pytest.mark.slow
def test_the_command_reports_on_100_million_labels_within_2_gib(tmp_path):
    rows, classes = 10**5, 10**3
    logits = np.lib.format.open_memmap(tmp_path / "logits.npy", "w+", np.float32, (rows, classes))
    targets = np.lib.format.open_memmap(tmp_path / "targets.npy", "w+", np.uint8, (rows, classes))
    block = np.random.default_rng(0).normal(-3, 1.5, (1000, classes)).astype(np.float32)
    for start in range(0, rows, 1000):
        logits[start : start + 1000] = block
        targets[start : start + 1000, :30] = 1
    logits[77_777, 777] = 20  # the label that the model contradicts most
    logits.flush(), targets.flush()
    del logits, targets

    code = "import resource, sys; from asl_explainer.cli import main; main(); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    arguments = ["diagnose", tmp_path / "logits.npy", tmp_path / "targets.npy", "--json"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    kibibytes = int(done.stderr.split()[-1]) / (1024 if sys.platform == "darwin" else 1)
    report = json.loads(done.stdout)["report"]
    assert kibibytes < 2 * 2**20
    assert sum(group["labels"] for group in report["groups"].values()) == rows * classes
    assert report["groups"]["positives"]["labels"] == rows * 30
    assert report["suspects"][0]["row"] == 77_777 and report["suspects"][0]["column"] == 777


def test_the_command_describes_the_recommended_loss(command):
    logits, targets = saved_batch()
    for arguments, settings in [
        ((), {}),
        (("--gamma-neg", 2, "--gamma-pos", 1, "--clip", 0, "--eps", 1e-8), {"gamma_neg": 2.0, "gamma_pos": 1.0, "clip": 0.0, "eps": 1e-8}),
        (("--easy", 0.1, "--suspected", 0.8, "--suspects", 3), {"easy": 0.1, "suspected": 0.8, "suspects": 3}),
        (("--per-class",), {"per_class": True}),
    ]:
        expected = repr(gradient_report(logits, targets, **(RECOMMENDED | settings)))
        assert command("logits.npy", "targets.npy", *arguments) == expected + "\n"


def test_a_suggestion_is_made_for_a_known_gamma_neg_only(command):
    logits, targets = saved_batch()
    files = "logits.npy", "targets.npy"
    compared = json.loads(command(*files, "--json", "--compare"))
    assert list(compared) == ["report", "ladder"] and list(compared["ladder"])[-1] == "yours"
    assert "p_t" not in command(*files, "--compare")
    for gamma in (0, 3.5):
        expected = suggest_gamma_neg(logits, targets, gamma)
        assert command(*files, "--trained-with", gamma).endswith(f"\n\n{expected.reason}\n")
        assert json.loads(command(*files, "--trained-with", gamma, "--json"))["suggestion"] == expected._asdict()


def test_arrays_of_every_kind(report):
    logits, targets = saved_batch()
    expected = report("logits.npy", "targets.npy")
    torch.save(logits, "logits.pt"), torch.save(targets.bool(), "targets.pt")
    torch.save({"targets": targets, "logits": logits}, "both.pt")
    np.savez("both.npz", logits=logits, targets=targets.numpy().astype(np.uint8)), np.savez("one.npz", logits)
    np.savetxt("logits.csv", logits, delimiter=",", fmt="%.9g"), np.savetxt("targets.csv", targets, delimiter=",")
    pairs = [("logits.pt", "targets.pt"), ("both.pt", "both.pt"), ("both.npz", "both.npz"), ("one.npz", "both.pt"), ("logits.csv", "targets.csv")]
    for pair in pairs:
        assert report(*pair) == expected
    torch.save(logits.view(5, 6, 7), "logits.pt"), np.save("targets.npy", targets.view(5, 6, 7).numpy())
    assert report("logits.pt", "targets.npy") == expected


def test_keys_choose_arrays(report, error):
    logits, targets = saved_batch()
    expected = report("logits.npy", "targets.npy")
    others = {"a": np.zeros(3), "z": logits.numpy(), "y": targets.numpy(), "words": np.array(["a", "b"])}
    np.savez("batch.npz", **others)
    torch.save({name: torch.from_numpy(x) for name, x in others.items() if name != "words"} | {"steps": [1, 2]}, "batch.pt")
    for file in ("batch.npz", "batch.pt"):
        assert report(file, file, "--logits-key", "z", "--targets-key", "y") == expected
        assert "it holds a, z, y, " in error(file, "targets.npy") and "--logits-key" in error(file, "targets.npy")
        assert "it holds a, z, y, " in error(file, "targets.npy", "--logits-key", "x")
        assert "choose an array with --targets-key" in error("logits.npy", file)
        assert f"logits and targets are the same array of {file}" in error(file, file, "--logits-key", "z", "--targets-key", "z")
    assert "batch.npz: it holds <U1" in error("batch.npz", "targets.npy", "--logits-key", "words")
    assert "batch.pt: it holds a list" in error("batch.pt", "targets.npy", "--logits-key", "steps")
    for name in ("logits.npy", "logits.csv", "logits.parquet", "logits.pt"):
        np.savetxt("logits.csv", logits, delimiter=","), torch.save(logits, "logits.pt")
        pyarrow.parquet.write_table(pyarrow.table({"a": [1.0]}), "logits.parquet")
        assert f"{name}: it is not an archive, so --logits-key does not apply" in error(name, "targets.npy", "--logits-key", "z")


def test_one_file_is_not_both(error):
    saved_batch()
    write(x_csv="a,b\n0,1\n")
    for file in ("logits.npy", "x.csv"):
        assert f"logits and targets are the same array of {file}" in error(file, file)


LOGITS = "cat,dog,horse\n2.5,-3,-4\n-1,3.5,-2\n-3,-2,0.5\n"
TARGETS = "horse,cat,dog\n0,1,0\n0,0,1\n1,0,0\n"


def table(names, numbers, separator=","):
    return "\n".join(separator.join(map(str, row)) for row in [names, *numbers] if row is not None) + "\n"


def test_columns_are_matched_by_name(here, report):
    write(logits_csv=LOGITS, targets_csv=TARGETS)
    batch = load_batch("logits.csv", "targets.csv")
    assert (batch.class_names, batch.targets.tolist()) == (["cat", "dog", "horse"], [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert batch.logits.tolist() == [[2.5, -3, -4], [-1, 3.5, -2], [-3, -2, 0.5]]
    assert report("logits.csv", "targets.csv")["class_names"] == ["cat", "dog", "horse"]
    for name, text in {"logits": LOGITS, "targets": TARGETS}.items():
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(here / f"{name}.csv"), here / f"{name}.parquet")
    for pair in [("logits.parquet", "targets.csv"), ("logits.csv", "targets.parquet"), ("logits.parquet", "targets.parquet")]:
        assert report(*pair) == report("logits.csv", "targets.csv")


def test_the_report_names_classes(command):
    write(logits_csv=LOGITS, targets_csv=TARGETS.replace("0,0,1", "1,0,0"))
    printed = command("logits.csv", "targets.csv", "--per-class")
    assert "row 1 dog (p=0.971)" in printed and "row 1 horse (p=0.119)" in printed and "\nhorse " in printed


@pytest.mark.parametrize("header, only", [
    ("horse,cat,cow", "only in logits.csv: dog; only in targets.csv: cow"),
    ("cat,cat,dog", "only in logits.csv: horse; only in targets.csv: cat"),
    ("Cat,dog,horse", "only in logits.csv: cat; only in targets.csv: Cat"),
])
def test_other_columns_are_refused(error, header, only):
    write(logits_csv=LOGITS, targets_csv=header + TARGETS[TARGETS.index("\n"):])
    assert f"the columns differ; {only}" in error("logits.csv", "targets.csv")


def test_a_column_too_few_is_refused(error):
    write(logits_csv=LOGITS, targets_csv="horse,cat\n0,1\n0,0\n1,0\n")
    assert "the columns differ; only in logits.csv: dog; only in targets.csv: none" in error("logits.csv", "targets.csv")


def test_names_that_occur_twice(here, error):
    numbers = [[1, 0, 0], [1, 1, 0]]
    write(logits_csv=table("aab", numbers), targets_csv=table("aab", numbers), other_csv=table("aba", numbers))
    assert load_batch("logits.csv", "targets.csv").class_names == ["a", "a", "b"]
    assert "the columns differ" in error("logits.csv", "other.csv")


@pytest.mark.parametrize("first, second, names, order", [
    ([0, 1, 2], [0, 1, 2], None, [0, 1, 2]),
    ([0, 1, 2], ["cat", "dog", "cow"], ["cat", "dog", "cow"], [0, 1, 2]),  # pandas had no names
    (["cat", "dog", "cow"], [0, 1, 2], ["cat", "dog", "cow"], [0, 1, 2]),
    ([0, 1, 2], [2, 0, 1], None, [1, 2, 0]),
    ([101, 7, 33], [7, 33, 101], ["101", "7", "33"], [2, 0, 1]),
    (["cat", "dog", "cow"], None, ["cat", "dog", "cow"], [0, 1, 2]),
    (None, ["cat", "dog", "cow"], ["cat", "dog", "cow"], [0, 1, 2]),
    (None, None, None, [0, 1, 2]),
])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_headers(here, first, second, names, order, kind):
    z, y = np.array([[0.5, -2, 0], [2, -1, -3]]), np.array([[1, 0, 0], [0, 1, 0]])
    write(logits_csv=table(first, z.tolist()), targets_csv=table(second, y.tolist()))
    if kind == "parquet" and second is not None:
        columns = {str(name): column for name, column in zip(second, y.T)}
        pyarrow.parquet.write_table(pyarrow.table(columns), "targets.parquet")
    batch = load_batch("logits.csv", "targets.parquet" if kind == "parquet" and second else "targets.csv")
    assert batch.class_names == names
    assert (batch.logits.tolist(), batch.targets.tolist()) == (z.tolist(), y[:, order].tolist())


@pytest.mark.parametrize("start", ["0,1,2\n", '"a","b","c"\n', "e,nan,inf\n", "\ufeff", ""])
def test_a_csv_file_with_any_header(here, start):
    write(x_csv=start + "1.5,-2,0\n0,1,1\n")
    np.save("y.npy", np.zeros((2, 3)))
    assert load_batch("x.csv", "y.npy").logits.tolist() == [[1.5, -2, 0], [0, 1, 1]]


def test_a_header_that_may_be_data(here, error):
    write(logits_csv="0,1\n0.5,-2\n", targets_csv="0,1\n1,0\n", one_csv="0\n1\n0\n")
    assert "logits.csv: its first row, 0,1, may be a header or data; say --header or --no-header" in error("logits.csv", "targets.csv")
    np.save("two.npy", np.zeros((3, 1), np.float32))
    assert "one.csv: its first row, 0, may be" in error("two.npy", "one.csv")
    assert load_batch("logits.csv", "targets.csv", header=True).targets.tolist() == [[1, 0]]
    assert load_batch("logits.csv", "targets.csv", header=False).targets.tolist() == [[0, 1], [1, 0]]
    assert load_batch("two.npy", "one.csv", header=False).targets.tolist() == [[0], [1], [0]]


def test_the_flags_for_headers(report, error):
    write(logits_csv="5,7,9\n0.5,-2,1\n", targets_csv="1,0,0\n1,0,1\n")
    files = "logits.csv", "targets.csv"
    assert sum(group["labels"] for group in report(*files)["groups"].values()) == 6
    assert sum(group["labels"] for group in report(*files, "--no-header")["groups"].values()) == 6
    assert "the columns differ" in error(*files, "--header")
    write(targets_csv="9,5,7\n0,1,0\n")
    assert report(*files, "--header")["class_names"] == ["5", "7", "9"]
    assert "targets contain 9" in error(*files, "--no-header")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".CSV"])
def test_separators_encodings_and_compression(here, separator, encoding, suffix):
    text = table(["Kuh, braun", "größe", "π"], [[0.5, -2.25, 1], [1e-3, 2, -7]], separator).replace("Kuh, braun", '"Kuh, braun"')
    data = text.replace("\n", "\r\n").encode(encoding)
    Path(f"x{suffix}").write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    np.save("y.npy", np.zeros((2, 3)))
    batch = load_batch(f"x{suffix}", "y.npy")
    assert batch.class_names == ["Kuh, braun", "größe", "π"]
    np.testing.assert_array_equal(batch.logits, np.float32([[0.5, -2.25, 1], [1e-3, 2, -7]]))


@pytest.mark.parametrize("cell", ["", "NA", "NaN", "nan", "n/a", "NULL", "None", " "])
def test_cells_without_a_label(report, error, cell):
    write(logits_csv="cat,dog\n2,-3\n-1,3\n", targets_csv=f"cat,dog\n1,{cell}\n{cell},1\n")
    files = "logits.csv", "targets.csv"
    groups = report(*files, "--ignore-index", "nan")["groups"]
    assert [group["labels"] for group in groups.values()] == [2, 0, 0, 0]
    assert "targets contain nan" in (line := error(*files)) and "left out with --ignore-index nan" in line
    write(targets_csv=f"cat,dog\n-1,{cell}\n-1,1\n")
    groups = report(*files, "--ignore-index", "nan", "--ignore-index", -1)["groups"]
    assert [group["labels"] for group in groups.values()] == [1, 0, 0, 0]
    write(logits_csv=f"cat,dog\n2,-3\n{cell},3\n")
    assert "logits contain nan in row 1, class 0" in error("logits.csv", "targets.csv", "--ignore-index", 5)


def test_a_column_with_empty_cells(here):
    write(x_csv="cat\n1\n\n0\n")
    np.save("z.npy", np.zeros((3, 1), np.float32))
    np.testing.assert_array_equal(load_batch("z.npy", "x.csv").targets, [[1], [np.nan], [0]])
    write(x_csv="cat,dog\n1,0\n\n0,1\n\n")
    assert load_batch("z.npy", "x.csv").targets.tolist() == [[1, 0], [0, 1]]


def test_true_and_false(here):
    write(x_csv="True,FALSE,true\nfalse,1,0\n")
    np.save("z.npy", np.zeros((2, 3), np.float32))
    assert load_batch("z.npy", "x.csv").targets.tolist() == [[1, 0, 1], [0, 1, 0]]


def test_parquet_of_every_type(report, here):
    logits, targets = saved_batch()
    np.save("float.npy", np.where(np.arange(7) == 6, np.nan, targets.numpy()))
    columns = [pyarrow.array(column) for column in targets.numpy().T]
    types = [pyarrow.int8(), pyarrow.bool_(), pyarrow.float16(), pyarrow.decimal128(3, 1), pyarrow.uint64(), pyarrow.float64()]
    columns = [column.cast(type_, safe=False) for column, type_ in zip(columns, types)] + [pyarrow.nulls(30)]
    pyarrow.parquet.write_table(pyarrow.table(dict(zip("abcdefg", columns))), "targets.parquet")
    found, expected = (report("logits.npy", file, "--ignore-index", "nan") for file in ("targets.parquet", "float.npy"))
    assert found.pop("class_names") == list("abcdefg") and found == expected
    some = pyarrow.table({"a": pyarrow.array([True, None]), "b": pyarrow.array([1, None])})
    pyarrow.parquet.write_table(some, "some.parquet")
    np.testing.assert_array_equal(load_batch("logits.npy", "some.parquet").targets, [[1, 1], [np.nan] * 2])


def test_parquet_without_numbers_is_refused(error):
    np.save("targets.npy", np.zeros((1, 2)))
    for columns, reason in [({"a": [1.0], "b": ["2"]}, "column b holds string"), ({"a": [1.0], "b": [[2]]}, "column b holds list"), ({}, "it is empty"), ({"a": []}, "it is empty")]:
        pyarrow.parquet.write_table(pyarrow.table(columns), "words.parquet")
        assert f"cannot read numbers from words.parquet: {reason}" in error("words.parquet", "targets.npy")


IDS = "photo,cat,dog\na.jpg,2,-3\nb.jpg,-1,3\n"


def parquet_of(file):
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(file), Path(file).with_suffix(".parquet"))


@pytest.mark.parametrize("names, options", [("photo", {}), ("photo", {"id_column": "photo"}), ("", {})])
@pytest.mark.parametrize("suffixes", [("csv", "csv"), ("parquet", "parquet"), ("csv", "parquet")])
def test_a_column_with_ids(here, names, options, suffixes):
    write(logits_csv=IDS.replace("photo", names), targets_csv=IDS.replace("photo", names).replace("2,-3", "1,0").replace("-1,3", "0,1"))
    parquet_of("logits.csv"), parquet_of("targets.csv")
    batch = load_batch(*(f"{name}.{suffix}" for name, suffix in zip(("logits", "targets"), suffixes)), **options)
    assert batch.class_names == ["cat", "dog"]
    assert (batch.logits.tolist(), batch.targets.tolist()) == ([[2, -3], [-1, 3]], [[1, 0], [0, 1]])


def test_a_named_column_with_ids_may_be_anywhere_and_hold_numbers(here, error):
    write(logits_csv="cat,id,dog\n2,7,-3\n-1,8,3\n", targets_csv="id,dog,cat\n7,0,1\n8,1,0\n")
    files = "logits.csv", "targets.csv"
    batch = load_batch(*files, id_column="id")
    assert (batch.class_names, batch.targets.tolist()) == (["cat", "dog"], [[1, 0], [0, 1]])
    parquet_of("targets.csv")
    assert load_batch("logits.csv", "targets.parquet", id_column="id").targets.tolist() == [[1, 0], [0, 1]]
    assert "cannot read numbers from logits.csv: it has no column 'photo': cat, id, dog" in error(*files, "--id-column", "photo")
    assert "targets contain 8" in error(*files)
    np.save("targets.npy", np.eye(2)), np.save("logits.npy", np.eye(2, dtype=np.float32))
    assert load_batch("logits.csv", "targets.npy", id_column="id").logits.tolist() == [[2, -3], [-1, 3]]
    assert "neither file has a header, so there is no column 'id'" in error("logits.npy", "targets.npy", "--id-column", "id")
    write(none_csv="1,0\n0,1\n")
    assert "none.csv: it has no column 'id': no header" in error("logits.csv", "none.csv", "--id-column", "id")


@pytest.mark.parametrize("ids, where", [
    (["b.jpg", "a.jpg"], "row 0 is a.jpg in logits.csv and b.jpg in targets.csv"),
    (["a.jpg", "c.jpg"], "row 1 is b.jpg in logits.csv and c.jpg in targets.csv"),
    (["a.jpg"], "row 1 is b.jpg in logits.csv and nothing in targets.csv"),
])
def test_rows_with_other_ids_are_refused(error, ids, where):
    write(logits_csv=IDS, targets_csv=table(["photo", "cat", "dog"], [[id_, 1, 0] for id_ in ids]))
    for options in [(), ("--id-column", "photo")]:
        assert f"{where}, expected the same rows in the same order" in error("logits.csv", "targets.csv", *options)


def test_ids_alone_are_refused(error):
    write(logits_csv="photo\na.jpg\n", targets_csv="photo\na.jpg\n")
    assert "logits.csv: 'a.jpg' in line 2, column photo" in error("logits.csv", "targets.csv")
    parquet_of("logits.csv")
    for file in ("logits.csv", "logits.parquet"):
        assert f"{file}: it is empty" in error(file, "targets.csv", "--id-column", "photo")


def test_ids_in_one_file_only_are_refused(here, error):
    write(logits_csv=IDS, targets_csv="cat,dog\n1,0\n0,1\n")
    np.save("targets.npy", np.eye(2))
    for targets in ("targets.csv", "targets.npy"):
        line = error("logits.csv", targets)
        assert "logits.csv: 'a.jpg' in line 2, column photo" in line and "name it with --id-column" in line
    parquet_of("logits.csv")
    assert "logits.parquet: column photo holds string" in error("logits.parquet", "targets.npy")
    assert load_batch("logits.csv", "targets.npy", id_column="photo").logits.tolist() == [[2, -3], [-1, 3]]


def test_the_index_that_pandas_writes(here, error):
    write(logits_csv=",0,1\n0,2,-3\n1,-1,3\n2,1,1\n")
    np.save("targets.npy", np.zeros((3, 2)))
    assert "may be a header or data" in error("logits.csv", "targets.npy")
    assert load_batch("logits.csv", "targets.npy", header=True).logits.tolist() == [[2, -3], [-1, 3], [1, 1]]
    write(logits_csv=",0,1,2\n0,2,-3,0\n1,-1,3,0\n", targets_csv=",cat,dog,cow\n1,1,0,0\n0,0,1,0\n", right_csv=",cat,dog,cow\n0,1,0,0\n1,0,1,0\n")
    np.save("targets.npy", np.zeros((2, 3)))
    assert load_batch("logits.csv", "targets.npy").logits.tolist() == [[2, -3, 0], [-1, 3, 0]]
    assert load_batch("logits.csv", "right.csv").class_names == ["cat", "dog", "cow"]
    assert "row 0 is 0 in logits.csv and 1 in targets.csv" in error("logits.csv", "targets.csv")
    np.save("logits.npy", np.zeros((2, 3), np.float32))
    assert "targets.csv: its first column has no name" in error("logits.npy", "targets.csv")


def test_a_column_of_numbers_that_looks_like_ids_is_not_taken_for_a_class(error):
    write(logits_csv="id,cat\n1,2.5\n0,-1\n", targets_csv="id,cat\n0,1\n1,0\n")
    line = error("logits.csv", "targets.csv")
    assert "column id holds the same numbers in both files, each once; if it identifies the rows, name it with --id-column" in line


@pytest.mark.parametrize("text, reason", [
    ("a,b\n1,2\n3,x\n", "'x' in line 3, column b"),
    ("1,2\n3,x\n", "'x' in line 2, column 1"),
    ("a,b\n1,2\n3\n", "line 3 has 1 cells, expected 2"),
    ("a;b\n1,5;2,5\n", "'2,5' in line 2, column b"),
    ("a,b\n1,1_000\n", "'1_000' in line 2, column b"),
    ("a,b\n", "it is empty"),
    ("", "it is empty"),
    ("words\nx\n", "'x' in line 2, column words"),
])
def test_a_cell_that_is_no_number_is_named(error, text, reason):
    write(x_csv=text)
    np.save("y.npy", np.zeros((1, 2), np.float32))
    for files in [("x.csv", "y.npy"), ("y.npy", "x.csv")]:
        assert f"cannot read numbers from x.csv: {reason}" in error(*files)


@pytest.mark.parametrize("name, content", [
    ("x.npz", b"PK\x03\x04garbage"), ("x.pt", b""), ("x.pt", b"hello world"), ("x.csv", b""), ("x.parquet", b"PAR1"), ("x.npy", b"nothing"),
    ("x.csv.gz", b"1,2\n"), ("x.csv.gz", gzip.compress(b"1,2\n" * 99, mtime=0)[:-9]), ("x.csv", "größe\n1\n".encode("latin-1")), ("x.csv", "1,2\n".encode("utf-16-le")),
])
def test_a_broken_file_is_named_in_one_line(error, name, content):
    Path(name).write_bytes(content)
    np.save("y.npy", np.zeros((1, 2), np.float32))
    for files in [(name, "y.npy"), ("y.npy", name), (name, name)]:
        assert f"cannot read numbers from {name}: " in error(*files)


def test_mistakes_are_reported_in_one_line(error):
    logits, targets = saved_batch()
    files = "logits.npy", "targets.npy"
    np.save("short.npy", targets[1:].numpy()), np.save("two.npy", 2 * targets.numpy()), np.save("whole.npy", logits.long().numpy())
    torch.save(logits.to_sparse(), "sparse.pt"), np.save("complex.npy", logits.numpy() + 1j), np.save("big.npy", np.where(targets == 1, -1, targets))
    torch.save([logits], "list.pt")
    for arguments, message in {
        ("logits.txt", "targets.npy"): "logits.txt ends in .txt, expected .npy, .npz, .pt, .csv, .csv.gz, .tsv or .parquet",
        ("logits", "targets.npy"): "logits ends in nothing",
        ("missing.npy", "targets.npy"): "No such file or directory: 'missing.npy'",
        ("missing.csv", "targets.npy"): "No such file or directory: 'missing.csv'",
        (".", "targets.npy"): ". ends in nothing",
        ("logits.npy", "short.npy"): "targets have shape (29, 7), expected the shape of logits, (30, 7)",
        ("logits.npy", "two.npy"): "targets contain 2, expected values from 0 to 1",
        ("logits.npy", "big.npy"): "labels marked -1 are left out with --ignore-index -1",
        ("whole.npy", "targets.npy"): "logits are torch.int64, expected floating point",
        ("sparse.pt", "targets.npy"): "torch.sparse_coo, on cpu, expected a dense tensor",
        ("complex.npy", "targets.npy"): "cannot read numbers from complex.npy: it holds complex64",
        ("list.pt", "targets.npy"): "cannot read numbers from list.pt: it holds a list",
        (*files, "--gamma-neg", "-1"): "gamma_neg is -1.0",
        (*files, "--trained-with", "-1"): "gamma_neg is -1.0",
        (*files, "--clip", "1"): "clip is 1.0",
        (*files, "--easy", "0.95"): "easy is 0.95",
        (*files, "--suspects", "-1"): "suspects is -1",
        (*files, "--figure", "shares.doc"): "Format 'doc' is not supported",
        (*files, "--figure", "no/folder.png"): "No such file or directory",
    }.items():
        assert message in error(*arguments), arguments


def test_probabilities_draw_a_warning(here, capsys):
    logits, targets = saved_batch()
    np.save("p.npy", logits.sigmoid().numpy())
    assert main(["diagnose", "p.npy", "targets.npy", "--compare", "--trained-with", "0"]) == 0
    errors = capsys.readouterr().err
    assert errors.startswith("asl-explainer: warning: logits lie between ") and errors.count("\n") == 1


@pytest.mark.parametrize("options", [(), ("--per-class",), ("--compare",)])
def test_figures(command, options):
    write(logits_csv=LOGITS.replace("cat", "$x"), targets_csv=TARGETS.replace("cat", "$x"))
    command("logits.csv", "targets.csv", "--figure", "shares.png", *options)
    assert Path("shares.png").read_bytes().startswith(b"\x89PNG")


def test_progress_is_on_in_the_command(monkeypatch, command):
    saved_batch()
    seen = []
    for name in ("gradient_report", "compare_settings", "suggest_gamma_neg"):
        function = getattr(cli, name)
        monkeypatch.setattr(cli, name, lambda *a, function=function, **b: seen.append(b["progress"]) or function(*a, **b))
    command("logits.npy", "targets.npy", "--compare", "--trained-with", 4)
    assert seen == [True] * 3


def test_the_command_survives_a_closed_pipe(tmp_path):
    logits, targets = (x.numpy() for x in some_batch())
    np.save(tmp_path / "logits.npy", np.tile(logits, (100, 1))), np.save(tmp_path / "targets.npy", np.tile(targets, (100, 1)))
    line = f"set -o pipefail; {COMMAND} diagnose logits.npy targets.npy --json --suspects 2000 | head -n 1"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_the_command_is_installed(tmp_path):
    np.save(tmp_path / "logits.npy", np.zeros((2, 3), np.float32))
    np.save(tmp_path / "targets.npy", np.eye(2, 3))
    done = subprocess.run([COMMAND, "diagnose", tmp_path / "logits.npy", tmp_path / "targets.npy"], capture_output=True, text=True)
    assert done.returncode == 0 and "gradient of 6 labels" in done.stdout
