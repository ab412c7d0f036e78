"""The listening socket: made before anything is started, so that a taken port is known at once."""

import socket

from engine.errors import ConfigurationError

BACKLOG = 2048  # connections the kernel holds while we are busy


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. ConfigurationError in one line if the address is taken or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise ConfigurationError(f"--host {host}: there is no such address here") from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if isinstance(error, PermissionError):
            raise ConfigurationError(f"port {port} needs more rights: choose one above 1023 with --port") from None
        other = port + 1 if port < 65535 else 8000
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ({error.strerror}): "
            f"stop the program that uses it, or choose another port with --port {other}"
        ) from None
    return listener
