"""Schemas, policies, drafts and prepared tables: faults are named, cells are never quoted."""

import csv
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthgate.client.tables import draft, prepare_table
from synthgate.dataset import PrivacyUnit, PublicSizes
from synthgate.domain import Kind, Role
from synthgate.errors import InvalidDomain, InvalidPolicy, InvalidTable
from synthgate.policy import DEFAULT_POLICY
from synthgate.schema import read_policy, read_schema

SCHEMA = """
columns:
  - {name: age, kind: integer, low: 0, high: 120, role: auxiliary}
  - {name: income, kind: float, low: 0, high: 100000, bins: [10, 2000], nullable: true, role: sensitive, secret: true}
  - {name: sex, kind: categorical, categories: ["f", "m"], role: auxiliary}
  - {name: seen, kind: datetime, low: 2020-01-01, high: "2021-01-01T12:00:00", role: auxiliary}
  - {name: alive, kind: boolean, role: auxiliary}
target: income
link: [[age], [sex]]
unit: {column: person, max_rows: 2}
rows: 100
units: 60
"""
ROW = "columns: [{name: a, kind: boolean, role: auxiliary}]\nunit: row\nrows: 9\n"


def written(tmp_path, text, name="schema.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_schema_is_read(tmp_path):
    declaration = read_schema(written(tmp_path, SCHEMA))
    assert [c.name for c in declaration.domain.columns] == ["age", "income", "sex", "seen", "alive"]
    assert type(declaration.domain["income"].low) is float
    assert type(declaration.domain["income"].bins[0]) is float
    assert declaration.domain["seen"].low == datetime(2020, 1, 1)
    assert declaration.domain.link == (("age",), ("sex",))
    assert declaration.unit == PrivacyUnit(column="person", max_rows=2)
    assert declaration.sizes == PublicSizes(rows=100, units=60, max_rows=2)


def test_a_row_has_as_many_units_as_rows(tmp_path):
    assert read_schema(written(tmp_path, ROW)).sizes == PublicSizes(rows=9, units=9)


def test_sizes_may_be_counted(tmp_path):
    assert read_schema(written(tmp_path, ROW.replace("rows: 9", "sizes: counted"))).sizes is None


def one(column):
    return f"columns:\n  - {column}\nunit: row\nrows: 9\n"


BOMB = "a: &a [x,x]\n" + "\n".join(f"b{i}: &b{i} [*a,*a,*a]" for i in range(9))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a mapping"),
        ("[1]", "not a mapping"),
        ("{", "line 1"),
        (b"\xff\xfe\xff", "YAML"),
        ("a: 1\na: 2", "twice"),
        (BOMB, "aliases"),
        ("[" * 5_000, "nesting"),
        ("!!python/object/apply:os.system [ls]", "line 1"),
        ("a: " + "1" * 5_000, "YAML"),
        ("x" * (2**20 + 1), "larger"),
        ("unit: row\nrows: 1", "columns"),
        (ROW + "colour: 1", "colour"),
        (ROW + "target: b", "target"),
        (ROW + "link: [[a], [a]]", "link"),
        (ROW + "link: [[a], []]", "link"),
        (ROW + "sizes: counted", "either"),
        (ROW.replace("unit: row", ""), "unit"),
        (ROW.replace("unit: row", "unit: {column: p}"), "max_rows"),
        (ROW.replace("unit: row", "unit: {column: p, max_rows: 0}"), "max_rows"),
        (ROW.replace("unit: row", "unit: {column: p, max_rows: 2}"), "units"),
        (ROW.replace("unit: row", "unit: {column: a, max_rows: 1}"), "column a"),
        (ROW.replace("rows: 9", "rows: 0"), "rows"),
        (ROW.replace("rows: 9", "rows: 1000000000000"), "rows"),
        (ROW.replace("rows: 9", "rows: 1e12"), "rows"),
        (ROW.replace("rows: 9", "rows: true"), "rows"),
        (ROW.replace("rows: 9", "rows:"), "rows"),
        (ROW.replace("rows: 9", "rows: 9\nunits: 10"), "units"),
        (one("{name: a, kind: integer, low: .nan, high: 1}"), "column a"),
        (one("{name: a, kind: float, low: .nan, high: 1}"), "column a"),
        (one("{name: a, kind: float, low: 0, high: .inf}"), "column a"),
        (one("{name: a, kind: float, low: 0, high: 1.0e-303}"), "1e-290 apart"),
        (one("{name: a, kind: float, low: 0, high: 1" + "0" * 400 + "}"), "column a"),
        (one("{name: a, kind: integer, low: 2, high: 1}"), "column a"),
        (one("{name: a, kind: integer, low: 0}"), "column a"),
        (one("{name: a, kind: integer, low: 0, high: 9, bins: [9]}"), "column a"),
        (one("{name: a, kind: integer, low: , high: 1}"), "column a: low is blank"),
        (one("{name: a, kind: boolean, role: }"), "column a: role is blank"),
        (one("{name: a, kind: datetime, low: soon, high: later}"), "ISO 8601"),
        (one("{name: a, kind: categorical}"), "column a"),
        (one("{name: a, kind: categorical, categories: [1, 2]}"), "quotes"),
        (one("{name: a, kind: categorical, categories: [yes, no]}"), "quotes"),
        (one('{name: a, kind: categorical, categories: ["\\ud800"]}'), "column a"),
        (one("{name: a, kind: categorical, categories: " + str([str(i) for i in range(1_001)]) + "}"), "1000"),
        (one("{name: a, kind: colour}"), "column a"),
        (one("{name: a, kind: boolean, sceret: true}"), "sceret"),
        (one("{name: id, role: identifier, low: 1, high: 2}"), "column id"),
        (one("{name: id, role: identifier}"), "identifier"),
        (one("a"), "mapping"),
    ],
)
def test_a_faulty_schema_says_what_to_do(tmp_path, text, says):
    with pytest.raises(InvalidDomain, match=says):
        read_schema(written(tmp_path, text))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InvalidDomain, match="cannot be read"):
        read_schema(tmp_path / "none.yaml")


