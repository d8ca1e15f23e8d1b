import Contracts
import Platform
import Storage
import Wire

/// What a client calls a commit: its id, a branch, a tag, a full name of a reference, or HEAD.
enum CommitSpecifier {
    /// The object's id; nil when there is no such reference. An id is taken as it is.
    static func resolve(
        _ text: String?, _ repository: Repository, in transaction: any ReadTransaction
    ) throws -> String? {
        guard let text, text != "HEAD" else {
            guard let branch = repository.defaultBranch else { return nil }
            return try ReferenceTable.target(repository.id, ReferenceName.heads + branch, in: transaction)
        }
        if ObjectID.isValid(text) { return text }
        let names =
            text.hasPrefix("refs/") ? [text] : [ReferenceName.heads + text, ReferenceName.tags + text]
        for name in names {
            if let target = try ReferenceTable.target(repository.id, name, in: transaction) { return target }
        }
        return nil
    }
}

struct BranchOperations: Sendable {
    let journal: ReferenceJournal
    let access: Access

    private var database: any Database { journal.database }

    /// Throws BranchNameRequiredException, InvalidBranchNameException.
    static func checked(_ name: String?) throws(AWSError) -> String {
        guard let name, !name.isEmpty else {
            throw .code("BranchNameRequiredException", "A branch name is required, but was not specified.")
        }
        guard ReferenceName.isBranch(name) else { throw .badBranchName }
        return name
    }

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateBranchInput(request.input)
        let branch = try Self.checked(input.branchName)
        let repository = try await access.repository(
            input.repositoryName, "CreateBranch", request, database, branch: branch)
        guard let commit = input.commitId, !commit.isEmpty else {
            throw AWSError.code("CommitIdRequiredException", "A commit ID was not specified.")
        }
        guard ObjectID.isValid(commit) else {
            throw AWSError.code("InvalidCommitIdException", "The specified commit ID is not valid.")
        }
        let name = ReferenceName.heads + branch
        try await journal.move(repository, caller: request.context.principal.arn) { moved in
            let info = try await journal.reading(repository) { try await $0.info(commit) }
            guard info?.type == "commit" else { throw AWSError.noCommit(commit) }
            moved.names = [name]
            let output = try await journal.updateReferences("create \(name) \(commit)\n", in: repository, &moved)
            guard output.status != 0 else { return }
            let isThere = try await database.read { try ReferenceTable.target(repository.id, name, in: $0) != nil }
            throw isThere || output.errors.contains("already exists")
                ? AWSError.code("BranchNameExistsException", "The branch \(branch) already exists.")
                : AWSError.badBranchName
        }
        return OperationResponse()
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetBranchInput(request.input)
        let branch = try Self.checked(input.branchName)
        let repository = try await access.repository(input.repositoryName, "GetBranch", request, database)
        let target = try await database.read {
            try ReferenceTable.target(repository.id, ReferenceName.heads + branch, in: $0)
        }
        guard let target else { throw AWSError.noBranch(branch) }
        var output = Model.GetBranchOutput()
        output.branch = Self.shape(branch, target)
        return OperationResponse(output.value)
    }

    private static func shape(_ branch: String, _ target: String) -> Model.BranchInfo {
        var info = Model.BranchInfo()
        info.branchName = branch
        info.commitId = target
        return info
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListBranchesInput(request.input)
        let repository = try await access.repository(input.repositoryName, "ListBranches", request, database)
        let after = try input.nextToken.map { token throws(AWSError) in
            guard let name = PageToken.decodeText(token) else { throw .badToken }
            return name
        }
        let names = try await database.read {
            try ReferenceTable.branches(repository.id, after: after ?? "", limit: Limits.page + 1, in: $0)
        }
        var output = Model.ListBranchesOutput()
        output.branches = Array(names.prefix(Limits.page))
        if names.count > Limits.page { output.nextToken = PageToken.encode(names[Limits.page - 1]) }
        return OperationResponse(output.value)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteBranchInput(request.input)
        let branch = try Self.checked(input.branchName)
        let repository = try await access.repository(
            input.repositoryName, "DeleteBranch", request, database, branch: branch)
        guard repository.defaultBranch != branch else {
            throw AWSError.code(
                "DefaultBranchCannotBeDeletedException",
                "The specified branch is the default branch for the repository, and cannot be deleted. To delete this "
                    + "branch, you must first set another branch as the default branch.")
        }
        let name = ReferenceName.heads + branch
        let deleted = try await journal.move(repository, caller: request.context.principal.arn) { moved in
            let target = try await database.read { try ReferenceTable.target(repository.id, name, in: $0) }
            guard let target else { return nil as String? }
            moved.names = [name]
            let output = try await journal.updateReferences("delete \(name)\n", in: repository, &moved)
            guard output.status == 0 else { throw journal.failed(output, repository) }
            return target
        }
        var output = Model.DeleteBranchOutput()
        output.deletedBranch = deleted.map { Self.shape(branch, $0) }
        return OperationResponse(output.value)
    }

    func updateDefault(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateDefaultBranchInput(request.input)
        let branch = try Self.checked(input.defaultBranchName)
        let repository = try await access.repository(input.repositoryName, "UpdateDefaultBranch", request, database)
        try await journal.setDefault(
            branch, of: repository, caller: request.context.principal.arn, now: request.context.now)
        return OperationResponse()
    }

    // MARK: Merge

    func mergeByFastForward(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.MergeBranchesByFastForwardInput(request.input)
        let wanted = input.targetBranch ?? input.destinationCommitSpecifier
        let repository = try await access.repository(
            input.repositoryName, "MergeBranchesByFastForward", request, database, branch: wanted)
        let target = try Self.checked(wanted)
        let name = ReferenceName.heads + target
        let (source, destination, current) = try await database.read { transaction in
            (
                try CommitSpecifier.resolve(input.sourceCommitSpecifier, repository, in: transaction),
                try CommitSpecifier.resolve(input.destinationCommitSpecifier, repository, in: transaction),
                try ReferenceTable.target(repository.id, name, in: transaction)
            )
        }
        guard let source else { throw AWSError.noCommit(input.sourceCommitSpecifier ?? "") }
        guard let destination else { throw AWSError.noCommit(input.destinationCommitSpecifier ?? "") }
        guard current == destination else {
            throw current == nil
                ? AWSError.noBranch(target)
                : AWSError.code(
                    "InvalidTargetBranchException",
                    "The specified target branch is not valid: its tip is not the destination commit.")
        }
        let tree = try await journal.reading(repository) { reader in
            guard try await reader.commit(destination) != nil else { throw AWSError.noCommit(destination) }
            guard let commit = try await reader.commit(source) else { throw AWSError.noCommit(source) }
            return (id: commit.id, tree: commit.tree)
        }
        try await journal.move(repository, caller: request.context.principal.arn) { moved in
            let ancestry = try await journal.git.run(
                ["merge-base", "--is-ancestor", destination, tree.id],
                in: journal.repositories.path(repository.id), .read)
            guard ancestry.status == 0 else {
                throw AWSError.code(
                    "ManualMergeRequiredException",
                    "The branch cannot be merged automatically into the destination branch. You must manually merge the "
                        + "branches and resolve any conflicts.")
            }
            moved.names = [name]
            moved.mergeOption = "FAST_FORWARD_MERGE"
            let output = try await journal.updateReferences(
                "update \(name) \(tree.id) \(destination)\n", in: repository, &moved)
            guard output.status == 0 else {
                throw AWSError.code(
                    "ConcurrentReferenceUpdateException",
                    "The merge cannot be completed because the target branch has been modified. Another user might have "
                        + "modified the target branch while the merge was in progress.")
            }
        }
        var output = Model.MergeBranchesByFastForwardOutput()
        output.commitId = tree.id
        output.treeId = tree.tree
        return OperationResponse(output.value)
    }
}

