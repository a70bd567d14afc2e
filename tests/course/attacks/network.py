"""Network: carrying hidden inputs out, or asking somebody for the answer."""

from __future__ import annotations

from tests.course.attacks.form import Attack

Attack(
    "calls_home",
    "network",
    "opens a connection over TCP and sends what it was given",
    cells={"before": "import socket\nsocket.create_connection(('127.0.0.1', <<port>>), timeout=2).sendall(b'x')"},
    harm="call",
    needs="network",
)
Attack(
    "sends_a_datagram",
    "network",
    "sends what it was given in a UDP packet, as a name server would get it",
    cells={
        "before": """
            import socket
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", <<port>>))
        """
    },
    harm="datagram",
    needs="network",
)
Attack(
    "uses_a_socket_of_the_host",
    "network",
    "connects to a socket of another program of this machine by its abstract name",
    cells={"before": "import socket\nsocket.socket(socket.AF_UNIX).connect(chr(0) + '<<abstract>>')"},
    harm="abstract",
    needs="network",
)
Attack(
    "uses_a_socket_file_of_the_host",
    "network",
    "connects to a socket that lies in a folder of this machine, as those of Docker and SSH do",
    cells={"before": "import socket\nsocket.socket(socket.AF_UNIX).connect('<<socket>>')"},
    harm="socket",
    needs="files",
)
