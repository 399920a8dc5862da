"""Faults of declarations, requests and files: each has its own error, costs nothing, loses nothing and quotes no cell.
The content of cells never is a fault."""

import hashlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from synthgate.client import convert
from synthgate.client.faults import error_of
from synthgate.dataset import DatasetState
from synthgate.errors import (
    FailedPrecondition,
    InvalidArgument,
    InvalidBudget,
    InvalidDomain,
    InvalidPolicy,
    InvalidTable,
    NotFound,
    PolicyRefused,
    SynthgateError,
    TooLarge,
    UnknownEngine,
    WrongState,
)
from synthgate.ledger import EntryKind
from synthgate.policy import DEFAULT_POLICY, EXACT_POLICY
from synthgate.v1 import dataset_service_pb2 as datasets
from synthgate.v1 import ledger_service_pb2 as ledger
from synthgate.v1 import release_service_pb2 as releases
from synthgate.v1 import types_pb2 as types
from tests.e2e.people import LENIENT, declaration, people
from tests.e2e.process import WORDS, Served

MIB = 2**20
ROWS = people(300, seed=9).to_pandas().to_csv(index=False).encode()
Mutation = Callable[[Any], None]


@pytest.fixture(scope="session")
def account(served: Served) -> str:
    served.steward.open_account("faults", epsilon=3.0, delta=1e-6)
    return "faults"


@pytest.fixture(scope="session")
def ready(served: Served) -> str:
    return served.dataset("faultless", rows=1_500)


def registration(account: str) -> datasets.CreateDatasetRequest:
    given = declaration(1_500)
    return datasets.CreateDatasetRequest(
        request_id="to register", name="faulty", domain=convert.domain_to_proto(given.domain),
        unit=convert.unit_to_proto(given.unit), sizes=convert.sizes_to_proto(given.sizes), account=account,
    )  # fmt: skip


def column(**changes: Any) -> Mutation:
    """The first column (integer, 18 to 90) with other values."""

    def change(request: datasets.CreateDatasetRequest) -> None:
        for name, value in changes.items():
            field = getattr(request.domain.columns[0], name)
            if isinstance(value, types.Point):
                field.CopyFrom(value)
            elif isinstance(value, list):
                del field[:]
                field.extend(value)
            else:
                setattr(request.domain.columns[0], name, value)

    return change


def income(low: float, high: float) -> Mutation:
    """The third column (float) between other bounds."""

    def change(request: datasets.CreateDatasetRequest) -> None:
        request.domain.columns[2].low.real, request.domain.columns[2].high.real = low, high

    return change


def region(categories: list[str]) -> Mutation:
    """The second column (categorical) with other categories."""

    def change(request: datasets.CreateDatasetRequest) -> None:
        del request.domain.columns[1].categories[:]
        request.domain.columns[1].categories.extend(categories)

    return change


def sizes(rows: int, units: int | None = None) -> Mutation:
    def change(request: datasets.CreateDatasetRequest) -> None:
        request.sizes.rows, request.sizes.units = rows, rows if units is None else units

    return change


def field(name: str, value: Any) -> Mutation:
    return lambda request: setattr(request, name, value)


def with_policy(**changes: Any) -> Mutation:
    def change(request: datasets.CreateDatasetRequest) -> None:
        request.policy.CopyFrom(convert.policy_to_proto(DEFAULT_POLICY))
        for name, value in changes.items():
            setattr(request.policy, name, value)

    return change


