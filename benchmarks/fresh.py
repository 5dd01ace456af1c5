"""What a contender costs in a process of its own: seconds, and memory beyond what importing and warming up took."""

import gc
import importlib
import json
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]

#: Seconds from one look at the memory of a process to the next.
INTERVAL = 0.005


@dataclass(frozen=True)
class Cost:
    seconds: float
    #: The most that was resident, as the kernel keeps count.
    peak_mib: float = 0.0
    #: The same without pages mapped from files, which the system can take back at no cost; sampled.
    peak_private_mib: float = 0.0
    #: The most that PyTorch had taken on a GPU.
    peak_device_mib: float = 0.0


def cost(prepare: str, *arguments: str | Path, keep: Path | None = None) -> Cost:
    """Call what ``prepare``, "module:function", returns for the arguments, in a fresh process.

    There ``prepare`` imports and warms up, uncounted; what it returns is called once, and counted. Its result, an
    array, goes to the file ``keep``. Of a process that starts others only its own memory is counted.
    """
    command = [sys.executable, "-m", "benchmarks.fresh", str(keep or ""), prepare, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        before = most = 0
        if child.stdout.readline() == "ready\n":
            before = _memory("RssAnon", child.pid)
            child.stdin.write("go\n")
            child.stdin.flush()
            while not select.select([child.stdout], [], [], INTERVAL)[0]:
                most = max(most, _memory("RssAnon", child.pid))
        answer = child.stdout.readline()
    if child.returncode or not answer:
        raise RuntimeError(f"[benchmarks.fresh] {prepare} must run to its end; got exit status {child.returncode}")
    return Cost(**json.loads(answer), peak_private_mib=max(0, most - before) / 2**20)


def _memory(field: str, process: int | str) -> int:
    """Bytes of memory of one kind; none of a process that has ended."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def main(keep: str, prepare: str, *arguments: str) -> None:
    module, _, function = prepare.partition(":")
    work = getattr(importlib.import_module(module), function)(*arguments)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew from what is resident now
    before = _memory("VmRSS", "self")
    torch = sys.modules.get("torch")
    cuda = torch.cuda if torch and torch.cuda.is_initialized() else None
    if cuda:
        cuda.reset_peak_memory_stats()
        before_there = cuda.memory_allocated()
    print("ready", flush=True)
    sys.stdin.readline()
    begin = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begin
    peak = _memory("VmHWM", "self") - before
    peak_there = cuda.max_memory_allocated() - before_there if cuda else 0
    if keep:
        np.save(keep, result)
    print(json.dumps({"seconds": seconds, "peak_mib": peak / 2**20, "peak_device_mib": peak_there / 2**20}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
