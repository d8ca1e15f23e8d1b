"""Starts AWS's own runtime interface client (awslambdaric) for a python* function.

Run as `INTERPRETER [-S] /var/runtime/bootstrap.py` with the environment of a Lambda function. The interpreter is one
found on the host, so its own third-party packages must not become visible to functions; AWS's do not have them either.
"""

import os
import sys

RUNTIME_DIR = os.path.dirname(os.path.abspath(__file__))
# Marks that the wrapper has run. In the environment, because wrappers rewrite the arguments.
WRAPPED = "_MARTLET_WRAPPED"
# A shell's exit codes, as AWS's own bootstrap is one.
EXIT_NOT_FOUND = 127
EXIT_NOT_EXECUTABLE = 126


def main():
    wrapped = os.environ.pop(WRAPPED, None) is not None
    wrapper = os.environ.get("AWS_LAMBDA_EXEC_WRAPPER")
    if wrapper and not wrapped:
        become_wrapper(wrapper)
    sys.path[:] = search_path(
        sys.path,
        task_root=os.environ.get("LAMBDA_TASK_ROOT", "/var/task"),
        layers=os.environ.pop("_MARTLET_LAYERS", "/opt"),
    )
    if sys.flags.no_site:
        add_site_builtins()
    reach_apis()

    from awslambdaric.__main__ import main as serve

    serve([sys.argv[0], os.environ.get("_HANDLER", "")])


def search_path(initial, task_root, layers):
    """AWS's order: code, layers, runtime (and PYTHONPATH), standard library; nothing of the host's site folders."""
    version = "python%d.%d" % sys.version_info[:2]
    path = [task_root, os.path.join(layers, "python/lib", version, "site-packages"), os.path.join(layers, "python")]
    for folder in [RUNTIME_DIR, *initial]:
        of_host = os.path.basename(folder) in ("site-packages", "dist-packages") and not folder.startswith(
            (task_root + os.sep, layers + os.sep)
        )
        if folder and not of_host and folder not in path:
            path.append(folder)
    return path


def add_site_builtins():
    """exit, quit, help and the like, which `-S` leaves out; functions call exit()."""
    import site

    site.setquit()
    site.setcopyright()
    site.sethelper()


def reach_apis():
    """Lets functions reach the APIs of this machine by the names that programs make for them.

    Names below `localhost` are this machine (RFC 6761, 6.3), which glibc leaves to a resolver that cells do not have; events
    name their API so (`ID.execute-api.localhost:4566`). Without a port such a name means Martlet's, and not 80 or 443. AWS's own
    names of APIs are Martlet's where nobody else resolves them.
    """
    import socket

    resolve = socket.getaddrinfo
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/").rpartition(":")[2]
    martlet = int(endpoint) if endpoint.isdigit() else None
    served = set()

    def getaddrinfo(host, port, *arguments, **named):
        name = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else host
        name = name.lower().rstrip(".") if isinstance(name, str) else ""
        if not name.endswith((".localhost", ".amazonaws.com")):
            return resolve(host, port, *arguments, **named)
        if name.endswith(".localhost"):
            if name.endswith(".execute-api.localhost"):
                serve(name)
                if martlet is not None and port in (80, 443, "80", "443"):
                    port = martlet
            return resolve("localhost", port, *arguments, **named)
        try:
            return resolve(host, port, *arguments, **named)
        except socket.gaierror:
            if ".execute-api." not in name or martlet is None:
                raise
        serve(name)
        return resolve("localhost", martlet, *arguments, **named)

    def serve(name):
        # Whoever wants TLS has imported it by now; others need not.
        if "ssl" in sys.modules:
            served.add(name)
            leave_out_tls(sys.modules["ssl"].SSLContext, served)

    socket.getaddrinfo = getaddrinfo


def leave_out_tls(context, served):
    """Lets `https://`, which programs write before such a name, go on without TLS.

    Martlet listens inside the cell without: nothing leaves it, and no certificate authority vouches for it there.
    """
    wrap = context.wrap_socket
    if getattr(wrap, "leaves_out_tls", False):
        return

    def wrap_socket(self, sock, *arguments, **named):
        name = named.get("server_hostname")
        if isinstance(name, str) and name.lower() in served:
            return unwrapped(sock, name)
        return wrap(self, sock, *arguments, **named)

    wrap_socket.leaves_out_tls = True
    context.wrap_socket = wrap_socket


def unwrapped(sock, name):
    """A socket that answers what HTTP clients ask of TLS."""
    import socket

    class Unwrapped(socket.socket):
        def getpeercert(self, binary_form=False):
            return b"" if binary_form else {"subjectAltName": (("DNS", name),)}

    timeout = sock.gettimeout()
    plain = Unwrapped(fileno=sock.detach())
    plain.settimeout(timeout)
    return plain


def become_wrapper(wrapper):
    """Becomes AWS_LAMBDA_EXEC_WRAPPER, with the interpreter and its arguments as the wrapper's own."""
    command = [sys.executable, *getattr(sys, "orig_argv", [sys.executable, __file__])[1:]]
    try:
        os.execve(wrapper, [wrapper, *command], {**os.environ, WRAPPED: "1"})
    except OSError as error:
        print("AWS_LAMBDA_EXEC_WRAPPER %s: %s" % (wrapper, error.strerror), file=sys.stderr, flush=True)
        sys.exit(EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_EXECUTABLE)


if __name__ == "__main__":
    main()
