import Contracts
import Dispatch
import Glibc
import Logging
import Platform
import Storage
import Wire

extension OperationRequest {
    /// The repository that a request names. Throws InvalidRepositoryNameException.
    func key(_ name: String?) throws(AWSError) -> RepositoryKey {
        guard let name, !name.isEmpty else {
            throw .code("RepositoryNameRequiredException", "A repository name is required, but was not specified.")
        }
        guard RepositoryName.isValid(name) else { throw .badRepositoryName }
        return RepositoryKey(scope: context.scope, name: name)
    }
}

extension Access {
    /// The repository, when it is there and the caller may change the branch, if one is to be changed. Throws RepositoryDoesNotExistException, AccessDeniedException.
    func repository(
        _ name: String?, _ action: String, _ request: OperationRequest, _ database: any Database,
        branch: String? = nil
    ) async throws -> Repository {
        let key = try request.key(name)
        return try await database.read { transaction in
            try check(request, action, key.arn, branch: branch, in: transaction)
            return try RepositoryTable.require(key, in: transaction)
        }
    }
}

struct RepositoryOperations: Sendable {
    let database: any Database
    let repositories: Repositories
    let journal: ReferenceJournal
    let access: Access
    let logger: Logger

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateRepositoryInput(request.input)
        let key = try request.key(input.repositoryName)
        var made = Repository(key: key, id: Identifier.uuid(), created: request.context.now)
        made.description = try Self.checked(input.repositoryDescription)
        made.encryptionKey = input.kmsKeyId
        made.tags = try TagOperations.fields((input.tags ?? []).map { (key: $0.key, value: $0.value) })
        try await database.read { try access.check(request, "CreateRepository", key.arn, in: $0) }
        let path = repositories.path(made.id)
        _ = mkdir(repositories.directory, 0o700)
        try await onThread { try RepositoryFiles.create(path) }
        let repository = made
        do {
            try await database.write { transaction in
                guard try RepositoryTable.get(key, in: transaction) == nil else {
                    throw AWSError.code("RepositoryNameExistsException", "Repository named \(key.name) already exists")
                }
                guard try RepositoryTable.count(key.scope, in: transaction) < Limits.repositories else {
                    throw AWSError.code(
                        "RepositoryLimitExceededException", "A repository resource limit was exceeded.")
                }
                try RepositoryTable.insert(repository, in: transaction)
            }
        } catch {
            try? await onThread { Directory.removeTree(path) }
            throw error
        }
        var output = Model.CreateRepositoryOutput()
        output.repositoryMetadata = Self.metadata(repository, request)
        return OperationResponse(output.value)
    }

    private static func checked(_ description: String?) throws(AWSError) -> String? {
        guard let description else { return nil }
        guard description.unicodeScalars.count <= Limits.descriptionCharacters else {
            throw .code(
                "InvalidRepositoryDescriptionException",
                "The specified repository description is not valid: it has more than 1,000 characters.")
        }
        return description.isEmpty ? nil : description
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetRepositoryInput(request.input)
        let repository = try await access.repository(input.repositoryName, "GetRepository", request, database)
        var output = Model.GetRepositoryOutput()
        output.repositoryMetadata = Self.metadata(repository, request)
        return OperationResponse(output.value)
    }

    func batchGet(_ request: OperationRequest) async throws -> OperationResponse {
        let names = Model.BatchGetRepositoriesInput(request.input).repositoryNames ?? []
        guard !names.isEmpty else {
            throw AWSError.code(
                "RepositoryNamesRequiredException",
                "At least one repository name object is required, but was not "
                    + "specified.")
        }
        guard names.count <= Limits.batchRepositories else {
            throw AWSError.code(
                "MaximumRepositoryNamesExceededException",
                "The maximum number of allowed repository names was exceeded. Currently, this number is 100.")
        }
        let keys = try names.map { name throws(AWSError) in try request.key(name) }
        let found = try await database.read { transaction in
            try keys.map { key in
                try access.check(request, "BatchGetRepositories", key.arn, in: transaction)
                return try RepositoryTable.get(key, in: transaction)
            }
        }
        var output = Model.BatchGetRepositoriesOutput()
        output.repositories = found.compactMap { $0 }.map { Self.metadata($0, request) }
        let missing = zip(names, found).filter { $0.1 == nil }.map(\.0)
        output.repositoriesNotFound = missing
        output.errors = missing.map { name in
            var error = Model.BatchGetRepositoriesError()
            error.repositoryName = name
            error.errorCode = "RepositoryDoesNotExistException"
            error.errorMessage = "\(name) does not exist"
            return error
        }
        return OperationResponse(output.value)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListRepositoriesInput(request.input)
        let byTime: Bool
        switch input.sortBy ?? "repositoryName" {
        case "repositoryName": byTime = false
        case "lastModifiedDate": byTime = true
        default: throw AWSError.code("InvalidSortByException", "The specified sort by value is not valid.")
        }
        let descending: Bool
        switch input.order ?? "ascending" {
        case "ascending": descending = false
        case "descending": descending = true
        default: throw AWSError.code("InvalidOrderException", "The specified sort order is not valid.")
        }
        let token = try input.nextToken.map { text throws(AWSError) in try Self.listToken(text) }
        let scope = request.context.scope
        let rows = try await database.read { transaction in
            try access.check(request, "ListRepositories", "*", in: transaction)
            return byTime
                ? try RepositoryTable.listByTime(
                    scope, from: token, descending: descending, limit: Limits.page + 1, in: transaction)
                : try RepositoryTable.list(
                    scope, from: token?.name, descending: descending, limit: Limits.page + 1, in: transaction)
        }
        var output = Model.ListRepositoriesOutput()
        output.repositories = rows.prefix(Limits.page).map { row in
            var pair = Model.RepositoryNameIdPair()
            pair.repositoryName = row.name
            pair.repositoryId = row.id
            return pair
        }
        if rows.count > Limits.page {
            let last = rows[Limits.page - 1]
            output.nextToken = PageToken.encode("\(last.modified) \(last.name)")
        }
        return OperationResponse(output.value)
    }

    private static func listToken(_ text: String) throws(AWSError) -> (modified: Int64, name: String) {
        let parts = PageToken.decodeText(text)?.split(separator: " ", maxSplits: 1) ?? []
        guard parts.count == 2, let modified = Int64(parts[0]) else { throw .badToken }
        return (modified, String(parts[1]))
    }

    // MARK: Changes

    /// Deleting what is not there succeeds, without an id.
    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let key = try request.key(Model.DeleteRepositoryInput(request.input).repositoryName)
        let repository = try await database.write { transaction in
            try access.check(request, "DeleteRepository", key.arn, in: transaction)
            let repository = try RepositoryTable.get(key, in: transaction)
            if let repository { try RepositoryTable.delete(repository, in: transaction) }
            return repository
        }
        var output = Model.DeleteRepositoryOutput()
        output.repositoryId = repository?.id
        if let repository {
            // Its files go behind the answer: they may be many, and nobody finds them any more.
            Task { [repositories, database, logger] in
                await repositories.doom(repository.id)
                repositories.forget(repository.id)
                do {
                    try await Self.empty(repository.id, repositories, database)
                } catch {
                    logger.error("a deleted repository cannot be removed", metadata: ["error": "\(error)"])
                }
            }
        }
        return OperationResponse(output.value)
    }

    /// Removes the files of a deleted repository.
    static func empty(_ id: String, _ repositories: Repositories, _ database: any Database) async throws {
        let path = repositories.path(id)
        try await onThread { Directory.removeTree(path) }
        try await database.write { transaction in
            try transaction.execute("DELETE FROM codecommit_trash WHERE id = ?", [.text(id)])
        }
    }

    func updateName(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateRepositoryNameInput(request.input)
        let (old, new) = (try request.key(input.oldName), try request.key(input.newName))
        let now = request.context.now
        try await database.write { transaction in
            try access.check(request, "UpdateRepositoryName", old.arn, in: transaction)
            var repository = try RepositoryTable.require(old, in: transaction)
            guard try RepositoryTable.get(new, in: transaction) == nil else {
                throw AWSError.code("RepositoryNameExistsException", "Repository named \(new.name) already exists")
            }
            repository.key = new
            repository.modified = now
            try RepositoryTable.update(repository, in: transaction)
        }
        return OperationResponse()
    }

    func updateDescription(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateRepositoryDescriptionInput(request.input)
        let key = try request.key(input.repositoryName)
        let description = try Self.checked(input.repositoryDescription)
        let now = request.context.now
        try await database.write { transaction in
            try access.check(request, "UpdateRepositoryDescription", key.arn, in: transaction)
            var repository = try RepositoryTable.require(key, in: transaction)
            repository.description = description
            repository.modified = now
            try RepositoryTable.update(repository, in: transaction)
        }
        return OperationResponse()
    }

    // MARK: Shapes

    static func metadata(_ repository: Repository, _ request: OperationRequest) -> Model.RepositoryMetadata {
        var data = Model.RepositoryMetadata()
        let key = repository.key
        data.accountId = key.scope.account
        data.repositoryId = repository.id
        data.repositoryName = key.name
        data.repositoryDescription = repository.description
        data.defaultBranch = repository.defaultBranch
        data.lastModifiedDate = repository.modified
        data.creationDate = repository.created
        data.arn = key.arn
        data.kmsKeyId = repository.encryptionKey
        data.cloneUrlHttp = cloneURL(request.context.endpoint, key)
        data.cloneUrlSsh = "ssh://git-codecommit.\(key.scope.region).amazonaws.com/v1/repos/\(key.name)"
        return data
    }

    /// A URL that git resolves from where the caller is: names below `localhost` on this machine, which libcurl knows
    /// itself; else the address that the caller used, with the Region in the path.
    static func cloneURL(_ endpoint: String, _ key: RepositoryKey) -> String {
        let parts = endpoint.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        let path = "/v1/repos/\(key.name)"
        guard parts.count == 3 else { return endpoint + path }
        let authority = parts[2]
        let host = authority.prefix { $0 != ":" }
        let port = authority.dropFirst(host.count)
        if host == "localhost" || host == "127.0.0.1" || host.hasSuffix(".localhost") {
            return "\(parts[0])//git-codecommit.\(key.scope.region).localhost\(port)\(path)"
        }
        if host.hasSuffix(".amazonaws.com") {
            return "\(parts[0])//git-codecommit.\(key.scope.region).amazonaws.com\(port)\(path)"
        }
        return "\(parts[0])//\(authority)/_aws/git-codecommit/\(key.scope.region)\(path)"
    }
}

/// Runs what blocks on files where it holds up nobody.
func onThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(with: Result { try body() }) }
    }
}
