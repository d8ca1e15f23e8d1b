"""CodeCommit's API: repositories, branches, commits, files, differences, triggers and their errors."""

import pytest

from .expect import assert_not_implemented, aws_error


@pytest.fixture
def codecommit(client):
    return client("codecommit")


@pytest.fixture
def repository(codecommit, unique):
    """The name of an empty repository."""
    name = unique("repo")
    codecommit.create_repository(repositoryName=name)
    yield name
    codecommit.delete_repository(repositoryName=name)


@pytest.fixture
def filled(codecommit, repository):
    """A repository with one commit on main: its name and the commit's id."""
    made = codecommit.create_commit(
        repositoryName=repository, branchName="main", authorName="Jane", email="jane@example.com",
        commitMessage="first\n",
        putFiles=[
            {"filePath": "a.txt", "fileContent": b"alpha\n"},
            {"filePath": "dir/b.sh", "fileContent": b"#!/bin/sh\n", "fileMode": "EXECUTABLE"},
            {"filePath": 'dir/odd "name" \u00e4.txt', "fileContent": b""},
            {"filePath": "link", "fileContent": b"a.txt", "fileMode": "SYMLINK"},
        ],
    )
    return repository, made["commitId"]


# Repositories


def test_life_of_a_repository(codecommit, unique, server):
    name = unique("repo")
    made = codecommit.create_repository(
        repositoryName=name, repositoryDescription="of tests", tags={"team": "red"}
    )["repositoryMetadata"]
    arn = f"arn:aws:codecommit:us-east-1:000000000000:{name}"
    assert made["Arn"] == arn and made["accountId"] == "000000000000"
    assert made["cloneUrlHttp"] == f"http://git-codecommit.us-east-1.localhost:{server.port}/v1/repos/{name}"
    assert made["repositoryDescription"] == "of tests" and "defaultBranch" not in made
    assert codecommit.get_repository(repositoryName=name)["repositoryMetadata"] == made

    with aws_error("RepositoryNameExistsException", f"Repository named {name} already exists"):
        codecommit.create_repository(repositoryName=name)

    other = unique("renamed")
    codecommit.update_repository_name(oldName=name, newName=other)
    codecommit.update_repository_description(repositoryName=other, repositoryDescription="new")
    data = codecommit.get_repository(repositoryName=other)["repositoryMetadata"]
    assert (data["repositoryId"], data["repositoryDescription"]) == (made["repositoryId"], "new")
    with aws_error("RepositoryDoesNotExistException", f"{name} does not exist"):
        codecommit.get_repository(repositoryName=name)

    batch = codecommit.batch_get_repositories(repositoryNames=[other, name])
    assert [one["repositoryName"] for one in batch["repositories"]] == [other]
    assert batch["repositoriesNotFound"] == [name]

    arn = data["Arn"]
    codecommit.tag_resource(resourceArn=arn, tags={"stage": "x"})
    codecommit.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert codecommit.list_tags_for_resource(resourceArn=arn)["tags"] == {"stage": "x"}

    assert codecommit.delete_repository(repositoryName=other)["repositoryId"] == made["repositoryId"]
    assert "repositoryId" not in codecommit.delete_repository(repositoryName=other)


@pytest.mark.parametrize("name", ["a/b", "..%2f..", "x.git", "a b", "é", "-" * 101, "a/../../b"])
def test_names_that_are_none(codecommit, name):
    with aws_error("InvalidRepositoryNameException"):
        codecommit.create_repository(repositoryName=name)


def test_repositories_are_listed(codecommit, unique):
    names = sorted(unique("listed") for _ in range(3))
    for name in reversed(names):
        codecommit.create_repository(repositoryName=name)

    def listed(**order):
        found = codecommit.list_repositories(**order)["repositories"]
        return [one["repositoryName"] for one in found if one["repositoryName"] in names]

    assert listed() == names
    assert listed(order="descending") == names[::-1]
    assert listed(sortBy="lastModifiedDate") == names[::-1]
    assert listed(sortBy="lastModifiedDate", order="descending") == names
    with aws_error("InvalidSortByException"):
        codecommit.list_repositories(sortBy="size")
    with aws_error("InvalidContinuationTokenException"):
        codecommit.list_repositories(nextToken="???")


def test_accounts_do_not_share_repositories(client, repository):
    with aws_error("RepositoryDoesNotExistException"):
        client("codecommit", account="111122223333").get_repository(repositoryName=repository)


def test_what_is_missing_says_so(codecommit, repository):
    assert_not_implemented(
        lambda: codecommit.create_pull_request(
            title="t", targets=[{"repositoryName": repository, "sourceReference": "a"}]), "CreatePullRequest")


# Commits and files


