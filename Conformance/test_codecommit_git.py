"""git itself with CodeCommit: clone, fetch, push, what is refused, who may, and what hostile clients get."""

import concurrent.futures
import configparser
import gzip
import hashlib
import json
import os
import struct
import sys
import zlib
from pathlib import Path
from urllib.parse import quote

import boto3
import pytest

from . import raw
from .codecommit_helpers import Git, certificate_for, environment_of, git_url
from .expect import aws_error
from .harness import AWS_CLI, REGION, Server, wait_for

HELPER = f"credential.helper=!{AWS_CLI} codecommit credential-helper --ignore-host-check $@"


@pytest.fixture
def codecommit(client):
    return client("codecommit")


@pytest.fixture
def repository(codecommit, unique):
    name = unique("repo")
    codecommit.create_repository(repositoryName=name)
    yield name
    codecommit.delete_repository(repositoryName=name)


@pytest.fixture
def work(server, repository, tmp_path):
    """A new working copy with the repository as its origin."""
    return Git(tmp_path / "work", git_url(server, repository)).init()


def tip(codecommit, repository, branch="main"):
    return codecommit.get_branch(repositoryName=repository, branchName=branch)["branch"]["commitId"]


def test_push_clone_and_fetch(server, codecommit, repository, work, tmp_path):
    first = work.commit({"a.txt": "one\n", "dir/b.txt": "two\n"}, "first")
    work.run("push", "-q", "origin", "main")
    assert tip(codecommit, repository) == first
    metadata = codecommit.get_repository(repositoryName=repository)["repositoryMetadata"]
    assert metadata["defaultBranch"] == "main"
    assert codecommit.get_file(repositoryName=repository, filePath="a.txt")["fileContent"] == b"one\n"

    copy = Git(tmp_path / "copy", metadata["cloneUrlHttp"]).clone()
    assert copy.head == first and (copy.directory / "dir/b.txt").read_text() == "two\n"
    # A change made through the API is fetched.
    second = codecommit.put_file(
        repositoryName=repository, branchName="main", filePath="c.txt", fileContent=b"three\n", parentCommitId=first
    )["commitId"]
    copy.run("pull", "-q", "origin", "main")
    assert copy.head == second and (copy.directory / "c.txt").read_text() == "three\n"
    by_path = Git(tmp_path / "path", git_url(server, repository, by_path=True)).clone()
    assert by_path.head == second
    assert by_path.run("fsck", "--strict").returncode == 0
    for version in (0, 1, 2):
        old = Git(tmp_path / f"v{version}", git_url(server, repository), [f"protocol.version={version}"]).clone()
        assert old.head == second


def test_empty_repository(server, repository, tmp_path):
    copy = Git(tmp_path / "empty", git_url(server, repository)).clone()
    assert copy.text("ls-remote", "origin") == ""


def test_branches_tags_and_force(server, codecommit, repository, work, tmp_path):
    first = work.commit({"a": "1"})
    work.run("push", "-q", "origin", "main", "main:side")
    work.run("tag", "-a", "v1", "-m", "one")
    work.run("tag", "light")
    work.run("push", "-q", "--tags", "origin")
    second = work.commit({"a": "2"})
    work.run("push", "-q", "origin", "main")
    remote = dict(reversed(line.split("\t")) for line in work.text("ls-remote", "origin").splitlines())
    assert remote["refs/heads/main"] == second and remote["refs/heads/side"] == first
    assert remote["refs/tags/light"] == first and remote["refs/tags/v1^{}"] == first
    commit = codecommit.get_file(repositoryName=repository, filePath="a", commitSpecifier="v1")
    assert (commit["commitId"], commit["fileContent"]) == (first, b"1")

    work.run("reset", "-q", "--hard", first)
    third = work.commit({"a": "3"})
    assert "rejected" in work.fails("push", "origin", "main")
    assert tip(codecommit, repository) == second
    work.run("push", "-q", "--force", "origin", "main")
    assert tip(codecommit, repository) == third

    work.run("push", "-q", "origin", ":side", ":refs/tags/light")
    assert codecommit.list_branches(repositoryName=repository)["branches"] == ["main"]
    assert "prohibited" in work.fails("push", "origin", ":main")
    assert tip(codecommit, repository) == third