def ruled(*rules: types.Rule) -> Mutation:
    def change(request: datasets.CreateDatasetRequest) -> None:
        request.policy.CopyFrom(convert.policy_to_proto(DEFAULT_POLICY))
        del request.policy.rules[:]
        request.policy.rules.extend(rules)

    return change


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param(income(math.nan, 1.0), InvalidDomain, id="bound NaN"),
        pytest.param(income(0.0, math.inf), InvalidDomain, id="bound inf"),
        pytest.param(income(2.0, 1.0), InvalidDomain, id="low above high"),
        pytest.param(income(1.0, 1.0), InvalidDomain, id="low equals high"),
        pytest.param(column(low=types.Point(real=1.0)), InvalidDomain, id="bound of another kind"),
        pytest.param(column(high=types.Point(integer=2**60)), InvalidDomain, id="bound beyond 2^53"),
        pytest.param(column(bins=[types.Point(integer=i + 19) for i in range(40)]), InvalidDomain, id="40 bins"),
        pytest.param(column(kind=0), InvalidDomain, id="no kind"),
        pytest.param(column(kind=99), InvalidDomain, id="unknown kind"),
        pytest.param(column(role=99), InvalidDomain, id="unknown role"),
        pytest.param(column(name=""), InvalidDomain, id="no name"),
        pytest.param(column(name="region"), InvalidDomain, id="a name twice"),
        pytest.param(column(name="x" * 129), InvalidDomain, id="a name of 129 characters"),
        pytest.param(column(name="x" * MIB), InvalidDomain, id="a name of 1 MiB"),
        pytest.param(region([]), InvalidDomain, id="no categories"),
        pytest.param(region([f"c{i}" for i in range(1_001)]), InvalidDomain, id="1,001 categories"),
        pytest.param(region(["a", "a"]), InvalidDomain, id="a category twice"),
        pytest.param(lambda r: r.domain.ClearField("columns"), InvalidDomain, id="no columns"),
        pytest.param(lambda r: r.domain.columns.extend([r.domain.columns[0]] * 300), InvalidDomain, id="305 columns"),
        pytest.param(lambda r: setattr(r.domain, "target", "nowhere"), InvalidDomain, id="target not declared"),
        pytest.param(lambda r: r.domain.other_targets.append("nowhere"), InvalidDomain, id="other target not declared"),
        pytest.param(lambda r: r.domain.ordered.add(columns=["age"]), InvalidDomain, id="an order of one column"),
        pytest.param(lambda r: r.domain.link.add(columns=["age"]), InvalidDomain, id="one half of a link"),
        pytest.param(lambda r: r.ClearField("unit"), InvalidDomain, id="no unit"),
        pytest.param(lambda r: setattr(r.unit, "max_rows", 2), InvalidDomain, id="a row unit of two rows"),
        pytest.param(sizes(0), InvalidDomain, id="declared rows 0"),
        pytest.param(sizes(-1), InvalidDomain, id="declared rows -1"),
        pytest.param(sizes(10**12), InvalidDomain, id="declared rows 1e12"),
        pytest.param(sizes(10, 20), InvalidDomain, id="more units than rows"),
        pytest.param(lambda r: setattr(r.sizes, "origin", 9), InvalidDomain, id="unknown origin"),
        pytest.param(field("account", "nowhere"), NotFound, id="unknown account"),
        pytest.param(field("name", "Upper"), InvalidArgument, id="a name in capitals"),
        pytest.param(field("name", "../../etc"), InvalidArgument, id="a name with slashes"),
        pytest.param(field("name", "x" * MIB), InvalidArgument, id="a dataset's name of 1 MiB"),
        pytest.param(field("account", "x" * MIB), NotFound, id="an account's name of 1 MiB"),
        pytest.param(field("request_id", ""), InvalidArgument, id="no request id"),
        pytest.param(field("request_id", "x" * 129), InvalidArgument, id="a request id of 129 characters"),
        pytest.param(field("request_id", "a\nb"), InvalidArgument, id="a request id of two lines"),
        pytest.param(with_policy(epsilon_max=math.nan), InvalidPolicy, id="epsilon_max NaN"),
        pytest.param(with_policy(epsilon_max=-1.0), InvalidPolicy, id="epsilon_max -1"),
        pytest.param(with_policy(verdicts_max=-1), InvalidPolicy, id="verdicts_max -1"),
        pytest.param(with_policy(name=""), InvalidPolicy, id="a policy without a name"),
        pytest.param(ruled(types.Rule(score="risk.copies")), InvalidPolicy, id="a rule without a bound"),
        pytest.param(ruled(types.Rule(score="x" * MIB, at_most=1)), InvalidPolicy, id="a rule on no score"),
        pytest.param(ruled(types.Rule(score="risk.copies", at_most=math.nan)), InvalidPolicy, id="a bound NaN"),
        pytest.param(lambda r: r.domain.columns[1].categories.append("x" * 9 * MIB), TooLarge, id="a request of 9 MiB"),
    ],
)
def test_faulty_registrations(served: Served, account: str, change: Mutation, error: type[SynthgateError]) -> None:
    request = registration(account)
    change(request)
    found = served.fault(served.datasets.CreateDataset, request)
    assert type(found) is error, found
    assert 0 < len(found.message) <= 2_000
    assert "faulty" not in {view.dataset.name for view in served.steward.datasets()}
    assert [e.kind for e in served.steward.entries(account)] == [EntryKind.OPEN]


