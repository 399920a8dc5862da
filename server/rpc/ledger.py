"""LedgerService: accounts and their book."""

from server import accounts
from server.gateway import Call
from server.identity import Office
from server.rpc.guard import PAGE_DEFAULT, Guarded, answers, numbered
from synthgate.client import convert
from synthgate.v1 import ledger_service_pb2 as pb
from synthgate.v1.ledger_service_pb2_grpc import LedgerServiceServicer

STEWARD, OFFICER, AUDITOR = Office.STEWARD, Office.OFFICER, Office.AUDITOR


class LedgerRpc(Guarded, LedgerServiceServicer):
    """Convert in, call, convert out."""

    @answers(STEWARD, OFFICER)
    def OpenAccount(self, request: pb.OpenAccountRequest, call: Call) -> pb.OpenAccountResponse:  # noqa: N802
        """Open the budget of one population."""
        view = accounts.open_account(
            self.gateway, call, name=request.name, epsilon=request.epsilon, delta=request.delta, sandbox=request.sandbox
        )
        return pb.OpenAccountResponse(balance=convert.balance_to_proto(view))

    @answers(OFFICER)
    def AmendAccount(self, request: pb.AmendAccountRequest, call: Call) -> pb.AmendAccountResponse:  # noqa: N802
        """Change a cap or a grant."""

        def given(field: str) -> bool:
            return request.HasField(field)

        view = accounts.amend_account(
            self.gateway, call, name=request.name,
            epsilon=request.epsilon if given("epsilon") else None,
            delta=request.delta if given("delta") else None,
            verdicts_granted=request.verdicts_granted if given("verdicts_granted") else None,
            reason=request.reason,
        )  # fmt: skip
        return pb.AmendAccountResponse(balance=convert.balance_to_proto(view))

    @answers()
    def ListAccounts(self, request: pb.ListAccountsRequest, call: Call) -> pb.ListAccountsResponse:  # noqa: N802
        """Read all accounts."""
        views = (accounts.seen(view, call.principal) for view in accounts.views(self.gateway))
        return pb.ListAccountsResponse(balances=map(convert.balance_to_proto, views))

    @answers()
    def GetBalance(self, request: pb.GetBalanceRequest, call: Call) -> pb.GetBalanceResponse:  # noqa: N802
        """Read one account."""
        view = accounts.seen(accounts.view(self.gateway, request.name), call.principal)
        return pb.GetBalanceResponse(balance=convert.balance_to_proto(view))

    @answers(STEWARD, OFFICER, AUDITOR)
    def ListEntries(self, request: pb.ListEntriesRequest, call: Call) -> pb.ListEntriesResponse:  # noqa: N802
        """Read the book, in order."""
        size, after = numbered(request.page_size, request.page_token)
        size = min(size, PAGE_DEFAULT) if request.price_plans else size
        with self.gateway.store.begin() as tx:
            if request.account:
                tx.ledger.balance(request.account)
            found = tx.ledger.entries(request.account, after=after, limit=size + 1)
        token = str(found[size - 1].sequence) if len(found) > size else ""
        prices = accounts.plan_prices(self.gateway, found[:size]) if request.price_plans else ()
        return pb.ListEntriesResponse(
            entries=map(convert.entry_to_proto, found[:size]), next_page_token=token,
            plan_prices=map(convert.plan_price_to_proto, prices),
        )  # fmt: skip