def test_files_of_a_commit(codecommit, filled):
    name, first = filled
    commit = codecommit.get_commit(repositoryName=name, commitId=first)["commit"]
    assert commit["message"] == "first\n" and commit["parents"] == []
    assert commit["author"]["name"] == "Jane" and commit["author"]["email"] == "jane@example.com"
    assert commit["author"]["date"].endswith(" +0000")
    metadata = codecommit.get_repository(repositoryName=name)["repositoryMetadata"]
    assert metadata["defaultBranch"] == "main"

    file = codecommit.get_file(repositoryName=name, filePath="/dir/b.sh")
    assert (file["fileContent"], file["fileMode"], file["fileSize"]) == (b"#!/bin/sh\n", "EXECUTABLE", 10)
    assert file["commitId"] == first and file["filePath"] == "dir/b.sh"
    assert codecommit.get_blob(repositoryName=name, blobId=file["blobId"])["content"] == b"#!/bin/sh\n"
    assert codecommit.get_file(repositoryName=name, filePath="link", commitSpecifier="main")["fileMode"] == "SYMLINK"

    root = codecommit.get_folder(repositoryName=name, folderPath="/")
    assert root["treeId"] == commit["treeId"]
    assert [one["relativePath"] for one in root["files"]] == ["a.txt"]
    assert [one["absolutePath"] for one in root["subFolders"]] == ["dir"]
    assert [one["relativePath"] for one in root["symbolicLinks"]] == ["link"]
    folder = codecommit.get_folder(repositoryName=name, folderPath="dir", commitSpecifier="refs/heads/main")
    assert [one["absolutePath"] for one in folder["files"]] == ["dir/b.sh", 'dir/odd "name" \u00e4.txt']

    with aws_error("FileDoesNotExistException"):
        codecommit.get_file(repositoryName=name, filePath="none")
    with aws_error("FolderDoesNotExistException"):
        codecommit.get_folder(repositoryName=name, folderPath="a.txt")
    with aws_error("InvalidPathException"):
        codecommit.get_file(repositoryName=name, filePath="../a.txt")
    for specifier in ["--help", "main^{tree}", "main~1", "HEAD:a.txt", "f" * 40]:
        with aws_error("CommitDoesNotExistException"):
            codecommit.get_file(repositoryName=name, filePath="a.txt", commitSpecifier=specifier)
    with aws_error("CommitIdDoesNotExistException"):
        codecommit.get_commit(repositoryName=name, commitId="f" * 40)
    with aws_error("InvalidCommitIdException"):
        codecommit.get_commit(repositoryName=name, commitId="main")
    batch = codecommit.batch_get_commits(repositoryName=name, commitIds=[first, "f" * 40])
    assert [one["commitId"] for one in batch["commits"]] == [first]
    assert [one["errorCode"] for one in batch["errors"]] == ["CommitIdDoesNotExistException"]


def test_commits_follow_their_parent(codecommit, filled):
    name, first = filled
    second = codecommit.create_commit(
        repositoryName=name, branchName="main", parentCommitId=first,
        putFiles=[{"filePath": "a.txt", "fileContent": b"beta\n"}, {"filePath": "new", "fileContent": b"n"},
                  {"filePath": "copy.sh", "sourceFile": {"filePath": "dir/b.sh", "isMove": True}}],
        deleteFiles=[{"filePath": "link"}],
    )
    assert [one["absolutePath"] for one in second["filesAdded"]] == ["new", "copy.sh"]
    assert [one["absolutePath"] for one in second["filesUpdated"]] == ["a.txt"]
    assert sorted(one["absolutePath"] for one in second["filesDeleted"]) == ["dir/b.sh", "link"]
    added = second["filesAdded"][0]
    assert codecommit.get_blob(repositoryName=name, blobId=added["blobId"])["content"] == b"n"
    assert codecommit.get_branch(repositoryName=name, branchName="main")["branch"]["commitId"] == second["commitId"]

    differences = codecommit.get_differences(
        repositoryName=name, beforeCommitSpecifier=first, afterCommitSpecifier="main")["differences"]
    kinds = {(one.get("afterBlob") or one["beforeBlob"])["path"]: one["changeType"] for one in differences}
    assert kinds == {"a.txt": "M", "new": "A", "copy.sh": "A", "link": "D", "dir/b.sh": "D"}
    pages = codecommit.get_paginator("get_differences").paginate(
        repositoryName=name, beforeCommitSpecifier=first, afterCommitSpecifier="main",
        PaginationConfig={"PageSize": 2})
    sizes = [len(page["differences"]) for page in pages]
    assert sizes == [2, 2, 1]
    whole = codecommit.get_differences(repositoryName=name, afterCommitSpecifier=first)["differences"]
    assert {one["changeType"] for one in whole} == {"A"} and len(whole) == 4
    below = codecommit.get_differences(repositoryName=name, afterCommitSpecifier=first, afterPath="dir")["differences"]
    assert len(below) == 2

    history = codecommit.list_file_commit_history(repositoryName=name, filePath="a.txt")["revisionDag"]
    assert [one["commit"]["commitId"] for one in history] == [second["commitId"], first]
    assert history[1]["revisionChildren"] == [second["commitId"]]

    with aws_error("ParentCommitIdOutdatedException"):
        codecommit.put_file(
            repositoryName=name, branchName="main", fileContent=b"x", filePath="x", parentCommitId=first)
    with aws_error("ParentCommitIdRequiredException"):
        codecommit.put_file(repositoryName=name, branchName="main", fileContent=b"x", filePath="x")
    with aws_error("ParentCommitDoesNotExistException"):
        codecommit.put_file(
            repositoryName=name, branchName="main", fileContent=b"x", filePath="x", parentCommitId="f" * 40)
    with aws_error("InvalidParentCommitIdException"):
        codecommit.put_file(
            repositoryName=name, branchName="main", fileContent=b"x", filePath="x", parentCommitId="main")
    with aws_error("BranchDoesNotExistException"):
        codecommit.put_file(
            repositoryName=name, branchName="none", fileContent=b"x", filePath="x", parentCommitId=first)