def test_shallow_clone(server, repository, work, tmp_path):
    for number in range(5):
        work.commit({"a": str(number)})
    work.run("push", "-q", "origin", "main")
    shallow = Git(tmp_path / "shallow", git_url(server, repository)).clone("--depth", "2")
    assert shallow.text("rev-list", "--count", "HEAD") == "2"
    shallow.run("fetch", "-q", "--unshallow", "origin")
    assert shallow.text("rev-list", "--count", "HEAD") == "5"


def test_large_push(server, codecommit, repository, work, tmp_path):
    """Fifty megabytes go through a server that does not hold them."""
    before = memory(server)
    work.run("config", "core.compression", "0")
    commit = work.commit({f"{number}.bin": os.urandom(5 << 20) for number in range(10)})
    work.run("push", "-q", "origin", "main")
    assert tip(codecommit, repository) == commit
    copy = Git(tmp_path / "copy", git_url(server, repository)).clone()
    assert copy.head == commit
    assert (copy.directory / "7.bin").read_bytes() == (work.directory / "7.bin").read_bytes()
    assert memory(server) - before < 40 << 20


def memory(server):
    status = open(f"/proc/{server.process.pid}/status").read()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) << 10


def test_many_references_and_long_haves(server, codecommit, repository, work, tmp_path):
    """A fetch whose request is compressed."""
    work.commit({"a": "0"})
    copy = None
    for number in range(60):
        work.run("commit", "-q", "--allow-empty", "-m", str(number))
        work.run("branch", f"b{number}")
    work.run("push", "-q", "--all", "origin")
    assert len(codecommit.list_branches(repositoryName=repository)["branches"]) == 61
    copy = Git(tmp_path / "copy", git_url(server, repository)).clone()
    for number in range(60):
        work.run("commit", "-q", "--allow-empty", "-m", f"again {number}")
    for number in range(40):
        copy.run("commit", "-q", "--allow-empty", "-m", f"apart {number}")
    work.run("push", "-q", "origin", "main")
    copy.run("fetch", "-q", "origin")
    assert copy.text("rev-parse", "origin/main") == work.head


def test_a_list_of_references_of_any_length(server, codecommit, repository, work):
    """Protocol version 0 shows all references at once: 40 MB here, which pass through."""
    commit = work.commit({"a": "0"})
    work.run("push", "-q", "origin", "main")
    identifier = codecommit.get_repository(repositoryName=repository)["repositoryMetadata"]["repositoryId"]
    count, before = 200_000, memory(server)
    with open(server.data_dir / "git" / f"{identifier}.git" / "packed-refs", "w") as packed:
        packed.write("# pack-refs with: peeled fully-peeled sorted \n")
        packed.writelines(f"{commit} refs/tags/{'x' * 140}{number:07}\n" for number in range(count))
    listed = work.run("-c", "protocol.version=0", "ls-remote", "--tags", "origin").stdout
    assert listed.count(b"\n") == count and len(listed) > 36 << 20
    assert listed.splitlines()[-1].endswith(f"{count - 1:07}".encode())
    assert memory(server) - before < 24 << 20


def test_a_broken_repository_is_an_error_with_a_status(server, codecommit, repository, work):
    work.commit({"a": "0"})
    work.run("push", "-q", "origin", "main")
    identifier = codecommit.get_repository(repositoryName=repository)["repositoryMetadata"]["repositoryId"]
    head = server.data_dir / "git" / f"{identifier}.git" / "HEAD"
    content = head.read_bytes()
    head.write_bytes(b"nonsense")
    for version in (0, 2):
        assert "500" in work.fails("-c", f"protocol.version={version}", "ls-remote", "origin")
    head.write_bytes(content)
    assert work.text("ls-remote", "origin", "refs/heads/main").split()[0] == work.head


def test_one_of_two_pushes_loses(server, codecommit, repository, work, tmp_path):
    work.commit({"a": "0"})
    work.run("push", "-q", "origin", "main")
    copies = [Git(tmp_path / f"copy{number}", git_url(server, repository)).clone() for number in range(4)]
    heads = [copy.commit({f"f{number}": "x"}, f"by {number}") for number, copy in enumerate(copies)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda copy: copy.run("push", "origin", "main", check=False), copies))
    winners = [head for head, result in zip(heads, results) if result.returncode == 0]
    assert winners == [tip(codecommit, repository)]
    losers = [result.stderr.decode() for result in results if result.returncode != 0]
    assert all("rejected" in text for text in losers), losers


