"""A real HTTP server on loopback that serves a data set's archives, and misbehaves on demand."""

import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

PAGE = b"<html><body>Please log in to use this network.</body></html>"


def idx(array: np.ndarray) -> bytes:
    """An array of bytes in IDX form, as a data set's files are."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        mirror = self.server.mirror
        mirror.asked.append(self.path)
        path = self.path.lstrip("/")
        if path == "login":
            return self.answer(PAGE)
        if path not in mirror.files:
            return self.send_error(404)
        return getattr(self, mirror.behaviour)(mirror.files[path])

    def answer(self, content, sent=None, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content if sent is None else sent)

    def well(self, content):
        self.answer(content)

    def forbidden(self, content):
        self.send_error(403)

    def gone(self, content):
        self.send_error(404)

    def broken(self, content):
        self.send_error(500)

    def redirect(self, content):
        self.answer(b"", status=302, Location="/login")

    def wrong_bytes(self, content):
        middle = len(content) // 2
        self.answer(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])

    def cut_off(self, content):
        self.answer(content, content[: len(content) // 2])
        self.close_connection = True

    def shortened(self, content):
        self.answer(content[: len(content) // 2])

    def drip(self, content):
        """Slow, but it arrives."""
        self.answer(content, b"")
        for start in range(0, len(content), len(content) // 8 + 1):
            self.server.mirror.over.wait(self.server.mirror.pause)
            self.wfile.write(content[start : start + len(content) // 8 + 1])

    def stall(self, content):
        """Half of it, then silence."""
        self.answer(content, content[: len(content) // 2])
        self.server.mirror.over.wait(30)

    def hang_up(self, content):
        self.close_connection = True
        self.connection.close()


class Mirror:
    """Serves `files` (path to content) at `url`; `asked` lists the paths that were requested."""

    def __init__(self, files):
        self.files, self.behaviour, self.asked, self.pause = dict(files), "well", [], 0.02
        self.over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.mirror = True, self
        self.server.handle_error = lambda *_: None  # clients that hang up are expected
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
