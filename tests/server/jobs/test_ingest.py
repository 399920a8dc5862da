"""Ingest: faults of structure are errors, the content of cells never is, and columns that nobody declared are gone."""

import csv
import hashlib
import io

import pytest

from server.jobs.fingerprint import FINGERPRINT
from server.jobs.ingest import ingest
from synthgate.domain import OTHER, UNIT_COLUMN, Column, Domain, Kind, Role
from synthgate.errors import DataCorrupted, InvalidTable
from tests.server.jobs.tables import AGE, DOMAIN, EVERY_KIND, KEY, TENANT_KEY, cells, spec, store

PRIVATE = "Mrs Private"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"colour,age\n", "holds column names but no rows"),
        (b"colour,age", "holds column names but no rows"),
        (b"\xef\xbb\xbfcolour,age\r\n\r\n\r\n", "holds column names but no rows"),
        (b"\ncolour,age\nred,3\n", "the first line is empty"),
        (b"\xef\xbb\xbf", "the first line is empty"),
        (b"colour,Mrs Private\nred,3\n", "lacks the declared column age"),
        (b"Mrs Private\nred\n", "lacks the declared column colour and 1 more"),
        (b"colour;age\nred;3\n", "lacks the declared column colour"),
        (b"Age,Colour\n3,red\n", "lacks the declared column colour"),
        (b"colour,age,age\nred,3,4\n", "the column name age occurs twice in the file, at positions 2 and 3"),
        (b"colour,age, age \nred,3,4\n", "the column name age occurs twice"),
        (b"Mrs Private,age,Mrs Private,colour\n1,2,3,red\n", "a column name occurs twice in the file, at positions 1"),
        (b"colour,age\nred,3\nMrs Private\n", "data row 2 has 1 cells where the header has 2"),
        (b"colour,age\nred,3\nred,4\nMrs Private,5,6\n", "data row 3 has 3 cells where the header has 2"),
        (b"colour,age\nred,\xff\n", "is not UTF-8"),
        (b"colour,age,x\nred,3,\xe4\n", "is not UTF-8"),
        (b"colour,age\nred,3\xc3", "is not UTF-8"),
        ("colour,age\nred,3\n".encode("utf-16"), "is not UTF-8"),
        ("colour,age\nred,3\n".encode("utf-16-le"), "NUL characters"),
        (b'colour,"age\nred,3\n', "a quote among the column names is never closed"),
        (b"x" * 2**20 + b"\nred,3\n", "the column names take more than 1 MiB"),
        (b"colour,age\nred,3\n" + b"y" * 17 * 2**20 + b",4\nblue,3\n", "a row is longer than 8 MiB"),
    ],
)
def test_faults_of_structure_are_typed_and_quote_no_text_of_the_file(tmp_path, content, words):
    with pytest.raises(InvalidTable, match=words) as caught:
        store(tmp_path, content)
    assert PRIVATE not in caught.value.message
    assert not caught.value.facts


def test_the_units_column_must_be_there(tmp_path):
    with pytest.raises(InvalidTable, match="lacks the declared column person"):
        store(tmp_path, "colour,age\nred,3\n", column="person")


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"bytes": 3}])
def test_other_bytes_than_were_sent_are_refused(tmp_path, change):
    with pytest.raises(DataCorrupted, match="is not what was sent"):
        ingest(
            spec(tmp_path, b"colour,age\nred,3\n") | change, folder=tmp_path, secret=KEY + TENANT_KEY, progress=print
        )


@pytest.mark.parametrize(
    "content",
    [
        b"colour,age\nred,3\nblue,4\n",
        b"\xef\xbb\xbfcolour,age\nred,3\nblue,4",
        b"colour,age\r\nred,3\r\nblue,4\r\n",
        b"colour,age\rred,3\rblue,4\r",
        b"colour,age\n\nred,3\n\n\nblue,4\n\n",
        b'"colour" , age\n" red ",3\n"blue",4\n',
        b"age,colour\n3,red\n4,blue\n",
        b"x,colour,age,Mrs Private\n1,red,3,\n2,blue,4,5\n",
        b'colour,age,"a\nb, ""c"""\nred,3,"x\ny,"\nblue,4,"say ""hi"""\n',
        "colour,Ä,age\nred,ß,3\nblue,日本,4\n".encode(),
        b"colour,age\nred,3.0\nblue,+4\n",
    ],
)
def test_one_table_in_many_writings(tmp_path, content):
    assert sorted(cells(tmp_path, content)) == [("blue", 4), ("red", 3)]