def test_deleted_and_unknown_repositories(server, codecommit, unique, tmp_path):
    name = unique("gone")
    identifier = codecommit.create_repository(repositoryName=name)["repositoryMetadata"]["repositoryId"]
    work = Git(tmp_path / "work", git_url(server, name)).init()
    work.commit({"a": "1"})
    work.run("push", "-q", "origin", "main")
    codecommit.delete_repository(repositoryName=name)
    assert "not found" in work.fails("fetch", "origin")
    wait_for(lambda: not (server.data_dir / "git" / f"{identifier}.git").exists())
    # A new one of the name has nothing of the old.
    codecommit.create_repository(repositoryName=name)
    assert work.text("ls-remote", "origin") == ""
    codecommit.delete_repository(repositoryName=name)


# What is not git's


@pytest.mark.parametrize("path", [
    "/v1/repos/../../store/info/refs?service=git-upload-pack",
    "/v1/repos/%2e%2e%2f%2e%2e/info/refs?service=git-upload-pack",
    "/v1/repos/..%2fx/info/refs?service=git-upload-pack",
    "/v1/repos/.../info/refs?service=git-upload-pack",
    "/v1/repos//info/refs?service=git-upload-pack",
    "/v1/repos/{name}/info/refs?service=git-upload-archive",
    "/v1/repos/{name}/HEAD", "/v1/repos/{name}/objects/info/packs", "/v1/repos/{name}/config",
    "/v1/repos/{name}/../{name}/config", "/", "/v1/repos",
])
def test_paths_that_lead_nowhere(server, repository, path):
    target = path.replace("{name}", repository)
    answer = raw.exchange(server, (
        f"GET {target} HTTP/1.1\r\nHost: git-codecommit.us-east-1.localhost\r\nConnection: close\r\n\r\n").encode())
    assert answer.status in (403, 404), answer


def post(server, repository, service, body, *headers):
    head = [
        f"POST /v1/repos/{repository}/git-{service} HTTP/1.1", "Host: git-codecommit.us-east-1.localhost",
        f"Content-Type: application/x-git-{service}-request", f"Content-Length: {len(body)}", "Connection: close", *headers,
    ]
    return raw.exchange(server, "\r\n".join(head).encode() + b"\r\n\r\n" + body, timeout=30)


def line(text):
    data = text.encode() if isinstance(text, str) else text
    return f"{len(data) + 4:04x}".encode() + data


def pack(*objects, count=None):
    """A pack of (type, declared size, bytes)."""
    out = b"PACK" + struct.pack(">II", 2, len(objects) if count is None else count)
    for kind, size, data in objects:
        first = (kind << 4) | (size & 15)
        size >>= 4
        while size:
            out += bytes([first | 0x80])
            first = size & 0x7F
            size >>= 7
        out += bytes([first]) + zlib.compress(data)
    return out + hashlib.sha1(out).digest()


ZERO = "0" * 40


def push_body(name, new, data, old=ZERO):
    return line(f"{old} {new} {name}\0 report-status") + b"0000" + data


TREE = b"100644 ../../x\0" + b"\1" * 20
DOTGIT = b"40000 .git\0" + hashlib.sha1(b"tree 0\0").digest()


@pytest.mark.parametrize("data", [
    b"", b"PACK", b"PACK" + b"\0" * 8, b"x" * 1000, pack()[:-1] + b"!", pack((3, 10, b"0123456789"), count=9),
    pack((3, 1 << 40, b"small")), pack((7, 5, b"x" * 30)), pack((0, 5, b"hello")), pack((2, len(TREE), TREE)),
    pack((2, len(DOTGIT), DOTGIT)), pack((1, 4, b"tree")),
])
def test_malformed_packs(server, codecommit, repository, data):
    kind = hashlib.sha1(b"blob 10\0" + b"0123456789").hexdigest()
    answer = post(server, repository, "receive-pack", push_body("refs/heads/main", kind, data))
    assert answer.status in (200, 400, 500, 503), answer
    assert b"\nok refs" not in answer.body and b"ok refs/heads/main" not in answer.body
    assert codecommit.list_branches(repositoryName=repository)["branches"] == []
    assert not leftovers(server)


