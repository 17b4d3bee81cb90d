"""Ports that a server may listen on."""

from __future__ import annotations

import socket

from creditdesk.cli.output import CliError


def free_port(host: str, port: int, tries: int = 1, option: str = "--port") -> int:
    """The first free one of `tries` ports. Raises CliError, which names the option to choose another."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port, min(port + tries, 65536)):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except PermissionError:
                raise CliError(f"You have no permission to listen on port {candidate}.") from None
            except OSError as error:
                if isinstance(error, socket.gaierror):
                    raise CliError(f"{host} is not an address of this machine.") from None
                continue
            return candidate
    end = "and the next ones are" if tries > 1 else "is"
    raise CliError(f"Port {port} of {host} {end} in use. Choose another with {option}.")
