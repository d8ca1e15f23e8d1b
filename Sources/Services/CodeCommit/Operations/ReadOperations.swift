import Contracts
import Platform
import Storage
import Wire

/// A path inside a repository.
enum FilePath {
    /// Without slashes at its ends; the root is empty. Throws InvalidPathException.
    static func checked(_ path: String, mayBeRoot: Bool = false) throws(AWSError) -> String {
        let trimmed = path.split(separator: "/", omittingEmptySubsequences: false)
        var parts = trimmed[...]
        if parts.first == "" { parts = parts.dropFirst() }
        if parts.last == "" { parts = parts.dropLast() }
        if parts.isEmpty, mayBeRoot { return "" }
        guard !parts.isEmpty, path.utf8.count <= Limits.pathBytes,
            parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." && $0.lowercased() != ".git" }),
            !path.utf8.contains(where: { $0 == 0 || $0 == 0x0A })
        else { throw .badPath }
        return parts.joined(separator: "/")
    }

    /// Throws PathRequiredException too.
    static func required(_ path: String?) throws(AWSError) -> String {
        guard let path, !path.isEmpty else {
            throw .code("PathRequiredException", "The folderPath for a location cannot be null.")
        }
        return try checked(path)
    }
}

struct ReadOperations: Sendable {
    let journal: ReferenceJournal
    let access: Access

    private var database: any Database { journal.database }

    private static let tooLarge = AWSError.code(
        "FileTooLargeException",
        "The specified file exceeds the file size limit for AWS CodeCommit. For more information about limits in AWS "
            + "CodeCommit, see AWS CodeCommit User Guide.")

    /// The repository and the id that a specifier stands for.
    private func resolve(
        _ name: String?, _ specifier: String?, _ action: String, _ request: OperationRequest
    ) async throws -> (Repository, String) {
        let repository = try await access.repository(name, action, request, database)
        let id = try await database.read { try CommitSpecifier.resolve(specifier, repository, in: $0) }
        guard let id else { throw AWSError.noCommit(specifier ?? "HEAD") }
        return (repository, id)
    }

    func commit(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetCommitInput(request.input)
        let repository = try await access.repository(input.repositoryName, "GetCommit", request, database)
        guard let id = input.commitId, !id.isEmpty else {
            throw AWSError.code("CommitIdRequiredException", "A commit ID was not specified.")
        }
        guard ObjectID.isValid(id) else {
            throw AWSError.code("InvalidCommitIdException", "The specified commit ID is not valid.")
        }
        let commit = try await journal.reading(repository) { try await $0.commit(id) }
        guard let commit else {
            throw AWSError.code("CommitIdDoesNotExistException", "The specified commit ID \(id) does not exist.")
        }
        var output = Model.GetCommitOutput()
        output.commit = Self.shape(commit)
        return OperationResponse(output.value)
    }

    func commits(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.BatchGetCommitsInput(request.input)
        let repository = try await access.repository(input.repositoryName, "BatchGetCommits", request, database)
        let ids = input.commitIds ?? []
        guard !ids.isEmpty else {
            throw AWSError.code("CommitIdsListRequiredException", "A list of commit IDs is required.")
        }
        guard ids.count <= Limits.batchCommits else {
            throw AWSError.code(
                "CommitIdsLimitExceededException", "The maximum number of allowed commit IDs in a batch request is 100."
            )
        }
        let found = try await journal.reading(repository) { reader in
            var found: [CommitObject?] = []
            for id in ids { found.append(try await reader.commit(id)) }
            return found
        }
        var output = Model.BatchGetCommitsOutput()
        output.commits = found.compactMap { $0.map(Self.shape) }
        output.errors = zip(ids, found).filter { $0.1 == nil }.map { id, _ in
            var error = Model.BatchGetCommitsError()
            error.commitId = id
            error.errorCode =
                ObjectID.isValid(id) ? "CommitIdDoesNotExistException" : "InvalidCommitIdException"
            error.errorMessage =
                ObjectID.isValid(id)
                ? "The specified commit ID \(id) does not exist." : "The specified commit ID is not valid."
            return error
        }
        return OperationResponse(output.value)
    }

    static func shape(_ commit: CommitObject) -> Model.Commit {
        func user(_ identity: CommitObject.Identity) -> Model.UserInfo {
            var user = Model.UserInfo()
            user.name = identity.name
            user.email = identity.email
            user.date = identity.date
            return user
        }
        var shape = Model.Commit()
        shape.commitId = commit.id
        shape.treeId = commit.tree
        shape.parents = commit.parents
        shape.message = commit.message
        shape.author = user(commit.author)
        shape.committer = user(commit.committer)
        shape.additionalData = ""
        return shape
    }

