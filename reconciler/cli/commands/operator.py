"""``reconciler operator``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.buckets import bucket_options, chosen_bucket
from reconciler.cli.options import state_option
from reconciler.cli.sections import SectionedCommand
from reconciler.cli.service_options import listen_option, log_format_option, token_option
from reconciler.cli.stopping import orderly_stop
from reconciler.errors import ExitCode, ReconcilerError


@click.command(cls=SectionedCommand)
@click.option(
    "--namespace",
    "namespaces",
    metavar="NAME",
    multiple=True,
    help="Follow the resources of this namespace. Repeatable. Default: those of all namespaces.",
)
@click.option(
    "--lease-namespace",
    metavar="NAME",
    default="",
    help="The namespace of the lease that elects the one process that writes. Default: that of the pod, "
    "or of the kubeconfig.",
)
@click.option(
    "--shard",
    metavar="INDEX/COUNT",
    help="Serve one share of the accounts: 0/3 is the first of three. The index may be the name of a pod of a "
    "StatefulSet. Default: all accounts.",
)
@click.option(
    "--catalogs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder with the catalogs that resources may name with `source.path`. Default: they may name none.",
)
@log_format_option
@bucket_options
@listen_option
@token_option
@state_option
def command(
    namespaces: tuple[str, ...],
    lease_namespace: str,
    shard: str | None,
    state_dir: Path | None,
    catalogs: Path | None,
    archive_s3: str | None,
    archive_s3_endpoint: str | None,
    **flags: Any,
) -> int:
    """Run the controller of `watch` in Kubernetes: follow the PersonaCatalog resources of a cluster.

    It needs the extra `operator`: pip install 'persona-reconciler[operator]'. The cluster is that of the pod's service
    account, or of KUBECONFIG. Only the process that holds the lease looks and writes; others stand by.

    Without --token-file, an address that others can reach serves only health and metrics.

    The first SIGTERM or Ctrl-C starts no new writes, finishes those in flight, and exits with 0. A second one ends at
    once.
    """
    try:
        import kopf  # noqa: F401 - an extra, which may be missing
    except ModuleNotFoundError:
        raise ReconcilerError(
            "the operator needs the extra `operator`, which is not installed",
            "pip install 'persona-reconciler[operator]'",
        ) from None
    from reconciler.cli.outside import check_flags, outside
    from reconciler.operator.run import Operator, Options
    from reconciler.operator.shards import WHOLE, parse_shard
    from reconciler.state import FOLDER, open_state
    from reconciler.web import Probes

    flags |= {"log_all": False, "notify": (), "notify_secret_file": None}
    check_flags(flags, once=False)
    own = WHOLE if shard is None else parse_shard(shard)
    bucket = chosen_bucket(archive_s3, archive_s3_endpoint)
    state = open_state(state_dir or Path(FOLDER)).absolute()
    options = Options(state, catalogs, namespaces, lease_namespace, own, bucket)
    with outside(flags) as seen:
        operator = Operator(options, seen.say, seen.on_event, seen.on_call)
        if seen.metrics is not None:
            seen.metrics.more = operator.overview.metrics

        def stop() -> None:
            seen.say("stopping: writes in flight finish, no new ones start")
            operator.stop()

        with (
            orderly_stop(stop),
            seen.serving(
                operator.overview, probes=Probes(operator.overview.ready), approves=False, open_metrics=True
            ),
        ):
            operator.run()
    return ExitCode.OK
