"""QEMU starts this for each connection to the metadata server's address: one request, one documented answer."""

import sys
from pathlib import Path

PATH = "/computeMetadata/v1/instance/attributes/cloister-boot-configuration"


def main(attribute: Path, requests: Path) -> None:
    """Answer like Google's server; append the request to the file ``requests``."""
    lines = []
    while (line := sys.stdin.buffer.readline(4096).decode("latin-1").strip()) != "":
        lines.append(line)
    with requests.open("a", encoding="latin-1") as file:
        file.write("\n".join(lines) + "\n\n")
    known = f"GET {PATH} HTTP/1.1" in lines and "Metadata-Flavor: Google" in lines
    body = attribute.read_bytes() if known else b"not found"
    status = "200 OK" if known else "404 Not Found"
    head = f"HTTP/1.1 {status}\r\nMetadata-Flavor: Google\r\nContent-Type: application/text\r\n"
    head += f"Content-Length: {len(body)}\r\nServer: Metadata Server for VM\r\n\r\n"
    sys.stdout.buffer.write(head.encode() + body)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
