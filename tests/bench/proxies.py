"""What the proxy costs: the same calls to the upstream itself, through nginx as a plain reverse proxy where it is
installed, and through the daemon, which judges and books each of them. In turns, in one run. LiteLLM's proxy is timed
where its command is on the PATH (`pip install 'litellm[proxy]'`, in an environment of its own)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.load import ask, delays, request
from tests.bench.measure import Result, interleaved
from tests.bench.server import MODEL
from tests.fakes.daemon import DaemonProcess, fetch

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
"""
LITELLM = """
model_list:
  - model_name: {model}
    litellm_params: {{model: "openai/{model}", api_base: "http://127.0.0.1:{upstream}/api/v1", api_key: sk-bench}}
"""
LITELLM_ENVIRONMENT = {
    # It asks for these files at start, and for a master key, also where it only listens on loopback.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    "HF_HUB_OFFLINE": "1",
}
BATCH = 500
FEW = 300
PLENTY = 10**8


class Ports(dict[str, int]):
    """Where the upstream and those before it answer; and the processes of the latter."""

    def __init__(self, **ports: int) -> None:
        super().__init__(ports)
        self.processes: dict[str, int] = {}

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU that each process has used."""
        used = {}
        for name, process in self.processes.items():
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            used[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return used


@contextlib.contextmanager
def served(base_url: str, folder: Path) -> Iterator[Ports]:
    ports = Ports(bare=urlsplit(base_url).port or 80)
    with contextlib.ExitStack() as stack:
        if shutil.which("nginx"):
            ports["nginx"], ports.processes["nginx"] = stack.enter_context(_nginx(ports["bare"], folder))
        ports["forwarder"], ports.processes["forwarder"] = stack.enter_context(_forwarder(ports["bare"]))
        books = folder / "forwarder.db"
        ports["forwarder, booking"], ports.processes["forwarder, booking"] = stack.enter_context(
            _forwarder(ports["bare"], str(books))
        )
        daemon = stack.enter_context(
            DaemonProcess(
                folder,
                STORE=folder / "proxy.db",
                BASE_URL=base_url,
                QUOTA__PER_MINUTE=PLENTY,
                QUOTA__PER_DAY=PLENTY,
                PROXY__DRAIN_SECONDS=1,
            )
        )
        url = daemon.url()
        _until(lambda: fetch(f"{url}/-/ready"))
        ports["proxy"], ports.processes["proxy"] = urlsplit(url).port or 80, daemon.process.pid
        yield ports
        memory = Path(f"/proc/{daemon.process.pid}/status").read_text()
        peak = next(line.split()[1] for line in memory.splitlines() if line.startswith("VmHWM"))
        print(f"  (the daemon's largest resident set: {int(peak) / 1024:.0f} MB)")


@contextlib.contextmanager
def _nginx(upstream: int, folder: Path) -> Iterator[tuple[int, int]]:
    """Its port, and the process that does the work."""
    port = _free_port()
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, upstream=upstream, port=port))
    command = ["nginx", "-e", "/dev/null", "-c", str(conf), "-p", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _until(lambda: socket.create_connection(("127.0.0.1", port)).close())
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            yield port, int(children.split()[0])
        finally:
            process.terminate()


@contextlib.contextmanager
def _forwarder(upstream: int, *books: str) -> Iterator[tuple[int, int]]:
    """Its port, and its process: what asyncio costs at the least; with the path of a store, and a ledger."""
    command = [sys.executable, "-m", "tests.bench.forwarder", str(upstream), *books]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.stdin.close()


@contextlib.contextmanager
def _litellm(upstream: int, folder: Path) -> Iterator[int]:
    """Its port."""
    port = _free_port()
    conf = folder / "litellm.yaml"
    conf.write_text(LITELLM.format(model=MODEL, upstream=upstream))
    command = ["litellm", "--config", str(conf), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, **LITELLM_ENVIRONMENT}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _until(lambda: socket.create_connection(("127.0.0.1", port)).close(), seconds=120)
            yield port
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _until(attempt: Callable[[], object], *, seconds: int = 20) -> None:
    tick = threading.Event()
    for _ in range(seconds * 20):
        with contextlib.suppress(OSError):
            attempt()
            return
        tick.wait(0.05)
    raise TimeoutError("what is to be timed did not start")


def one(base_url: str, folder: Path) -> Result:
    """What a call takes that has the machine to itself."""
    with served(base_url, folder) as ports, contextlib.ExitStack() as stack:
        return interleaved("One call, one at a time", {n: stack.enter_context(_caller(p)) for n, p in ports.items()})


@contextlib.contextmanager
def _caller(port: int) -> Iterator[Callable[[], object]]:
    """Asks over one connection that stays open."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked = request(port)

        def call() -> None:
            connection.sendall(asked)
            heard = connection.recv(65536)
            while b"\r\n\r\n" not in heard or not heard.endswith(b"}"):
                heard += connection.recv(65536)

        yield call


