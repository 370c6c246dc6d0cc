"""First on PYTHONPATH, forbids every Python process the network, except loopback.

What `make offline` runs under, notebook kernels included: as on a train.
"""

import errno
import socket

LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")
connect, look_up = socket.socket.connect, socket.getaddrinfo


def is_near(host: object) -> bool:
    return host is None or str(host).startswith(LOOPBACK) or host == ""


def guarded_connect(self: socket.socket, address: object) -> None:
    if self.family != getattr(socket, "AF_UNIX", None) and not is_near(address[0]):
        raise OSError(errno.ENETUNREACH, "Network is unreachable (forbidden for this test)")
    return connect(self, address)


def guarded_look_up(host: object, *arguments: object, **settings: object) -> list:
    if not is_near(host.decode() if isinstance(host, bytes) else host):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known (forbidden)")
    return look_up(host, *arguments, **settings)


socket.socket.connect = guarded_connect
socket.getaddrinfo = guarded_look_up