def test_what_was_faulty_can_be_registered_once_it_is_right(served: Served, account: str) -> None:
    request = registration(account)
    request.name = "right-after-all"
    assert served.fault(served.datasets.CreateDataset, request) is None
    empty = registration(account)
    empty.request_id, empty.name = "empty policy", "empty-policy"
    ruled()(empty)
    assert served.fault(served.datasets.CreateDataset, empty) is None


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"epsilon": 0.0}, InvalidBudget),
        ({"epsilon": -1.0}, InvalidBudget),
        ({"epsilon": math.nan}, InvalidBudget),
        ({"epsilon": math.inf}, InvalidBudget),
        ({"epsilon": 1e-30}, InvalidBudget),
        ({"epsilon": 1e300}, InvalidBudget),
        ({"delta": 0.0}, InvalidBudget),
        ({"delta": 1.0}, InvalidBudget),
        ({"delta": math.nan}, InvalidBudget),
        ({"delta": -1e-9}, InvalidBudget),
        ({"engine": "no-such-engine"}, UnknownEngine),
        ({"engine": "x" * MIB}, UnknownEngine),
        ({"dataset": "no-such-dataset"}, NotFound),
        ({"dataset": ""}, NotFound),
        ({"dataset": "x" * MIB}, NotFound),
        ({"dataset": "right-after-all"}, WrongState),
        ({"epsilon": 3.5}, PolicyRefused),
    ],
    ids=lambda value: "-".join(f"{k} {str(v)[:24]}" for k, v in value.items()) if isinstance(value, dict) else None,
)
def test_faulty_requests_for_releases(
    served: Served, account: str, ready: str, values: dict[str, Any], error: type[SynthgateError]
) -> None:
    if values.get("dataset") == "right-after-all":
        served.fault(served.datasets.CreateDataset, _named(registration(account), "right-after-all"))
    before = served.steward.entries(ready)
    request = releases.CreateReleaseRequest(
        **({"request_id": str(values)[:100], "dataset": ready, "epsilon": 1.0} | values)
    )
    found = served.fault(served.releases.CreateRelease, request, "analyst")
    assert type(found) is error, found
    assert 0 < len(found.message) <= 2_000
    assert served.steward.entries(ready) == before
    assert served.steward.releases(ready) == ()
    asked = releases.QuoteReleaseRequest(dataset=request.dataset, engine=request.engine, epsilon=request.epsilon)
    if request.HasField("delta"):
        asked.delta = request.delta
    if not isinstance(found, FailedPrecondition) or isinstance(found, WrongState):
        assert type(served.fault(served.releases.QuoteRelease, asked, "analyst")) is type(found)


def _named(request: datasets.CreateDatasetRequest, name: str) -> datasets.CreateDatasetRequest:
    request.name = name
    return request


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan, math.inf, 1e-30])
@pytest.mark.parametrize("delta", [1e-6, 0.0, 1.0, math.nan])
def test_faulty_accounts(served: Served, epsilon: float, delta: float) -> None:
    request = ledger.OpenAccountRequest(request_id=f"{epsilon} {delta}", name="faulty", epsilon=epsilon, delta=delta)
    assert type(served.fault(served.ledger.OpenAccount, request)) is InvalidBudget
    assert type(served.fault(served.ledger.GetBalance, ledger.GetBalanceRequest(name="faulty"))) is NotFound


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ListDatasets", datasets.ListDatasetsRequest(page_size=-1)),
        ("ListDatasets", datasets.ListDatasetsRequest(page_size=1_001)),
        ("ListDatasets", datasets.ListDatasetsRequest(page_token="x" * MIB)),
        ("ListReleases", releases.ListReleasesRequest(page_token="elsewhere")),
        ("ListEntries", ledger.ListEntriesRequest(page_token="elsewhere")),
        ("ListEntries", ledger.ListEntriesRequest(page_token="9" * 5_000)),
        ("ListEntries", ledger.ListEntriesRequest(page_token="9" * 30)),
        ("ListEntries", ledger.ListEntriesRequest(page_token="²")),
        ("ListEntries", ledger.ListEntriesRequest(page_size=-1)),
    ],
)
def test_faulty_pages(served: Served, account: str, method: str, request_: Any) -> None:
    stubs = (served.datasets, served.releases, served.ledger)
    (stub,) = [getattr(s, method) for s in stubs if hasattr(s, method)]
    assert type(served.fault(stub, request_)) is InvalidArgument


# files


def sent(served: Served, dataset: str, parts: Iterator[datasets.UploadRowsRequest]) -> SynthgateError | None:
    try:
        served.datasets.UploadRows(parts, metadata=served.token("steward"), timeout=60)
    except grpc.RpcError as failure:
        return error_of(failure)
    return None


