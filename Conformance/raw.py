"""HTTP by hand, for what no client library would send."""

import json
import socket
import xml.etree.ElementTree

ANSWER_S = 10


class Answer:
    """One HTTP answer; `status` is 0 when the connection was closed without one."""

    def __init__(self, data):
        head, _, self.rest = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        first = lines[0].split(b" ")
        self.status = int(first[1]) if first[0].startswith(b"HTTP/") and len(first) > 1 else 0
        pairs = (line.partition(b":") for line in lines[1:])
        self.headers = {name.decode().lower(): value.strip().decode("latin-1") for name, _, value in pairs}
        self.body = self.rest

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"

    @property
    def is_error_of_ours(self):
        """A refusal in one of AWS's forms: JSON or XML, or none at all where HTTP itself was broken."""
        if not 400 <= self.status < 600:
            return False
        if not self.body:
            return True
        kind = self.headers.get("content-type", "")
        if "json" in kind:
            return isinstance(json.loads(self.body), dict)
        if "xml" in kind:
            return xml.etree.ElementTree.fromstring(self.body) is not None
        return True


def exchange(server, data, timeout=ANSWER_S, half_close=False):
    """Sends bytes on a connection of its own; the first Answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        try:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all of it was sent; the answer may still be there
        return read_answer(connection)


def read_answer(connection):
    """Reads one answer with its body, as far as it comes."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return Answer(data)
            data += piece
        answer = Answer(data)
        length = answer.headers.get("content-length")
        chunked = "chunked" in answer.headers.get("transfer-encoding", "")
        while (length and len(answer.rest) < int(length)) or (chunked and not answer.rest.endswith(b"0\r\n\r\n")):
            piece = connection.recv(65536)
            if not piece:
                break
            answer.rest += piece
        answer.body = dechunked(answer.rest) if chunked else answer.rest[: int(length)] if length else answer.rest
        return answer
    except (ConnectionResetError, TimeoutError) as error:
        if isinstance(error, TimeoutError) and not data:
            raise
        return Answer(data)


def dechunked(data):
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        count = int(size.split(b";")[0] or b"0", 16)
        if count == 0:
            break
        body, data = body + data[:count], data[count + 2 :]
    return body


def request(method, path, body=b"", length=True, **headers):
    """The bytes of a request. Underscores in the names of headers are dashes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def scope(service, key="test", region="us-east-1"):
    """An Authorization header that says which service is meant; --auth none does not check its signature."""
    return (
        f"AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/{service}/aws4_request, "
        f"SignedHeaders=host, Signature={'0' * 64}"
    )


def resident_mb(pid):
    """What the process holds in memory now, in megabytes."""
    with open(f"/proc/{pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024