def leftovers(server):
    """Locks and unfinished packs, of repositories in which nothing runs."""
    return [str(path) for path in (server.data_dir / "git").rglob("*.lock")]


@pytest.mark.parametrize("name", [
    "refs/heads/../../config", "../config", "HEAD", "refs/heads/a..b", "refs/martlet/x", "refs/heads/main^{tree}",
    "config", "refs/heads/x.lock",
])
def test_malformed_references(server, codecommit, repository, work, name):
    commit = work.commit({"a": "1"})
    work.run("push", "-q", "origin", "main")
    answer = post(server, repository, "receive-pack", push_body(name, commit, pack()))
    assert b"ok " + name.encode() not in answer.body, answer
    assert codecommit.list_branches(repositoryName=repository)["branches"] == ["main"]
    assert work.text("ls-remote", "origin", "refs/*").split() == [commit, "refs/heads/main"]


def test_push_certificates_are_refused(server, codecommit, repository, work):
    """git takes one unasked, and carries out what stands in its text: past the events and the rights of branches."""
    commit = work.commit({"a": "1"})
    work.run("push", "-q", "origin", "main")
    certificate = (
        line("push-cert\0 report-status")
        + line(f"certificate version 0.1\npusher a\n\n{ZERO} {commit} refs/heads/b\n{ZERO} {commit} refs/heads/c\n")
        + line("-----BEGIN PGP SIGNATURE-----\n-----END PGP SIGNATURE-----\n") + line("push-cert-end\n"))
    answer = post(server, repository, "receive-pack", certificate + b"0000" + pack())
    assert (answer.status, b"ok refs" in answer.body) == (400, False), answer
    assert codecommit.list_branches(repositoryName=repository)["branches"] == ["main"]
    assert work.text("ls-remote", "origin", "refs/*").split() == [commit, "refs/heads/main"]


def test_bodies_that_are_none(server, repository, work):
    work.commit({"a": "1"})
    work.run("push", "-q", "origin", "main")
    for body in [b"", b"zzzz", b"0000", b"0001", b"0009hello", b"0032want " + b"f" * 40 + b"\n0000"]:
        for service in ("upload-pack", "receive-pack"):
            assert post(server, repository, service, body).status in (200, 400, 500, 503)
    bomb = gzip.compress(b"0" * (64 << 20))
    assert post(server, repository, "upload-pack", bomb, "Content-Encoding: gzip").status == 413
    assert post(server, repository, "upload-pack", b"nonsense", "Content-Encoding: gzip").status == 400
    assert post(server, repository, "receive-pack", bomb, "Content-Encoding: gzip").status == 415
    assert post(server, repository, "upload-pack", b"x", "Content-Encoding: br").status == 415
    # A form of a web page is not of git's type.
    answer = raw.exchange(server, (
        f"POST /v1/repos/{repository}/git-receive-pack HTTP/1.1\r\nHost: git-codecommit.us-east-1.localhost\r\n"
        "Content-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\n0000").encode())
    assert answer.status == 415


def test_a_client_that_leaves_in_the_middle(server, codecommit, repository, work):
    commit = work.commit({"a.bin": os.urandom(1 << 20)})
    data = work.run("pack-objects", "--stdout", "--revs", stdin=b"main\n").stdout
    body = push_body("refs/heads/main", commit, data)
    head = (
        f"POST /v1/repos/{repository}/git-receive-pack HTTP/1.1\r\nHost: git-codecommit.us-east-1.localhost\r\n"
        f"Content-Type: application/x-git-receive-pack-request\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    with raw.socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + body[: len(body) // 2])
    assert codecommit.list_branches(repositoryName=repository)["branches"] == []
    work.run("push", "-q", "origin", "main")
    assert tip(codecommit, repository) == commit


# Who may


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    directory = tmp_path_factory.mktemp("git-auth")
    certificate, key = certificate_for("git-codecommit.us-east-1.localhost", directory)
    server = Server(
        directory / "data", ["--auth", "sigv4", "--tls-certificate", str(certificate), "--tls-key", str(key)])
    server.start()
    yield server
    server.kill9()


@pytest.fixture(scope="module")
def keys(strict):
    parser = configparser.ConfigParser()
    parser.read(strict.data_dir / "credentials")
    return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]