def test_single_files(codecommit, filled):
    name, parent = filled

    def put(path, content, **more):
        nonlocal parent
        made = codecommit.put_file(
            repositoryName=name, branchName="main", filePath=path, fileContent=content, parentCommitId=parent, **more)
        parent = made["commitId"]
        return made

    put("deep/down/here.txt", b"1", name="Joe", email="joe@example.com", commitMessage="put it")
    commit = codecommit.get_commit(repositoryName=name, commitId=parent)["commit"]
    assert (commit["message"], commit["committer"]["name"]) == ("put it", "Joe")
    with aws_error("SameFileContentException"):
        put("deep/down/here.txt", b"1")
    with aws_error("FileNameConflictsWithDirectoryNameException"):
        put("deep/down", b"1")
    with aws_error("DirectoryNameConflictsWithFileNameException"):
        put("a.txt/below", b"1")
    for path in ["a/../b", "./x", ".git/config", "x/.GIT/hooks/y", "a//b"]:
        with aws_error("InvalidPathException"):
            put(path, b"1")
    with aws_error("FileContentSizeLimitExceededException"):
        put("large", b"x" * (6 * 1024 * 1024 + 1))
    put("large", b"x" * (6 * 1024 * 1024))
    assert codecommit.get_file(repositoryName=name, filePath="large")["fileSize"] == 6 * 1024 * 1024

    gone = codecommit.delete_file(
        repositoryName=name, branchName="main", filePath="deep/down/here.txt", parentCommitId=parent,
        keepEmptyFolders=True)
    assert gone["filePath"] == "deep/down/here.txt"
    folder = codecommit.get_folder(repositoryName=name, folderPath="deep/down")
    assert [one["relativePath"] for one in folder["files"]] == [".gitkeep"]
    with aws_error("FileDoesNotExistException"):
        codecommit.delete_file(
            repositoryName=name, branchName="main", filePath="deep/down/here.txt", parentCommitId=gone["commitId"])


def test_requests_that_make_no_commit(codecommit, filled):
    name, first = filled

    def commit(**changes):
        codecommit.create_commit(repositoryName=name, branchName="main", parentCommitId=first, **changes)

    with aws_error("FileEntryRequiredException"):
        commit()
    with aws_error("NoChangeException"):
        commit(setFileModes=[{"filePath": "dir/b.sh", "fileMode": "EXECUTABLE"}])
    with aws_error("SamePathRequestException"):
        commit(putFiles=[{"filePath": "x", "fileContent": b"1"}], deleteFiles=[{"filePath": "x"}])
    with aws_error("PutFileEntryConflictException"):
        commit(putFiles=[{"filePath": "x", "fileContent": b"1"}, {"filePath": "x/y", "fileContent": b"1"}])
    with aws_error("SourceFileOrContentRequiredException"):
        commit(putFiles=[{"filePath": "x"}])
    with aws_error("FileDoesNotExistException"):
        commit(deleteFiles=[{"filePath": "none"}])
    with aws_error("MaximumFileEntriesExceededException"):
        commit(putFiles=[{"filePath": f"x{n}", "fileContent": b"1"} for n in range(101)])
    with aws_error("InvalidEmailException"):
        commit(putFiles=[{"filePath": "x", "fileContent": b"1"}], email="a>b")
    with aws_error("InvalidFileModeException"):
        commit(putFiles=[{"filePath": "x", "fileContent": b"1", "fileMode": "0777"}])
    assert codecommit.get_branch(repositoryName=name, branchName="main")["branch"]["commitId"] == first