def test_a_policy_is_read_over_the_default(tmp_path):
    policy = read_policy(written(tmp_path, "name: strict\napprovals: 1"))
    assert (policy.name, policy.approvals, policy.rules) == ("strict", 1, DEFAULT_POLICY.rules)


@pytest.mark.parametrize(
    "text",
    ["", "colour: 1", "approvals: -1", "epsilon_max: .nan", "rules: [{score: risk.copies}]", "rules: 1", "name: 1",
     "{verdict: exact, rules: [{score: risk.copies, at_least: 0}]}",
     "rules: [{score: risk.copies, at_most: .inf}]", "rules: [{score: vibes, at_most: 1}]", "name:",
     "rules: [{score: risk.copies, at_most: 1" + "0" * 400 + "}]"],
)  # fmt: skip
def test_a_faulty_policy_is_refused(tmp_path, text):
    with pytest.raises(InvalidPolicy):
        read_policy(written(tmp_path, text))


CSV = "person,age,note,income,sex,seen,alive\np1,31,pssst,,f,2020-02-03,true\np2,x,,9e9,?,never,\n"


def prepared(tmp_path, path):
    with prepare_table(path, read_schema(written(tmp_path, SCHEMA))) as table:
        with table.path.open(encoding="utf-8", newline="") as text:
            rows = list(csv.reader(text))
        assert table.path.stat().st_mode & 0o077 == 0
    assert not table.path.exists()
    return table, rows


def test_only_declared_columns_leave_the_machine(tmp_path):
    table, rows = prepared(tmp_path, written(tmp_path, CSV, "people.csv"))
    assert (table.dropped, table.rows) == (("note",), 2)
    assert rows == [
        ["person", "age", "income", "sex", "seen", "alive"],
        ["p1", "31", "", "f", "2020-02-03", "true"],
        ["p2", "x", "9e9", "?", "never", ""],
    ]


def test_parquet_is_read_as_csv_would_be(tmp_path):
    frame = pa.table(
        {
            "person": ["p1", "p2"],
            "age": pa.array([31, None], pa.int8()),
            "note": [["nested"], None],
            "income": [1.5, float("nan")],
            "sex": pa.array(["f", None]).dictionary_encode(),
            "seen": pa.array([1_580_688_000_000_000_001, None], pa.timestamp("ns", "UTC")),
            "alive": [True, None],
        }
    )
    pq.write_table(frame, tmp_path / "people.parquet")
    table, rows = prepared(tmp_path, tmp_path / "people.parquet")
    assert table.dropped == ("note",)
    assert rows[1:] == [["p1", "31", "1.5", "f", "2020-02-03T00:00:00", "true"], ["p2", "", "", "", "", ""]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("\n", "column names"),
        (CSV.splitlines()[0], "no rows"),
        (CSV.replace("person", "who"), "person"),
        (CSV.replace("income", "salary"), "income"),
        (CSV.replace("note", "age"), "twice"),
        (CSV.replace("note", ""), "printable"),
        (CSV.replace(",", ";"), "comma"),
        (CSV + "p3,1\n", "line 4"),
        (CSV + 'p3,1,"open', "CSV"),
        (CSV.encode() + b"p3,1,\xff,1,f,,\n", "UTF-8"),
        (CSV.encode("utf-16"), "UTF-8"),
        (b"PAR1 and no more", "Parquet"),
    ],
)
def test_a_fault_of_structure_is_told_without_a_cell(tmp_path, text, says):
    path = written(tmp_path, text, "people.csv")
    with pytest.raises(InvalidTable, match=says) as caught:
        prepared(tmp_path, path)
    assert "pssst" not in str(caught.value)


