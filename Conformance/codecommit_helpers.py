"""Git clients for the tests of CodeCommit."""

import os
import subprocess
from pathlib import Path

GIT_S = 60


class Git:
    """git in a directory of its own, with nothing of this machine's configuration."""

    def __init__(self, directory, url=None, configuration=(), environment=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.url = url
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.directory.parent),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Jane", "GIT_AUTHOR_EMAIL": "jane@example.com",
            "GIT_COMMITTER_NAME": "Jane", "GIT_COMMITTER_EMAIL": "jane@example.com",
            "NO_PROXY": "*",
            **(environment or {}),
        }
        self.configuration = ["-c", "init.defaultBranch=main", *[part for one in configuration for part in ("-c", one)]]

    def run(self, *arguments, check=True, stdin=None):
        done = subprocess.run(
            ["git", *self.configuration, *map(str, arguments)], cwd=self.directory, env=self.environment, input=stdin,
            capture_output=True, timeout=GIT_S,
        )
        assert not check or done.returncode == 0, f"git {arguments}: {done.returncode}\n{done.stderr.decode()}"
        return done

    def text(self, *arguments):
        return self.run(*arguments).stdout.decode().strip()

    def fails(self, *arguments):
        """The error text of a command that must fail."""
        done = self.run(*arguments, check=False)
        assert done.returncode != 0, done.stderr.decode()
        return done.stderr.decode()

    def init(self):
        self.run("init", "-q")
        self.run("remote", "add", "origin", self.url)
        return self

    def clone(self, *options):
        self.run("clone", "-q", *options, self.url, ".")
        return self

    def commit(self, files, message="change"):
        """Writes {path: text}, commits, and gives the commit's id."""
        for path, text in files.items():
            file = self.directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.run("add", "-A")
        self.run("commit", "-q", "-m", message)
        return self.head

    @property
    def head(self):
        return self.text("rev-parse", "HEAD")


def git_url(server, name, region="us-east-1", by_path=False):
    if by_path:
        return f"{server.url}/_aws/git-codecommit/{region}/v1/repos/{name}"
    return f"http://git-codecommit.{region}.localhost:{server.port}/v1/repos/{name}"



def environment_of(key, secret, region="us-east-1"):
    """AWS credentials for helpers that git starts."""
    return {
        "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true",
    }


def certificate_for(name, directory):
    """Files of a new certificate and its key."""
    certificate, key = Path(directory) / "cert.pem", Path(directory) / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True,
    )
    return certificate, key
