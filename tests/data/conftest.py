"""Data tests run without the user's data, cache and network."""

import functools
import http.server
import threading
from pathlib import Path

import pooch
import pytest


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    """An empty cache, BIOPLAUS_DATA unset."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(pooch, "os_cache", lambda project: folder / project)
    monkeypatch.delenv("BIOPLAUS_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder / "bioplaus"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; a name that begins with 'cut-' is sent by half."""

    def do_GET(self):
        self.server.asked.append(self.path)  # pyright: ignore[reportAttributeAccessIssue]
        name = Path(self.path).name
        if not name.startswith("cut-"):
            return super().do_GET()
        content = (Path(self.directory) / name).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])

    def log_message(self, format, *args):
        pass


@pytest.fixture
def served(tmp_path):
    """A loopback server: (folder it serves, its address, the list of paths it was asked for)."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    ) as server:
        server.asked = []  # pyright: ignore[reportAttributeAccessIssue]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        asked = server.asked  # pyright: ignore[reportAttributeAccessIssue]
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/", asked
        server.shutdown()
        thread.join()