def test_byte_order_mark_blank_lines_and_nul_are_content(tmp_path):
    text = b"\xef\xbb\xbf" + CSV.encode() + b"\n" + b"p3,\x00,,1,f,,\n"
    table, rows = prepared(tmp_path, written(tmp_path, text, "people.csv"))
    assert table.rows == 3
    assert rows[0][0] == "person"


def test_a_draft_names_and_guesses_and_copies_nothing(tmp_path):
    text = draft(written(tmp_path, CSV.replace("x,,", "27,,").replace("never", "2021-03-04"), "people.csv"))
    assert "pssst" not in text
    assert "31" not in text
    kinds = [line.split()[-1] for line in text.splitlines() if line.startswith("    kind:")]
    assert kinds == ["categorical", "integer", "categorical", "float", "categorical", "datetime", "boolean"]
    with pytest.raises(InvalidDomain, match="blank"):
        read_schema(written(tmp_path, text))


def test_a_completed_draft_is_a_schema(tmp_path):
    text = draft(written(tmp_path, 'a,"b: #"\n1,\n', "t.csv"))
    text = text.replace("low:\n", "low: 0\n").replace("high:\n", "high: 5\n").replace("role:\n", "role: auxiliary\n")
    text = (
        text.replace("categories:\n", 'categories: ["x"]\n')
        .replace("unit:  ", "unit: row  ")
        .replace("rows:  ", "rows: 9 ")
    )
    domain = read_schema(written(tmp_path, text)).domain
    assert [(c.name, c.kind, c.role) for c in domain.columns] == [
        ("a", Kind.INTEGER, Role.AUXILIARY),
        ("b: #", Kind.CATEGORICAL, Role.AUXILIARY),
    ]


MORE = """
columns:
  - {name: sex, kind: categorical, categories: ["f", "m"], protected: true}
  - {name: first, kind: integer, low: 0, high: 9}
  - {name: last, kind: float, low: 0, high: 9}
  - {name: seen, kind: datetime, low: 2020-01-01, high: 2021-01-01}
  - {name: id, role: identifier}
unit: row
rows: 9
"""


def test_protected_columns_more_targets_and_orders_are_read(tmp_path):
    text = MORE + "target: sex\nother_targets: [last]\nordered: [[first, last]]\n"
    domain = read_schema(written(tmp_path, text)).domain
    assert domain.protected == ("sex",)
    assert domain.targets == ("sex", "last")
    assert domain.ordered == (("first", "last"),)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("other_targets: [last]", "first target"),
        ("target: sex\nother_targets: [sex]", "each once"),
        ("target: sex\nother_targets: [last, last]", "each once"),
        ("target: sex\nother_targets: [id]", "each once"),
        ("target: sex\nother_targets: last", "list of column names"),
        (f"target: sex\nother_targets: [{', '.join(['last'] * 10)}]", "at most 10 targets"),
        (f"ordered: {[['first', 'last']] * 101}", "at most 100 groups"),
        ("ordered: [[first]]", "two or more"),
        ("ordered: [[first, first]]", "two or more"),
        ("ordered: [[first, id]]", "two or more"),
        ("ordered: [[first, sex]]", "numbers alone"),
        ("ordered: [[first, seen]]", "numbers alone"),
        ("ordered: [first, last]", "list of column names"),
        ("ordered: 7", "list of lists"),
    ],
)
def test_faulty_targets_and_orders_say_what_to_do(tmp_path, lines, says):
    with pytest.raises(InvalidDomain, match=says):
        read_schema(written(tmp_path, MORE + lines))


def test_an_identifier_is_not_protected(tmp_path):
    text = MORE.replace("role: identifier", "role: identifier, protected: true")
    with pytest.raises(InvalidDomain, match="neither secret nor protected"):
        read_schema(written(tmp_path, text))