# Branches


def test_branches(codecommit, filled):
    name, first = filled
    codecommit.create_branch(repositoryName=name, branchName="feature/one", commitId=first)
    with aws_error("BranchNameExistsException"):
        codecommit.create_branch(repositoryName=name, branchName="feature/one", commitId=first)
    with aws_error("InvalidBranchNameException"):
        codecommit.create_branch(repositoryName=name, branchName="feature", commitId=first)
    for bad in ["a..b", "a b", "-x", "a.lock", "a/.b", "@{x}", "a\nb", "x" * 257]:
        with aws_error("InvalidBranchNameException"):
            codecommit.create_branch(repositoryName=name, branchName=bad, commitId=first)
    with aws_error("CommitDoesNotExistException"):
        codecommit.create_branch(repositoryName=name, branchName="other", commitId="f" * 40)
    assert codecommit.list_branches(repositoryName=name)["branches"] == ["feature/one", "main"]

    made = codecommit.put_file(
        repositoryName=name, branchName="feature/one", filePath="x", fileContent=b"1", parentCommitId=first)
    merged = codecommit.merge_branches_by_fast_forward(
        repositoryName=name, sourceCommitSpecifier="feature/one", destinationCommitSpecifier="main", targetBranch="main")
    assert merged["commitId"] == made["commitId"]
    assert codecommit.get_branch(repositoryName=name, branchName="main")["branch"]["commitId"] == made["commitId"]
    codecommit.create_branch(repositoryName=name, branchName="apart", commitId=first)
    codecommit.put_file(
        repositoryName=name, branchName="apart", filePath="y", fileContent=b"1", parentCommitId=first)
    with aws_error("ManualMergeRequiredException"):
        codecommit.merge_branches_by_fast_forward(
            repositoryName=name, sourceCommitSpecifier="apart", destinationCommitSpecifier="main", targetBranch="main")

    with aws_error("DefaultBranchCannotBeDeletedException"):
        codecommit.delete_branch(repositoryName=name, branchName="main")
    codecommit.update_default_branch(repositoryName=name, defaultBranchName="apart")
    with aws_error("BranchDoesNotExistException"):
        codecommit.update_default_branch(repositoryName=name, defaultBranchName="none")
    gone = codecommit.delete_branch(repositoryName=name, branchName="main")
    assert gone["deletedBranch"] == {"branchName": "main", "commitId": made["commitId"]}
    assert "deletedBranch" not in codecommit.delete_branch(repositoryName=name, branchName="main")
    with aws_error("BranchDoesNotExistException"):
        codecommit.get_branch(repositoryName=name, branchName="main")


# Triggers


def test_triggers_are_kept_and_checked(codecommit, repository, client, unique):
    topic = client("sns").create_topic(Name=unique("topic"))["TopicArn"]
    trigger = {"name": "tell", "destinationArn": topic, "customData": "x", "branches": ["main"], "events": ["all"]}
    made = codecommit.put_repository_triggers(repositoryName=repository, triggers=[trigger])
    got = codecommit.get_repository_triggers(repositoryName=repository)
    assert (got["configurationId"], got["triggers"]) == (made["configurationId"], [trigger])

    def refuse(code, **change):
        with aws_error(code):
            codecommit.put_repository_triggers(repositoryName=repository, triggers=[{**trigger, **change}])

    refuse("InvalidRepositoryTriggerNameException", name="a b")
    refuse("InvalidRepositoryTriggerDestinationArnException", destinationArn="arn:aws:sqs:us-east-1:000000000000:q")
    refuse("InvalidRepositoryTriggerRegionException", destinationArn=topic.replace("us-east-1", "eu-west-1"))
    refuse("InvalidRepositoryTriggerEventsException", events=["push"])
    refuse("InvalidRepositoryTriggerBranchNameException", branches=["a..b"])
    refuse("MaximumBranchesExceededException", branches=[f"b{n}" for n in range(11)])
    with aws_error("MaximumRepositoryTriggersExceededException"):
        codecommit.put_repository_triggers(
            repositoryName=repository, triggers=[{**trigger, "name": f"t{n}"} for n in range(11)])

    lost = {**trigger, "name": "lost", "destinationArn": "arn:aws:lambda:us-east-1:000000000000:function:none"}
    tested = codecommit.test_repository_triggers(repositoryName=repository, triggers=[trigger, lost])
    assert tested["successfulExecutions"] == ["tell"]
    assert [one["trigger"] for one in tested["failedExecutions"]] == ["lost"]