@pytest.mark.parametrize(
    ("rows", "stored"),
    [
        ([["red", "3"]], [("red", 3)]),
        ([["green", "N"]], [(OTHER, None)]),
        ([["", ""]], [(OTHER, None)]),
        ([["red", "-7"], ["red", "999"]], [("red", 0), ("red", 120)]),
        ([["red", "5"]] * 3, [("red", 5)] * 3),
        ([["", "?"]] * 2, [(OTHER, None)] * 2),
        ([["\x00other", "1\x000"]], [(OTHER, None)]),
        ([["red\nblue", "3,5"]], [(OTHER, None)]),
        ([["'; DROP TABLE ledger; --", "=1+1"]], [(OTHER, None)]),
        ([["x" * 1_000_000, "9" * 1_000_000]], [(OTHER, 120)]),
    ],
)
def test_the_content_of_cells_never_is_an_error(tmp_path, rows, stored):
    text = io.StringIO()
    csv.writer(text).writerows([["colour", "age"], *rows])
    assert sorted(cells(tmp_path, text.getvalue()), key=repr) == sorted(stored, key=repr)


def test_a_column_of_one_name_may_be_empty_in_every_row(tmp_path):
    domain = Domain(columns=(AGE,))
    assert cells(tmp_path, 'age\n""\n""\n', domain=domain) == [(None,), (None,)]


def test_every_kind_is_stored_in_its_type_and_counted(tmp_path):
    header = "colour,age,weight,smoker,born,note\n"
    lines = ["red,30,70.5,yes,1990-05-01,a", "green,200,x,,2030-01-01,b", ",3.5,,maybe,never,c"]
    result, train, holdout = store(tmp_path, header + "\n".join(lines), domain=EVERY_KIND)
    assert train.schema.equals(holdout.schema)
    assert [str(t) for t in train.schema.types] == ["string", "int64", "double", "bool", "timestamp[us]", "int64"]
    assert train.schema.names[-1] == UNIT_COLUMN
    assert result == {
        "uploaded_rows": 3,
        "rows": 3,
        "units": 3,
        "train_rows": train.num_rows,
        "train_units": train.num_rows,
        "holdout_rows": 3 - train.num_rows,
        "holdout_units": 3 - train.num_rows,
        "dropped_columns": 1,
        "fingerprint": hashlib.sha256((tmp_path / FINGERPRINT).read_bytes()).hexdigest(),
        "overlaps": [],
        "columns": {
            "colour": {"null": 1, "other": 1, "clamped": 0, "unparsable": 0},
            "age": {"null": 0, "other": 0, "clamped": 1, "unparsable": 1},
            "weight": {"null": 1, "other": 0, "clamped": 0, "unparsable": 1},
            "smoker": {"null": 1, "other": 0, "clamped": 0, "unparsable": 1},
            "born": {"null": 0, "other": 0, "clamped": 1, "unparsable": 1},
        },
    }


def test_identifiers_and_undeclared_columns_are_not_stored(tmp_path):
    identifier = Column(name="name", kind=Kind.CATEGORICAL, role=Role.IDENTIFIER)
    domain = Domain(columns=(identifier, *DOMAIN.columns))
    result, *_ = store(tmp_path, "name,colour,age,note\nMrs Private,red,3,ill\n", domain=domain)
    assert result["dropped_columns"] == 1
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("*.parquet"))
    assert b"Private" not in stored
    assert b"ill" not in stored
    assert "Private" not in repr(result)


def test_an_identifier_need_not_be_in_the_file(tmp_path):
    domain = Domain(columns=(Column(name="name", kind=Kind.CATEGORICAL, role=Role.IDENTIFIER), *DOMAIN.columns))
    assert cells(tmp_path, "colour,age\nred,3\n", domain=domain) == [("red", 3)]


def test_rows_beyond_one_batch_are_read_alike(tmp_path):
    rows = 300_000
    text = "colour,age,pad\n" + "".join(f"red,{i % 100},{'p' * 50}\n" for i in range(rows))
    result, train, holdout = store(tmp_path, text)
    assert result["uploaded_rows"] == result["units"] == rows == train.num_rows + holdout.num_rows
    ages = train["age"].to_pylist() + holdout["age"].to_pylist()
    assert sorted(ages) == sorted(i % 100 for i in range(rows))


def test_ragged_rows_are_numbered_across_batches(tmp_path):
    text = "colour,age,pad\n" + f"red,1,{'p' * 50}\n" * 300_000 + "red,1\n"
    with pytest.raises(InvalidTable, match="data row 300001 has 2 cells"):
        store(tmp_path, text)
