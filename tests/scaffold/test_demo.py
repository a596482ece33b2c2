"""``make demo`` leaves alone what somebody made of an earlier demo."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


_RECONCILER = """\
#!/bin/sh
case $1 in
    server) echo "Serving it at http://127.0.0.1:1 (Ctrl-C ends it)"; exec sleep 60 ;;
    test) grep -q "then a question" .demo/sessions/readers.yaml || exit 5 ;;
esac
"""


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the demo in a folder, with a ``reconciler`` that does nothing but find the regression."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "reconciler").write_text(_RECONCILER)
    (tools / "reconciler").chmod(0o755)
    return subprocess.run(
        ["sh", str(folder / "examples" / "demo.sh")],
        env={"PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_the_demo_never_overwrites_what_was_edited(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    shop = tmp_path / ".demo"
    assert demo(tmp_path).returncode == 0
    (shop / ".reconciler").mkdir(exist_ok=True)
    (shop / ".reconciler" / "local.db").write_text("the sessions of the demo")
    assert demo(tmp_path).returncode == 0  # nothing but the demo's own work is in it
    for edit in (
        lambda: (shop / "catalog.yaml").write_text("catalog: mine\n"),
        lambda: (shop / "sessions" / "mine.yaml").write_text("sessions: {}\n"),
        lambda: (shop / "sessions" / "readers.yaml").unlink(),
        lambda: (shop / ".made").unlink(),
    ):
        edit()
        before = {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
        done = demo(tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "mv .demo my-shop" in done.stderr
        assert {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()} == before
        shutil.rmtree(shop)
        assert demo(tmp_path).returncode == 0
