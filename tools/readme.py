"""Renews what README.md and those of the examples show of the program itself.

Runs their console blocks again, each in its own folder, and prints the operator table. Latencies stay as they are while
the rest of their table does.

python tools/readme.py            rewrite them
python tools/readme.py --check    exit 1 if the operator table is not what the code says
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

from mcugen.ops import OPS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
_TABLE = re.compile(r"(<!-- operators -->\n).*?(<!-- end of operators -->)", re.DOTALL)
_CONSOLE = re.compile(r"(?:<!-- in (\S+) -->\n)?```console\n\$ ([^\n]*)\n(.*?)```", re.DOTALL)

_LATENCIES = re.compile(r"^ms, .*\n(?: .*\n)*", re.MULTILINE)  # the table of `compare`


def operator_table() -> str:
    """The support table, from the operators' own definitions."""
    lines = ["| operator | from ONNX | exactness | what, and limits |", "|---|---|---|---|"]
    for op in (op for op in OPS.values() if op.onnx):
        limits = [" ".join((limit.__doc__ or "").split()).rstrip(".") for limit in op.limits]
        about = ". ".join([op.about, *limits])
        lines.append(f"| {op.name} | {', '.join(op.onnx)} | {op.exactness} | {about} |")
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    return _TABLE.sub(lambda match: match[1] + operator_table() + match[2], text)


def run_block(folder: Path, match: re.Match[str]) -> str:
    """The block again, run in `folder`, or in the one below it that a comment before the block names."""
    below, command, before = match[1], match[2], match[3]
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "110"}
    where = folder / (below or ".")
    done = subprocess.run(command, shell=True, cwd=where, env=env, capture_output=True, text=True, check=False)
    shown = "\n".join(line.rstrip() for line in (done.stdout + done.stderr).splitlines() if line.strip())
    if done.returncode == 2 and not before.startswith("error:"):
        sys.exit(f"$ {command}\n{shown}\nThis did not fail before: {folder.name}/README.md is left as it was.")
    comment = f"<!-- in {below} -->\n" if below else ""
    return f"{comment}```console\n$ {command}\n{with_latencies_of(before, shown)}\n```"


def with_latencies_of(before: str, shown: str) -> str:
    """`shown`, with the latencies it had before: they differ from run to run."""

    def kept(new: re.Match[str]) -> str:
        return next((old[0] for old in _LATENCIES.finditer(before) if _rows(old[0]) == _rows(new[0])), new[0])

    return _LATENCIES.sub(kept, shown)


def _rows(table: str) -> str:
    """What of a table of latencies stays from run to run."""
    return " ".join(re.sub(r"\d+\.\d+", "#", table).split())


def main() -> None:
    text = README.read_text(encoding="utf-8")
    if "--check" in sys.argv[1:]:
        sys.exit(with_table(text) != text)
    README.write_text(with_table(text), encoding="utf-8")
    for path in (README, *sorted(ROOT.glob("examples/*/README.md"))):
        text = path.read_text(encoding="utf-8")
        path.write_text(_CONSOLE.sub(partial(run_block, path.parent), text), encoding="utf-8")


if __name__ == "__main__":
    main()
