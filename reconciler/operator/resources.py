"""The resources that the cluster has, by uid, name and account."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.operator.resource import Resource


class Resources:
    """PersonaCatalogs. For one thread at a time."""

    def __init__(self) -> None:
        self._by_uid: dict[str, Resource] = {}
        self._by_name: dict[str, Resource] = {}
        self._by_account: dict[str, dict[str, Resource]] = {}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_uid.values())

    def get(self, uid: str) -> Resource | None:
        return self._by_uid.get(uid)

    def named(self, name: str) -> Resource | None:
        """The resource with this name. One that was created anew takes the place of the one before."""
        return self._by_name.get(name)

    def of_account(self, account: str) -> list[Resource]:
        """The resources that name this Secret."""
        return list(self._by_account.get(account, {}).values())

    def accounts(self) -> list[str]:
        """The Secrets that resources name."""
        return list(self._by_account)

    def uids(self) -> frozenset[str]:
        return frozenset(self._by_uid)

    def put(self, resource: Resource) -> None:
        """Add a resource, or take over what it is now."""
        self.pop(resource.uid)
        self._by_uid[resource.uid] = self._by_name[resource.name] = resource
        self._by_account.setdefault(resource.account, {})[resource.uid] = resource

    def pop(self, uid: str) -> Resource | None:
        """Remove a resource. Returns it if there was one."""
        found = self._by_uid.pop(uid, None)
        if found is None:
            return None
        if self._by_name.get(found.name) is found:
            del self._by_name[found.name]
        own = self._by_account[found.account]
        del own[uid]
        if not own:
            del self._by_account[found.account]
        return found
