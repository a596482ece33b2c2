"""The contract: how to call the API, read from one data file (``contract/mindcraft.yaml``).

Nothing else in the program knows a path, a method, an encoding or a wire name.
"""

from __future__ import annotations

from reconciler.contract.load import (
    ContractFile,
    check_contract_file,
    contract_from_json,
    load_contract,
    read_contract,
)
from reconciler.contract.types import (
    LEAST_SETTLE,
    SAFE_QUERY,
    SESSION_NAMES,
    Contract,
    Encoding,
    Learned,
    MessageShape,
    Operation,
    Service,
    SessionShape,
    Status,
)

__all__ = [
    "LEAST_SETTLE",
    "SAFE_QUERY",
    "SESSION_NAMES",
    "Contract",
    "ContractFile",
    "Encoding",
    "Learned",
    "MessageShape",
    "Operation",
    "Service",
    "SessionShape",
    "Status",
    "check_contract_file",
    "contract_from_json",
    "load_contract",
    "read_contract",
]
