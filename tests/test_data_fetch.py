"""Downloads, from a server on this machine that breaks off, lies, stalls or answers."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from thinout.lab import data
from thinout.lab.data import DataError, DataFile, DataSet
from thinout.lab.data._sets import DATA_SETS

CONTENT = bytes(range(256)) * 2048  # 512 KiB: several chunks
DEADLINE = 60


class Server(ThreadingHTTPServer):
    """Answers every GET as `behaviour` says."""

    behaviour = "whole"
    requests = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.half_sent = threading.Event()
        self.go_on = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        behaviour = self.server.behaviour
        self.send_response(404 if behaviour == "absent" else 200)
        if behaviour not in ("unannounced cut", "endless"):
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        half = len(CONTENT) // 2
        self.wfile.write(CONTENT[:half])
        self.wfile.flush()
        if behaviour == "stall":
            self.server.half_sent.set()
            self.server.go_on.wait(DEADLINE)
        elif behaviour == "other content":
            self.wfile.write(bytes(half))
        elif behaviour == "endless":
            self._send_without_end()
        elif behaviour == "whole":
            self.wfile.write(CONTENT[half:])

    def _send_without_end(self) -> None:
        try:
            for _ in range(1000):
                self.wfile.write(CONTENT)
        except OSError:  # the client has hung up, as it should
            self.server.go_on.set()

    def log_message(self, *_: object) -> None:
        """Keep the test output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.go_on.set()
        running.shutdown()
        thread.join(DEADLINE)


def local_set(url: str | None) -> DataSet:
    """Describe a data set of one file."""
    file = DataFile("file.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), url)
    source = "https://example.org/data"
    return DataSet("local", "title", ("a", "b"), (1, 2, 2), 1, 1, "MIT", source, "local", (file,), data.load)


@pytest.fixture
def cache(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Register the data set "local" and return the folder that it is fetched into."""
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("THINOUT_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(DATA_SETS, "local", local_set(f"http://127.0.0.1:{server.server_port}/file.bin"))
    return tmp_path / "cache" / "local"


def test_fetch_downloads_once_and_reports_progress(server: Server, cache: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    assert data.fetch("local", progress=lambda *step: seen.append(step)) == [cache / "file.bin"]
    assert (cache / "file.bin").read_bytes() == CONTENT
    counts = [done for _, done, _ in seen]
    assert counts == sorted(counts)
    assert counts[-1] == len(CONTENT)
    assert len(set(counts)) > 2
    assert {(name, total) for name, _, total in seen} == {("file.bin", len(CONTENT))}
    data.fetch("local")
    assert server.requests == 1
    assert [check.state for check in data.check("local")] == ["ok"]


@pytest.mark.parametrize("behaviour", ["announced cut", "unannounced cut", "other content", "endless", "absent"])
def test_failed_download_leaves_nothing_and_starts_again(server: Server, cache: Path, behaviour: str) -> None:
    server.behaviour = behaviour
    with pytest.raises(DataError, match="can be downloaded") as caught:
        data.fetch("local")
    assert str(cache) in str(caught.value)
    assert f"Call it again, or put the file into {cache} by hand; see https://example.org/data." in str(caught.value)
    assert list(cache.iterdir()) == []
    server.behaviour = "whole"
    data.fetch("local")
    assert (cache / "file.bin").read_bytes() == CONTENT


def test_endless_answer_is_hung_up_on(server: Server, cache: Path) -> None:
    server.behaviour = "endless"
    with pytest.raises(DataError, match=f"more than the expected {len(CONTENT)} bytes"):
        data.fetch("local")
    assert server.go_on.wait(DEADLINE)
    assert list(cache.iterdir()) == []


KILLED = """
import hashlib, sys
from thinout.lab.data import DataFile, fetch, describe
from thinout.lab.data._sets import DATA_SETS
from dataclasses import replace
size, sha256, url = sys.argv[1:]
file = DataFile("file.bin", int(size), sha256, url)
DATA_SETS["local"] = replace(describe("mnist"), name="local", folder="local", files=(file,))
fetch("local")
"""


def test_killed_download_leaves_nothing_under_the_final_name(server: Server, cache: Path) -> None:
    server.behaviour = "stall"
    (file,) = data.describe("local").files
    command = [sys.executable, "-c", KILLED, str(file.size), file.sha256, str(file.url)]
    with subprocess.Popen(command) as process:
        assert server.half_sent.wait(DEADLINE)
        os.kill(process.pid, signal.SIGKILL)
    assert not (cache / "file.bin").exists()
    assert [check.state for check in data.check("local")] == ["missing"]
    server.behaviour = "whole"
    data.fetch("local")
    assert (cache / "file.bin").read_bytes() == CONTENT


def test_damaged_copy_in_the_cache_is_replaced(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "file.bin").write_bytes(CONTENT[:-1])
    assert [check.state for check in data.check("local")] == ["differs"]
    data.fetch("local")
    assert (cache / "file.bin").read_bytes() == CONTENT
    assert server.requests == 1


def test_copy_in_the_users_folder_is_used_or_complained_about(
    server: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    own = tmp_path / "local" / "file.bin"
    own.parent.mkdir()
    own.write_bytes(CONTENT)
    assert data.fetch("local") == [own]
    own.write_bytes(b"damaged")
    with pytest.raises(DataError, match="Remove or replace it"):
        data.fetch("local")
    assert own.read_bytes() == b"damaged"
    assert server.requests == 0
    assert not cache.exists()


def test_of_two_forms_the_one_with_an_address_is_fetched_into_its_own_folder(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = data.describe("local").files
    two = replace(data.describe("local"), files=(DataFile("packed"),), other_files=(replace(file, folder="other"),))
    monkeypatch.setitem(DATA_SETS, "local", two)
    assert [check.state for check in data.check("local")] == ["missing"]
    assert data.fetch("local") == [cache.parent / "other" / "file.bin"]
    assert [check.path for check in data.check("local")] == [cache.parent / "other" / "file.bin"]
    cache.mkdir()
    (cache / "packed").write_bytes(b"")  # what is here goes before the other form
    assert data.fetch("local") == [cache / "packed"]
    assert server.requests == 1


def test_without_a_verified_address_it_says_where_to_get_the_data(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATA_SETS, "local", local_set(None))
    with pytest.raises(DataError, match=r"verified address, got none\..*https://example.org/data") as caught:
        data.fetch("local")
    assert str(cache) in str(caught.value)
    assert "again" not in str(caught.value)  # that would not help
    assert server.requests == 0


def test_folder_that_cannot_be_written(server: Server, cache: Path) -> None:
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file where the cache folder should be")
    with pytest.raises(DataError, match="can be downloaded"):
        data.fetch("local")
    assert server.requests == 0