@pytest.fixture
def signed(strict, keys):
    return lambda service: boto3.session.Session().client(
        service, endpoint_url=strict.url, region_name=REGION, aws_access_key_id=keys[0], aws_secret_access_key=keys[1])


@pytest.fixture
def guarded(signed, unique):
    name = unique("guarded")
    signed("codecommit").create_repository(repositoryName=name)
    return name


def with_password(url, user, password):
    return url.replace("http://", f"http://{quote(user, safe='')}:{quote(password, safe='')}@")


def test_without_credentials(strict, guarded, tmp_path):
    url = git_url(strict, guarded)
    work = Git(tmp_path / "work", url).init()
    work.commit({"a": "1"})
    assert "could not read Username" in work.fails("push", "origin", "main")
    work.run("remote", "set-url", "origin", with_password(url, "jane-at-000000000000", "wrong"))
    assert "403" in work.fails("push", "origin", "main")


def test_service_specific_credentials(strict, signed, guarded, unique, tmp_path):
    iam, user = signed("iam"), unique("jane")
    made = iam.create_service_specific_credential(
        UserName=user, ServiceName="codecommit.amazonaws.com")["ServiceSpecificCredential"]
    assert made["ServiceUserName"] == f"{user}-at-000000000000" and made["Status"] == "Active"
    identifier = made["ServiceSpecificCredentialId"]
    listed = iam.list_service_specific_credentials(UserName=user)["ServiceSpecificCredentials"]
    assert [one["ServiceSpecificCredentialId"] for one in listed] == [identifier]
    assert "ServicePassword" not in listed[0]

    url = git_url(strict, guarded)
    work = Git(tmp_path / "work", with_password(url, made["ServiceUserName"], made["ServicePassword"])).init()
    commit = work.commit({"a": "1"})
    work.run("push", "-q", "origin", "main")
    assert signed("codecommit").get_branch(
        repositoryName=guarded, branchName="main")["branch"]["commitId"] == commit

    iam.update_service_specific_credential(ServiceSpecificCredentialId=identifier, UserName=user, Status="Inactive")
    assert "403" in work.fails("fetch", "origin")
    iam.update_service_specific_credential(ServiceSpecificCredentialId=identifier, UserName=user, Status="Active")
    reset = iam.reset_service_specific_credential(
        ServiceSpecificCredentialId=identifier)["ServiceSpecificCredential"]
    assert "403" in work.fails("fetch", "origin")
    work.run("remote", "set-url", "origin", with_password(url, reset["ServiceUserName"], reset["ServicePassword"]))
    work.run("fetch", "-q", "origin")
    second = iam.create_service_specific_credential(
        UserName=user, ServiceName="codecommit.amazonaws.com")["ServiceSpecificCredential"]
    assert second["ServiceUserName"] != made["ServiceUserName"]
    with aws_error("LimitExceeded", status=409):
        iam.create_service_specific_credential(UserName=user, ServiceName="codecommit.amazonaws.com")
    iam.delete_service_specific_credential(ServiceSpecificCredentialId=identifier)
    assert "403" in work.fails("fetch", "origin")
    with aws_error("NoSuchEntity", status=404):
        iam.delete_service_specific_credential(ServiceSpecificCredentialId=identifier)


def test_credential_helper_of_the_cli(strict, keys, guarded, tmp_path):
    settings = [HELPER, "credential.UseHttpPath=true"]
    work = Git(tmp_path / "work", git_url(strict, guarded), settings, environment_of(*keys)).init()
    commit = work.commit({"a": "1"})
    work.run("push", "-q", "origin", "main")
    url = git_url(strict, guarded, by_path=True)
    assert work.text("ls-remote", url, "refs/heads/main").split()[0] == commit
    wrong = Git(tmp_path / "wrong", url, settings, environment_of(keys[0], "not" + keys[1])).init()
    assert "403" in wrong.fails("fetch", "origin")


