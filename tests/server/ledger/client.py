"""What the race and the crash tests start as processes: ``python -m tests.server.ledger.client VERB PATH ...``.

race CLIENTS PREFIX
          for every line "KIND ACCOUNT CHARGE": print "ready", wait for a line, let CLIENTS threads ask once each, print
          how many were admitted
spill     begin, write more than the page cache holds, print "inside", wait for the end
stream    reserve, audit and remember in one transaction after the other, print each number
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from server.store import Store
from server.store_sql import SqlStore
from synthgate.errors import BudgetExhausted
from synthgate.ledger import Charge
from tests.server.ledger.planted import planted

SPILLED = 600
"""Audit records of 10 kB: three times the 2 MB of SQLite's page cache."""


def say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def race(path: str, clients: int, prefix: str) -> None:
    sound = SqlStore(path)
    together = threading.Barrier(clients, timeout=30)
    with ThreadPoolExecutor(clients) as pool:
        for line in sys.stdin:
            kind, name, amounts = line.split(" ", 2)
            store, charge = planted(kind, sound, threads=clients), Charge(**json.loads(amounts))

            def ask(client: int, store: Store = store, name: str = name, charge: Charge = charge) -> bool:
                together.wait()
                try:
                    with store.begin() as tx:
                        tx.ledger.reserve(name, f"{name}-{prefix}-{client}", charge, by=prefix)
                except BudgetExhausted:
                    return False
                return True

            say("ready")
            sys.stdin.readline()
            say(sum(pool.map(ask, range(clients))))
    sound.close()


def spill(path: str) -> None:
    with SqlStore(path).begin() as tx:
        tx.ledger.reserve("people", "spilled", Charge(epsilon=1, delta=1, rdp=1), by="analyst")
        tx.requests.remember("analyst", "create", "spilled", payload="p", resource="spilled")
        for i in range(SPILLED):
            tx.audit.append(principal="analyst", action="spill", resource=str(i), detail={"text": "x" * 10_000})
        tx.send()
        say("inside")
        sys.stdin.readline()


def stream(path: str) -> None:
    store = SqlStore(path)
    for i in range(1_000_000):
        with store.begin() as tx:
            tx.ledger.reserve("people", f"r{i}", Charge(epsilon=1, delta=1, rdp=1), by="analyst")
            tx.audit.append(principal="analyst", action="reserve", resource=f"r{i}", detail={})
            tx.requests.remember("analyst", "create", f"r{i}", payload="p", resource=f"r{i}")
        say(i)


if __name__ == "__main__":
    verb, where, *rest = sys.argv[1:]
    if verb == "race":
        race(where, int(rest[0]), rest[1])
    else:
        {"spill": spill, "stream": stream}[verb](where)
