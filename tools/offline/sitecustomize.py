"""Python switches the network off for itself and its children when this folder is in PYTHONPATH: only this machine
answers. Not called by itself: ``python tools/preflight.py --offline`` uses it.

What Python itself asks of a socket is refused, whichever library asks. Programs in other languages are not stopped.
"""

import errno
import ipaddress
import socket
import sys

OWN = {"", "localhost", "ip6-localhost", "0.0.0.0", "::", socket.gethostname()}


def is_own(host):
    """Is this name or address the machine itself?"""
    host = host.decode(errors="replace") if isinstance(host, bytes) else host
    try:
        return host is None or host in OWN or ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def refuse(event, arguments):
    """An audit hook: raises as a machine without a network does."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # no tuple: a file that is a socket
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not is_own(host):
        raise OSError(errno.ENETUNREACH, f"the network is off for this check, and {host} was asked for")


sys.addaudithook(refuse)