def test_sessions_of_roles(strict, signed, guarded, unique, tmp_path):
    role = signed("iam").create_role(RoleName=unique("reader"), AssumeRolePolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}]}))["Role"]
    signed("iam").put_role_policy(RoleName=role["RoleName"], PolicyName="pull", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "codecommit:GitPull",
             "Resource": f"arn:aws:codecommit:us-east-1:000000000000:{guarded}"}]}))
    session = signed("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]
    environment = environment_of(session["AccessKeyId"], session["SecretAccessKey"])
    environment["AWS_SESSION_TOKEN"] = session["SessionToken"]
    settings = [HELPER, "credential.UseHttpPath=true"]
    work = Git(tmp_path / "work", git_url(strict, guarded), settings, environment).init()
    work.commit({"a": "1"})
    work.run("fetch", "-q", "origin")
    assert "403" in work.fails("push", "origin", "main")


def test_branches_are_protected(strict, signed, guarded, unique, tmp_path):
    """CodeCommit guide, "Limit pushes and merges to branches": its policy, by git and by the API."""
    codecommit, arn = signed("codecommit"), f"arn:aws:codecommit:us-east-1:000000000000:{guarded}"
    first = codecommit.create_commit(
        repositoryName=guarded, branchName="main", putFiles=[{"filePath": "a", "fileContent": b"1"}])["commitId"]
    role = signed("iam").create_role(RoleName=unique("developer"), AssumeRolePolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}]}))["Role"]
    signed("iam").put_role_policy(RoleName=role["RoleName"], PolicyName="protect", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "codecommit:*", "Resource": arn},
            {"Effect": "Deny", "Action": [
                "codecommit:GitPush", "codecommit:CreateBranch", "codecommit:DeleteBranch", "codecommit:PutFile",
                "codecommit:DeleteFile", "codecommit:CreateCommit", "codecommit:MergeBranchesByFastForward"],
             "Resource": arn, "Condition": {
                 "StringEqualsIfExists": {"codecommit:References": ["refs/heads/main", "refs/heads/prod"]},
                 "Null": {"codecommit:References": "false"}}}]}))
    session = signed("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]
    environment = environment_of(session["AccessKeyId"], session["SecretAccessKey"])
    environment["AWS_SESSION_TOKEN"] = session["SessionToken"]
    work = Git(
        tmp_path / "work", git_url(strict, guarded), [HELPER, "credential.UseHttpPath=true"], environment).clone()
    second = work.commit({"b": "2"})
    assert "403" in work.fails("push", "origin", "HEAD:main")
    assert "403" in work.fails("push", "origin", "HEAD:free", "HEAD:main")
    assert "403" in work.fails("push", "origin", "HEAD:prod")
    work.run("push", "-q", "origin", "HEAD:free")
    assert (tip(codecommit, guarded), tip(codecommit, guarded, "free")) == (first, second)

    developer = boto3.session.Session().client(
        "codecommit", endpoint_url=strict.url, region_name=REGION, aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"], aws_session_token=session["SessionToken"])

    def calls(branch):
        here = {"repositoryName": guarded, "branchName": branch}

        def parent():
            return {"parentCommitId": tip(codecommit, guarded, branch)}

        return [
            lambda: developer.create_branch(commitId=first, **here),
            lambda: developer.put_file(filePath="b", fileContent=b"3", **here, **parent()),
            lambda: developer.create_commit(putFiles=[{"filePath": "c", "fileContent": b"3"}], **here, **parent()),
            lambda: developer.delete_file(filePath="a", **here, **parent()),
            lambda: developer.merge_branches_by_fast_forward(
                repositoryName=guarded, sourceCommitSpecifier=branch, destinationCommitSpecifier=branch),
            lambda: developer.delete_branch(**here),
        ]

    for call in calls("main"):
        with aws_error("AccessDeniedException", status=400):
            call()
    for call in calls("feature"):
        call()
    assert tip(codecommit, guarded) == first


def test_git_remote_codecommit(strict, keys, signed, guarded, tmp_path):
    environment = {
        **environment_of(*keys), "CODE_COMMIT_ENDPOINT": f"git-codecommit.us-east-1.localhost:{strict.port}",
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        # The helper always says https, and starts git anew.
        "GIT_SSL_NO_VERIFY": "1",
    }
    work = Git(tmp_path / "work", f"codecommit::us-east-1://{guarded}", environment=environment).init()
    commit = work.commit({"a": "1"})
    work.run("push", "-q", "origin", "main")
    assert tip(signed("codecommit"), guarded) == commit
    copy = Git(tmp_path / "copy", f"codecommit::us-east-1://{guarded}", environment=environment).clone()
    assert copy.head == commit