def rate(base_url: str, folder: Path) -> Result:
    """What so many calls take that come sixteen and sixty-four at once; divide by 500 for one of them."""
    with served(base_url, folder) as ports:
        candidates = {
            f"{name}, {at_once} at once": _batch(port, at_once) for at_once in (16, 64) for name, port in ports.items()
        }
        before, rounds = ports.cpu(), 8
        result = interleaved(f"{BATCH} calls", candidates, rounds=rounds, calls=1)
        for name, used in ports.cpu().items():
            print(f"  ({name}: {(used - before[name]) / (2 * (rounds + 1) * BATCH) * 1e6:.0f} µs of CPU a call)")
        return result


def _batch(port: int, at_once: int, calls: int = BATCH, base: str = "/api/v1") -> Callable[[], object]:
    return lambda: asyncio.run(ask(port, at_once, calls, request(port, base=base)))


def litellm(base_url: str, folder: Path) -> Result:
    """What fewer calls take, sixteen at once, beside LiteLLM's proxy with nothing switched on."""
    with served(base_url, folder) as ports, contextlib.ExitStack() as stack:
        candidates = {name: _batch(port, 16, FEW) for name, port in ports.items()}
        often = dict.fromkeys(candidates, 10)
        if shutil.which("litellm"):
            port = stack.enter_context(_litellm(ports["bare"], folder))
            candidates["litellm"], often["litellm"] = _batch(port, 16, FEW, "/v1"), 1
        return interleaved(f"{FEW} calls, 16 at once", candidates, rounds=8, calls=often)


def streams(base_url: str, folder: Path) -> Result:
    """How long each chunk is on its way when 64 streams of 50 chunks run beside each other, each at its own pace."""
    return _streams(base_url, folder, "pace")


def lockstep(base_url: str, folder: Path) -> Result:
    """The same, but all streams' chunks come at the same moment, and queue up: the worst case."""
    return _streams(base_url, folder, "lockstep")


def _streams(base_url: str, folder: Path, spaced: str) -> Result:
    with served(base_url, folder) as ports:
        found: dict[str, list[float]] = {name: [] for name in ports}
        ratios: dict[str, list[float]] = {name: [] for name in ports}
        for number in range(6):
            names = list(ports)
            medians = {}
            for name in names[number % len(names) :] + names[: number % len(names)]:
                took = delays(ports[name], 64, spaced)
                found[name] += took
                medians[name] = statistics.median(took)
            first = next(iter(ports))
            for name in names:
                ratios[name].append(medians[name] / medians[first])
        return Result(
            f"A chunk of 64 streams at once ({spaced}), on its way",
            {name: statistics.median(took) for name, took in found.items()},
            {name: sorted(took)[int(len(took) * 0.99)] for name, took in found.items()},
            {name: statistics.median(values) for name, values in ratios.items()},
        )


CASES = {
    "proxy": one,
    "proxy-rate": rate,
    "proxy-stream": streams,
    "proxy-lockstep": lockstep,
    "proxy-litellm": litellm,
}