    // MARK: Files

    func file(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetFileInput(request.input)
        let path = try FilePath.required(input.filePath)
        let (repository, id) = try await resolve(input.repositoryName, input.commitSpecifier, "GetFile", request)
        return try await journal.reading(repository) { reader in
            guard let commit = try await reader.commit(id) else { throw AWSError.noCommit(input.commitSpecifier ?? id) }
            guard let entry = try await reader.entry(path, inTree: commit.tree),
                entry.kind == .file || entry.kind == .link
            else { throw AWSError.noFile(path) }
            guard let info = try await reader.info(entry.id), info.size <= Limits.fileBytes else { throw Self.tooLarge }
            guard let content = try await reader.contents(entry.id, limit: Limits.fileBytes) else {
                throw AWSError.noFile(path)
            }
            var output = Model.GetFileOutput()
            output.commitId = commit.id
            output.blobId = entry.id
            output.filePath = path
            output.fileMode = entry.fileMode.rawValue
            output.fileSize = info.size
            output.fileContent = content.bytes
            return OperationResponse(output.value)
        }
    }

    func blob(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetBlobInput(request.input)
        let repository = try await access.repository(input.repositoryName, "GetBlob", request, database)
        guard let id = input.blobId, !id.isEmpty else {
            throw AWSError.code("BlobIdRequiredException", "A blob ID is required, but was not specified.")
        }
        guard ObjectID.isValid(id) else {
            throw AWSError.code("InvalidBlobIdException", "The specified blob is not valid.")
        }
        return try await journal.reading(repository) { reader in
            guard let info = try await reader.info(id), info.type == "blob" else {
                throw AWSError.code("BlobIdDoesNotExistException", "The specified blob \(id) does not exist.")
            }
            guard info.size <= Limits.fileBytes else { throw Self.tooLarge }
            var output = Model.GetBlobOutput()
            output.content = try await reader.contents(id, limit: Limits.fileBytes)?.bytes
            return OperationResponse(output.value)
        }
    }

    func folder(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetFolderInput(request.input)
        let path = try FilePath.checked(input.folderPath ?? "", mayBeRoot: true)
        let (repository, id) = try await resolve(input.repositoryName, input.commitSpecifier, "GetFolder", request)
        return try await journal.reading(repository) { reader in
            guard let commit = try await reader.commit(id) else { throw AWSError.noCommit(input.commitSpecifier ?? id) }
            guard let folder = try await reader.entry(path, inTree: commit.tree), folder.kind == .folder,
                let entries = try await reader.tree(folder.id)
            else {
                throw AWSError.code(
                    "FolderDoesNotExistException", "The folder \(path) does not exist at the specified commit.")
            }
            return OperationResponse(Self.shape(entries, of: path, folder.id, commit.id).value)
        }
    }

    private static func shape(
        _ entries: [TreeEntry], of path: String, _ tree: String, _ commit: String
    ) -> Model.GetFolderOutput {
        var output = Model.GetFolderOutput()
        output.commitId = commit
        output.folderPath = path
        output.treeId = tree
        var (folders, files, links, modules): ([Model.Folder], [Model.File], [Model.SymbolicLink], [Model.SubModule]) =
            ([], [], [], [])
        for entry in entries {
            let absolute = path.isEmpty ? entry.name : "\(path)/\(entry.name)"
            switch entry.kind {
            case .folder:
                var folder = Model.Folder()
                (folder.treeId, folder.absolutePath, folder.relativePath) = (entry.id, absolute, entry.name)
                folders.append(folder)
            case .file:
                var file = Model.File()
                (file.blobId, file.absolutePath, file.relativePath) = (entry.id, absolute, entry.name)
                file.fileMode = entry.fileMode.rawValue
                files.append(file)
            case .link:
                var link = Model.SymbolicLink()
                (link.blobId, link.absolutePath, link.relativePath) = (entry.id, absolute, entry.name)
                link.fileMode = FileMode.link.rawValue
                links.append(link)
            case .submodule:
                var module = Model.SubModule()
                (module.commitId, module.absolutePath, module.relativePath) = (entry.id, absolute, entry.name)
                modules.append(module)
            }
        }
        (output.subFolders, output.files, output.symbolicLinks, output.subModules) = (folders, files, links, modules)
        return output
    }
}