def parts(
    dataset: str, content: bytes, *, total: int | None = None, sha256: str = "", offset: int = 0, chunk: int = MIB
) -> Iterator[datasets.UploadRowsRequest]:
    """An upload of ``content`` that promises ``total`` bytes and ``sha256``, both true unless given."""
    digest = sha256 or hashlib.sha256(content).hexdigest()
    header = datasets.UploadHeader(dataset=dataset, total_bytes=len(content) if total is None else total, sha256=digest)
    yield datasets.UploadRowsRequest(header=header)
    for start in range(offset, len(content), chunk):
        data = content[start : start + chunk]
        yield datasets.UploadRowsRequest(chunk=datasets.UploadChunk(offset=start, data=data))


@pytest.fixture(scope="session")
def awaiting(served: Served, account: str) -> str:
    """A declared dataset whose rows have not come; faulty files leave it as it is."""
    served.steward.create_dataset("awaiting", declaration(300), account=account, policy=LENIENT)
    return "awaiting"


LONG = ROWS * (3 * MIB // len(ROWS) + 1)


@pytest.mark.parametrize(
    ("upload", "error", "told"),
    [
        pytest.param(lambda d: parts(d, ROWS[:-100], total=len(ROWS)), InvalidTable, "truncated", id="truncated"),
        pytest.param(lambda d: parts(d, ROWS, sha256="0" * 64), InvalidTable, "sha256", id="wrong checksum"),
        pytest.param(lambda d: parts(d, ROWS, sha256="nothing"), InvalidTable, "sha256", id="no checksum"),
        pytest.param(lambda d: parts(d, ROWS, total=len(ROWS) - 1), InvalidTable, "longer", id="longer than promised"),
        pytest.param(lambda d: parts(d, b""), InvalidTable, "at least 1 byte", id="empty file"),
        pytest.param(lambda d: parts(d, ROWS, total=-5), InvalidTable, "at least 1 byte", id="negative length"),
        pytest.param(lambda d: parts(d, ROWS, total=2**62), TooLarge, "at most", id="longer than allowed"),
        pytest.param(lambda d: parts(d, ROWS, offset=7), InvalidTable, "starts at", id="wrong offset"),
        pytest.param(lambda d: parts(d, LONG, chunk=2 * MIB), TooLarge, "1,048,576", id="a chunk of 2 MiB"),
        pytest.param(lambda d: iter(()), InvalidTable, "header", id="nothing"),
        pytest.param(lambda d: list(parts(d, ROWS))[1:], InvalidTable, "header", id="no header"),
        pytest.param(lambda d: [*parts(d, ROWS)][:1] * 2, InvalidTable, "one header", id="two headers"),
        pytest.param(lambda d: parts("nowhere", ROWS), NotFound, "no dataset", id="unknown dataset"),
        pytest.param(lambda d: parts("../keys", ROWS), InvalidArgument, "a name is", id="a path for a dataset"),
    ],
)
def test_faulty_uploads(
    served: Served, awaiting: str, upload: Callable[[str], Any], error: type[SynthgateError], told: str
) -> None:
    found = sent(served, awaiting, iter(upload(awaiting)))
    assert type(found) is error, found
    assert told in found.message
    assert served.steward.dataset(awaiting).dataset.state in (DatasetState.CREATED, DatasetState.FAILED)


def replaced(old: bytes, new: bytes) -> bytes:
    return ROWS.replace(old, new, 1)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(replaced(b"income", WORDS.encode()), "lacks the declared column income", id="a column is missing"),
        pytest.param(ROWS + WORDS.encode() + b"\xff\xfe,a,1,true,2\n", "not UTF-8", id="not UTF-8"),
        pytest.param(ROWS.decode().encode("utf-16"), "not UTF-8", id="UTF-16"),
        pytest.param(replaced(b"visits", b"income"), "occurs twice", id="a declared name twice"),
        pytest.param(
            b"\n".join(line + b"," + WORDS.split()[0].encode() + b"," + WORDS.split()[0].encode() for line in
                       ROWS.splitlines()) + b"\n",
            "a column name occurs twice", id="another name twice",
        ),
        pytest.param(ROWS.splitlines()[0] + b"\n", "no rows", id="a header alone"),
        pytest.param(b"\n" + ROWS, "first line is empty", id="an empty first line"),
        pytest.param(ROWS + WORDS.encode() + b",1\n", "cells where the header has 5", id="a ragged row"),
        pytest.param(ROWS + b'1,"' + WORDS.encode(), "quote", id="an open quote"),
    ],
)  # fmt: skip
def test_faulty_files_say_what_to_mend_and_can_be_sent_again(
    served: Served, awaiting: str, content: bytes, told: str
) -> None:
    assert sent(served, awaiting, parts(awaiting, content)) is None
    with pytest.raises(InvalidTable) as caught:
        served.steward.wait_ready(awaiting)
    assert told in caught.value.message
    assert WORDS.split()[0] not in caught.value.message
    seen = served.analyst.dataset(awaiting)
    assert (seen.dataset.state, seen.dataset.failure, seen.findings) == (DatasetState.CREATED, "", ())


