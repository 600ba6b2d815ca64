"""MLflow's own page on this project's runs, opened on the table of the experiment with the columns that matter."""

import os
import socket
import sys

from dancing.errors import UserError
from dancing.registry import open_store, store_uri

_PORT = 5000  # MLflow's own
_WORKFLOW = "workflowType=machine_learning"  # otherwise MLflow opens its pages for language models


def serve(experiment: str, port: int | None) -> None:
    """Run MLflow's server in the place of this process, on this machine alone.

    Args:
        experiment: name of the experiment to open.
        port: None for `_PORT`, or one that is free.

    Raises:
        UserError: no run is recorded yet, or the port is taken.
    """
    uri = store_uri()
    if port is not None and not _is_free(port):
        raise UserError(f"port {port} is taken; give another one with --port, or none for one that is free")
    port = port or (_PORT if _is_free(_PORT) else _free_port())
    found = open_store().get_experiment_by_name(experiment)
    print(f"MLflow: {address(found.experiment_id if found else None, port)} . Ctrl-C ends it.", flush=True)
    command = ["mlflow", "server", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", *command])


def address(experiment_id: str | None, port: int) -> str:
    """Address of an experiment's table of runs, in the view of `mlflow_store`; of all experiments if it is None."""
    from dancing.mlflow_store import VIEW

    root = f"http://127.0.0.1:{port}/#/experiments"
    return (
        f"{root}?{_WORKFLOW}"
        if experiment_id is None
        else f"{root}/{experiment_id}/runs?{_WORKFLOW}&viewStateShareKey={VIEW}"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
