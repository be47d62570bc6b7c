"""CSV written in the test, read as regression and as classification."""

import functools
import gzip
import operator

import numpy as np
import pytest

from flownet.data.datasets import CsvFile


def opened(tmp_path, text, **options):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    return CsvFile(path="t.csv", **options).open(tmp_path)


def all_of(split):
    return split.take(np.arange(len(split)))


def test_texts_in_the_target_are_classes_in_the_order_of_their_names(tmp_path):
    train = opened(tmp_path, "a,b,kind\n1,2,pear\n3,4,apple\n5,6,plum\n")["train"]
    batch = all_of(train)
    assert batch["x"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert batch["x"].dtype == np.float32
    assert batch["label"].tolist() == [1, 0, 2]
    assert train.fields["label"].classes == ("apple", "pear", "plum")
    assert "y" not in batch


def test_two_classes_also_give_y(tmp_path):
    batch = all_of(opened(tmp_path, "a,kind\n1,yes\n2,no\n")["train"])
    assert batch["label"].tolist() == [1, 0]
    assert batch["y"].tolist() == [[1.0], [0.0]]


def test_numbers_in_the_target_are_a_regression(tmp_path):
    train = opened(tmp_path, "a,b,price\n1,2,0.5\n3,4,1e3\n")["train"]
    assert all_of(train)["y"].tolist() == [[0.5], [1000.0]]
    assert list(train.fields) == ["x", "y"]


def test_numbers_are_classes_where_the_user_says_so(tmp_path):
    train = opened(tmp_path, "a,k\n1,10\n2,9\n3,10\n", task="classification")["train"]
    assert train.fields["label"].classes == ("9", "10")
    assert all_of(train)["label"].tolist() == [1, 0, 1]


@pytest.mark.parametrize("target", ["b", 1, -2])
def test_the_target_by_name_or_position(tmp_path, target):
    batch = all_of(opened(tmp_path, "a,b,c\n1,2,3\n4,5,6\n", target=target)["train"])
    assert batch["y"].tolist() == [[2], [5]]
    assert batch["x"].tolist() == [[1, 3], [4, 6]]


def test_no_header_no_target(tmp_path):
    assert all_of(opened(tmp_path, "1;2\n3;4\n", target=None, delimiter=";")["train"])["x"].tolist() == [[1, 2], [3, 4]]


def test_chosen_columns_quotes_empty_lines_byte_order_mark_and_carriage_returns(tmp_path):
    text = '\ufeffa,b,"the, kind"\r\n\r\n"1", 2,x\r\n3,4,"y"\r\n'
    train = opened(tmp_path, text, columns=("b",), target="the, kind")["train"]
    assert all_of(train)["x"].tolist() == [[2], [4]]
    assert train.fields["label"].classes == ("x", "y")


def test_gzip_and_tabs(tmp_path):
    (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(b"1\t2\n3\t4\n"))
    assert all_of(CsvFile(path="t.tsv.gz").open(tmp_path)["train"])["y"].tolist() == [[2], [4]]


def test_a_part_held_out_for_testing_and_one_for_validation(tmp_path):
    text = "".join(f"{i},{i * 10}\n" for i in range(20))
    splits = opened(tmp_path, text, test=0.25, validation=5)
    parts = {name: all_of(split)["y"][:, 0].tolist() for name, split in splits.items()}
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 10, "validation": 5, "test": 5}
    assert sorted(functools.reduce(operator.iadd, parts.values(), [])) == [i * 10 for i in range(20)]
    again = opened(tmp_path, text, test=0.25, validation=5)
    assert parts == {name: all_of(split)["y"][:, 0].tolist() for name, split in again.items()}
    other = opened(tmp_path, text, test=0.25, validation=5, split_seed=1)
    assert parts["test"] != all_of(other["test"])["y"][:, 0].tolist()


def test_a_file_of_its_own_for_testing_keeps_the_classes(tmp_path):
    (tmp_path / "u.csv").write_text("a,kind\n7,plum\n")
    splits = opened(tmp_path, "a,kind\n1,pear\n2,plum\n3,fig\n", test_path="u.csv")
    assert all_of(splits["test"])["label"].tolist() == [2]


def test_a_class_that_only_the_test_file_has(tmp_path, refused):
    (tmp_path / "u.csv").write_text("a,kind\n7,plum\n8,melon\n")
    with refused("data-label-range", "u.csv, line 3", "`melon`", "`fig`"):
        opened(tmp_path, "a,kind\n1,plum\n3,fig\n", test_path="u.csv")


@pytest.mark.parametrize(
    ("text", "code", "texts"),
    [
        ("a,b\n1,2\nnan,3\n", "data-nan", ["line 3", "column `a`", "`nan`"]),
        ("a,b\n1,2\n,3\n", "data-nan", ["line 3", "an empty cell"]),
        ("a,b\n1,2\n1,inf\n", "data-nan", ["line 3", "column `b`", "not finite"]),
        ("a,b\n1,2\n1e99,2\n", "data-nan", ["`x`", "inf"]),
        ("a,b\n1,2\nred,3\n", "data-field", ["line 3", "column `a`", "`red` is no number"]),
        ("a,b,c\n1,2,3\n1,2\n", "data-wrong-size", ["line 3", "2 cells, expected 3"]),
        ("a,b\n", "data-empty", ["below its header"]),
        ("", "data-empty", ["no rows"]),
        ("\n\n", "data-empty", ["no rows"]),
        ("a,a\n1,2\n", "data-field", ["two columns `a`"]),
        ("1\n2\n", "data-field", ["no column but the target"]),
    ],
)
def test_bad_tables(tmp_path, refused, text, code, texts):
    with refused(code, "t.csv", *texts):
        opened(tmp_path, text)


def test_an_empty_class(tmp_path, refused):
    with refused("data-nan", "line 3", "column `k`"):
        opened(tmp_path, "a,k\n1,x\n2,\n")


def test_a_misspelt_target(tmp_path, refused):
    with refused("data-field", "no column `specis`", "did you mean `species`?"):
        opened(tmp_path, "a,species\n1,x\n", target="specis")


def test_bytes_that_are_no_text(tmp_path, refused):
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,\xff\xfe\n")
    with refused("data-unreadable", "not UTF-8", "byte 6"):
        CsvFile(path="t.csv").open(tmp_path)


def test_a_missing_file_lists_the_places(tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused("data-missing", "`no.csv`", tmp_path / "no.csv", tmp_path / "root" / "no.csv"):
        CsvFile(path="no.csv").open(tmp_path / "root")


def test_a_folder_in_place_of_the_file(tmp_path, refused):
    with refused("data-wrong-kind", "is a folder, expected a file"):
        CsvFile(path=str(tmp_path)).open(tmp_path)
