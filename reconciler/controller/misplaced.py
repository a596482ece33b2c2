"""Whether the account of a watched catalog is the one that the catalog expects, and is called as the catalog says."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.address import same_address
from reconciler.api.endpoint import LOCAL
from reconciler.contract import Contract
from reconciler.controller.settings import WatchedAccount
from reconciler.controller.watched import Watched
from reconciler.errors import Problem, ReconcilerError, Refused


def misplaced(
    one: Watched, others: Iterable[Watched], account: WatchedAccount, known: Contract | None
) -> tuple[ReconcilerError | None, Contract | None]:
    """Why a catalog can't be kept in its account, if it can't; and the contract of the account from now on.

    ``others`` are the account's other catalogs, and ``known`` is the contract that one of them named, if one did.
    """
    assert one.revision is not None
    service, address = one.revision.service, account.endpoint
    contract = None if service.contract is None else service.contract.contract
    if service.expected is not None and address != LOCAL and not same_address(service.expected, address):
        error: ReconcilerError = Refused(
            f"the catalog expects {service.expected}, and its account is at {address}",
            "watch it with another account, or correct expect_endpoint in catalog.yaml",
        )
        return error, known
    if contract is None or account.contract is not None or contract == known:
        return None, known
    for other in others:
        if other.revision is not None and other.revision.service.contract is not None:
            error = ReconcilerError(
                Problem(
                    f"it names another contract than {other.settings.name}, on the same account",
                    "name one contract for the account: it describes one service",
                )
            )
            return error, known
    return None, contract
