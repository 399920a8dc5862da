"""`synthgate ledger export` and `check` on a fake gateway: what agrees, and which gateway is convicted."""

import json
import stat
from dataclasses import replace

import pytest
from ledgers import HONEST, K, chained, entry, moved, opened
from test_verify import ENVELOPE, KEY
from typer.testing import CliRunner

from synthgate.budget import PrivacyBudget
from synthgate.cli.book import document
from synthgate.cli.main import app
from synthgate.ledger import Account, AccountView, Balance, Charge, PlanPrice

CAP = PrivacyBudget.cap(3.0, 1e-6)
PEOPLE = Account(
    name="people", cap=CAP, order=9, capacity=K, sandbox=False, opened_by="analyst", opened_at=entry(HONEST[0]).at
)
COMMITTED = Charge(epsilon=2 * 10**9, delta=10**11, rdp=2 * 194_580_000_000)
RESERVED = Charge(epsilon=10**9, delta=5 * 10**10, rdp=194_580_000_000)
SHOWN = AccountView(
    balance=Balance(account=PEOPLE, committed=COMMITTED, reserved=RESERVED),
    taken_ppm=369_724, largest_epsilon=2.3, verdicts=2,
)  # fmt: skip


@pytest.fixture
def run(gateway, tmp_path):
    gateway.entries = [entry(line) for line in HONEST]
    gateway.accounts = {"people": SHOWN}
    token = tmp_path / "token"
    token.write_text("s3cret\n")

    def call(*words, code=0, connect=True):
        given = ("--address", gateway.address, "--token-file", token) if connect else ()
        before = {"COLUMNS": "200", "TERM": "dumb"}
        result = CliRunner().invoke(app, [str(w) for w in (*given, *words)], env=before)
        assert result.exit_code == code, result.output
        return result

    return call


def test_a_document_is_what_the_digest_covers():
    assert [document(entry(line)) for line in HONEST] == HONEST


def test_an_honest_gateway_agrees(run):
    shown = run("ledger", "check").output
    for text in ("people", "3, 1e-06", "37.0 %", "agrees", HONEST[-1]["digest"]):
        assert text in shown
    found = json.loads(run("ledger", "check", "--json", "--head", HONEST[4]["digest"]).output)
    assert found["head"] == HONEST[-1]["digest"]
    (people,) = found["accounts"]
    assert (people["committed"]["epsilon"], people["reserved"]["epsilon"], people["entries"]) == (2 * 10**9, 10**9, 8)


def test_an_export_is_checked_without_a_gateway(run, tmp_path):
    file = tmp_path / "ledger.jsonl"
    assert json.loads(run("ledger", "export", file, "--json").output)["entries"] == 8
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [json.loads(line) for line in file.read_text().splitlines()] == HONEST
    assert "not compared" in run("ledger", "check", "--entries", file, connect=False).output
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    run("ledger", "check", "--entries", file, connect=False)
    refused = run("ledger", "check", "--entries", file, "--head", HONEST[-1]["digest"], connect=False, code=6)
    assert "removed at the end" in refused.stderr
    file.write_bytes(b"".join([*lines[:3], b"[]\n"]))
    assert "line 4" in run("ledger", "check", "--entries", file, connect=False, code=6).stderr


def test_the_first_entry_that_does_not_hold_is_named(run, gateway):
    gateway.entries[3] = replace(gateway.entries[3], principal="nobody")
    error = json.loads(run("ledger", "check", "--json", code=6).stderr)["error"]
    assert (error["reason"], error["facts"]) == ("VERIFICATION_FAILED", {"sequence": "4"})


LIES = {
    "less committed": {"committed": replace(COMMITTED, epsilon=10**9)},
    "less divergence": {"committed": replace(COMMITTED, rdp=0)},
    "less delta reserved": {"reserved": replace(RESERVED, delta=0)},
    "a larger cap": {"account": replace(PEOPLE, cap=PrivacyBudget.cap(4.0, 1e-6))},
    "a larger capacity": {"account": replace(PEOPLE, capacity=K + 1)},
    "a sandbox": {"account": replace(PEOPLE, sandbox=True)},
    "a grant": {"account": replace(PEOPLE, verdicts_granted=1)},
    "another name": {"account": replace(PEOPLE, name="plants")},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_balance_that_its_entries_do_not_give_is_convicted(run, gateway, lie):
    gateway.accounts = {"people": replace(SHOWN, balance=replace(SHOWN.balance, **LIES[lie]))}
    assert "its entries do not give" in run("ledger", "check", code=6).stderr


def test_a_share_or_an_account_that_is_not_shown_is_convicted(run, gateway):
    gateway.accounts = {"people": replace(SHOWN, taken_ppm=369_723)}
    assert "its entries do not give" in run("ledger", "check", code=6).stderr
    gateway.accounts = {}
    assert "does not show account 'people'" in run("ledger", "check", code=6).stderr


def test_what_is_written_meanwhile_is_no_lie(run, gateway):
    """The balances are read between two readings of the book: both a balance from before and one from after hold."""
    more = chained([*HONEST, moved("commit", "r4"), opened(account="plants")])
    late = [entry(line) for line in more]
    after = AccountView(
        balance=Balance(
            account=PEOPLE, committed=replace(COMMITTED, epsilon=3 * 10**9, delta=15 * 10**10, rdp=3 * 194_580_000_000),
            reserved=Charge(epsilon=0, delta=0, rdp=0),
        ),
        taken_ppm=369_724, largest_epsilon=2.3, verdicts=3,
    )  # fmt: skip

    class Late(dict):
        """Accounts whose reading another writer follows at once."""

        def values(self):
            gateway.entries = late
            return super().values()

    gateway.accounts = Late(people=SHOWN)
    run("ledger", "check")
    gateway.entries = [entry(line) for line in HONEST]
    gateway.accounts = Late(people=after)
    run("ledger", "check")


def test_an_attestation_from_elsewhere_is_not_in_the_chain(run, tmp_path):
    for name, content in (("a.json", ENVELOPE), ("key.pem", KEY)):
        (tmp_path / name).write_bytes(content)
    attested = ("--attestation", tmp_path / "a.json", "--key", tmp_path / "key.pem")
    assert "no entry has the digest" in run("ledger", "check", *attested, code=6).stderr
    assert "together" in run("ledger", "check", *attested[:2], code=2).stderr


def test_the_history_shows_who_when_what_and_each_share(run, gateway):
    gateway.plan_prices = (PlanPrice(release="r1", epsilon=0.987, delta=5e-8, accountant="PLD"),)
    shown = run("ledger", "show", "people", "--entries").output
    for text in ("history", "this release alone", "epsilon 0.987, delta 5e-08", "12.3 %", "analyst", "2026-01-02"):
        assert text in shown
    book = json.loads(run("ledger", "show", "people", "--entries", "--json").output)["entries"]
    assert [line["share_ppm"] for line in book[:3]] == [None, 123_242, 123_242]
    alone = {"release": "r1", "epsilon": 0.987, "delta": 5e-8, "accountant": "PLD"}
    assert [line["this_release_alone"] for line in book[:4]] == [None, alone, alone, None]