def test_an_upload_resumes_where_it_broke_off_and_a_mended_file_is_taken(served: Served, awaiting: str) -> None:
    half = len(ROWS) // 2
    assert type(sent(served, awaiting, parts(awaiting, ROWS[:half], total=len(ROWS),
                                             sha256=hashlib.sha256(ROWS).hexdigest()))) is InvalidTable  # fmt: skip
    metadata = served.token("steward")
    upload = served.datasets.GetUpload(datasets.GetUploadRequest(dataset=awaiting), metadata=metadata).upload
    assert (upload.received_bytes, upload.total_bytes) == (half, len(ROWS))
    assert sent(served, awaiting, parts(awaiting, ROWS, offset=half)) is None
    view = served.steward.wait_ready(awaiting)
    assert view.dataset.state is DatasetState.READY
    assert {f.unparsable for f in view.findings} == {0}
    assert sent(served, awaiting, parts(awaiting, ROWS)) is None, "the same upload again is answered as it was"
    assert served.steward.dataset(awaiting).findings == view.findings
    assert type(sent(served, awaiting, parts(awaiting, ROWS + b"1,north,0.0,no,1\n"))) is WrongState


AWKWARD = b"""age,region,income,smoker,visits
Mrs Private,atlantis,NaN,perhaps,1e400
-5,north,inf,true,7
999999999999999999999,,-1,TRUE,7
,south,,,
18,north,0.0,no,7
"""


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("awkward", AWKWARD, {"age": (1, None, None, 0), "region": (1, 0, 0, 1)}),
        ("constant", AWKWARD.splitlines()[0] + b"\n" + b"18,north,0.0,false,7\n" * 50, {"age": (0, 0, 0, 0)}),
        ("all-null", AWKWARD.splitlines()[0] + b"\n" + b",,,,\n" * 50, {"age": (50, 0, 0, 0), "visits": (50, 0, 0, 0)}),
        ("one-row", AWKWARD.splitlines()[0] + b"\n18,north,0.0,true,7\n", {"age": (0, 0, 0, 0)}),
    ],
)
def test_the_content_of_cells_is_never_an_error(
    served: Served, name: str, content: bytes, found: dict[str, tuple[int | None, ...]]
) -> None:
    """It ingests; and what the declared size cannot support is refused free of charge, whatever the rows are."""
    served.steward.open_account(name, epsilon=3.0, delta=1e-6)
    served.steward.create_dataset(name, declaration(300), account=name, policy=EXACT_POLICY)
    assert sent(served, name, parts(name, content)) is None
    view = served.steward.wait_ready(name)
    for findings in view.findings:
        counts = (findings.empty, findings.unparsable, findings.clamped, findings.undeclared)
        wanted = found.get(findings.column, (None,) * 4)
        assert all(w in (None, c) for w, c in zip(wanted, counts, strict=True)), findings
    assert served.analyst.dataset(name).findings == ()
    for act in (served.analyst.create_release, served.steward.create_release):
        with pytest.raises(PolicyRefused, match="public holdout of 60 units"):
            act(name, epsilon=1.0)
    assert [e.kind for e in served.steward.entries(name)] == [EntryKind.OPEN]
    assert served.balance(name).verdicts == 0


@pytest.mark.parametrize("name", ["awkward", "all-null", "one-row"])
def test_such_rows_train_and_are_judged_like_any_others(served: Served, name: str) -> None:
    """What an analyst learns is RELEASED or CLOSED, as of every table."""
    account = f"{name}-judged"
    served.steward.open_account(account, epsilon=3.0, delta=1e-6)
    served.steward.create_dataset(account, declaration(300), account=account, policy=LENIENT)
    content = {"awkward": AWKWARD, "all-null": AWKWARD.splitlines()[0] + b"\n" + b",,,,\n" * 50,
               "one-row": AWKWARD.splitlines()[0] + b"\n18,north,0.0,true,7\n"}[name]  # fmt: skip
    assert sent(served, account, parts(account, content)) is None
    served.steward.wait_ready(account)
    asked = served.analyst.create_release(account, epsilon=1.0, engine="independent")
    release = served.ended(asked)
    assert release.state.name in ("RELEASED", "REJECTED"), (release.state, release.stage)