extension ReferenceJournal {
    /// Runs `body` with a reader of the repository's objects.
    func reading<T>(_ repository: Repository, _ body: (ObjectReader) async throws -> T) async throws -> T {
        try await git.withProcess(ObjectReader.arguments, in: repositories.path(repository.id), .read) { process in
            try await body(ObjectReader(process))
        }
    }

    /// Changes references all together or not at all, by the commands of `git update-ref --stdin`.
    func updateReferences(
        _ commands: String, in repository: Repository, _ moved: inout Moved
    ) async throws -> Git.Output {
        // Until it has ended by itself: else it may leave locks behind.
        moved.isClean = false
        let output = try await git.run(
            ["update-ref", "--stdin"], in: repositories.path(repository.id), .write,
            input: Array("start\n\(commands)commit\n".utf8))
        moved.isClean = output.status < 128
        return output
    }

    func failed(_ output: Git.Output, _ repository: Repository) -> Failure {
        Failure(.storage, "git failed in \(repository.key.arn) (\(repository.id)): \(output.errors.prefix(300))")
    }

    /// With a turn like every other change, so that HEAD and the store agree after a failure too: repair writes it anew.
    /// Throws BranchDoesNotExistException.
    func setDefault(_ branch: String, of repository: Repository, caller: String, now: Instant) async throws {
        let id = repository.id
        try await move(repository, caller: caller) { moved in
            try await repositories.announcing(id) {
                try await database.read { transaction in
                    guard try ReferenceTable.target(id, ReferenceName.heads + branch, in: transaction) != nil else {
                        throw AWSError.noBranch(branch)
                    }
                }
                moved.isClean = false
                try await database.write { transaction in
                    guard var repository = try RepositoryTable.get(id: id, in: transaction) else { return }
                    repository.defaultBranch = branch
                    repository.modified = now
                    try RepositoryTable.update(repository, in: transaction)
                }
                try RepositoryFiles.writeHead(repositories.path(id), branch: branch)
                moved.isClean = true
            }
        }
    }
}
