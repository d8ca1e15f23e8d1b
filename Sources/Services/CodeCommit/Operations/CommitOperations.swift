import Contracts
import Platform
import Storage
import Wire

/// Commits made through the API.
struct CommitOperations: Sendable {
    let journal: ReferenceJournal
    let access: Access

    private var database: any Database { journal.database }

    /// What all three operations have in common.
    private struct Draft: Sendable {
        var branch: String
        var parent: String?
        var author: String?
        var email: String?
        var message: String?
        var plan: CommitPlan
        /// Whether leaving everything as it is has an error of its own.
        var noChange: AWSError
    }

    private struct Made: Sendable {
        var commit: String
        var tree: String
        var changes: CommitChanges
    }

    private static let noChange = AWSError.code(
        "NoChangeException",
        "The commit cannot be created because no changes will be made to the repository as a result of this commit. A "
            + "commit must contain at least one change.")

    // MARK: Operations

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateCommitInput(request.input)
        let repository = try await access.repository(
            input.repositoryName, "CreateCommit", request, database, branch: input.branchName)
        var plan = CommitPlan()
        plan.keepsEmptyFolders = input.keepEmptyFolders ?? false
        for file in input.putFiles ?? [] {
            let path = try FilePath.required(file.filePath)
            let mode = try Self.mode(file.fileMode) ?? .normal
            switch (file.fileContent, file.sourceFile) {
            case (.some, .some):
                throw AWSError.code(
                    "FileContentAndSourceFileSpecifiedException",
                    "The commit cannot be created because both a source file and file content have been specified for the "
                        + "same file. You cannot provide both.")
            case (nil, nil):
                throw AWSError.code(
                    "SourceFileOrContentRequiredException",
                    "The commit cannot be created because no source files or file content have been specified for the "
                        + "commit.")
            case (let content?, nil):
                plan.puts.append(CommitPlan.Put(path: path, mode: mode, source: .content(content)))
            case (nil, let source?):
                let from = try FilePath.required(source.filePath)
                plan.puts.append(CommitPlan.Put(path: path, mode: mode, source: .file(path: from)))
                if source.isMove == true { plan.deletes.append(from) }
            }
        }
        plan.deletes += try (input.deleteFiles ?? []).map { file throws(AWSError) in
            try FilePath.required(file.filePath)
        }
        for file in input.setFileModes ?? [] {
            guard let mode = try Self.mode(file.fileMode) else {
                throw AWSError.code(
                    "FileModeRequiredException",
                    "The commit cannot be created because no file mode has been specified. A file mode is required to "
                        + "update mode permissions for a file.")
            }
            plan.modes.append((path: try FilePath.required(file.filePath), mode: mode))
        }
        let draft = Draft(
            branch: try BranchOperations.checked(input.branchName), parent: input.parentCommitId,
            author: input.authorName, email: input.email, message: input.commitMessage, plan: plan,
            noChange: Self.noChange)
        let made = try await commit(draft, to: repository, request)
        var output = Model.CreateCommitOutput()
        output.commitId = made.commit
        output.treeId = made.tree
        output.filesAdded = made.changes.writes.filter { $0.old == nil }.map(Self.metadata)
        output.filesUpdated = made.changes.writes.filter { $0.old != nil }.map(Self.metadata)
        output.filesDeleted = made.changes.deletes.map { Self.metadata($0.path, $0.old.id, $0.old.fileMode) }
        return OperationResponse(output.value)
    }

    private static func metadata(_ write: CommitChanges.Write) -> Model.FileMetadata {
        metadata(write.path, write.blob, write.mode)
    }

    private static func metadata(_ path: String, _ blob: String, _ mode: FileMode) -> Model.FileMetadata {
        var data = Model.FileMetadata()
        data.absolutePath = path
        data.blobId = blob
        data.fileMode = mode.rawValue
        return data
    }

    private static func mode(_ text: String?) throws(AWSError) -> FileMode? {
        guard let text else { return nil }
        guard let mode = FileMode(rawValue: text) else {
            throw .code(
                "InvalidFileModeException",
                "The specified file mode permission is not valid. For a list of valid file mode permissions, see PutFile."
            )
        }
        return mode
    }

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutFileInput(request.input)
        let repository = try await access.repository(
            input.repositoryName, "PutFile", request, database, branch: input.branchName)
        let path = try FilePath.required(input.filePath)
        guard let content = input.fileContent else {
            throw AWSError.code(
                "FileContentRequiredException",
                "The file cannot be added because it is empty. Empty files cannot be "
                    + "added to the repository with this API.")
        }
        var plan = CommitPlan()
        plan.puts = [
            CommitPlan.Put(path: path, mode: try Self.mode(input.fileMode) ?? .normal, source: .content(content))
        ]
        let draft = Draft(
            branch: try BranchOperations.checked(input.branchName), parent: input.parentCommitId, author: input.name,
            email: input.email, message: input.commitMessage ?? "Added \(path)", plan: plan,
            noChange: .code(
                "SameFileContentException",
                "The file was not added or updated because the content of the file is exactly the same as the content of "
                    + "that file in the repository and branch that you specified."))
        let made = try await commit(draft, to: repository, request)
        var output = Model.PutFileOutput()
        output.commitId = made.commit
        output.treeId = made.tree
        output.blobId = made.changes.writes.first?.blob
        return OperationResponse(output.value)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteFileInput(request.input)
        let repository = try await access.repository(
            input.repositoryName, "DeleteFile", request, database, branch: input.branchName)
        let path = try FilePath.required(input.filePath)
        var plan = CommitPlan()
        plan.deletes = [path]
        plan.keepsEmptyFolders = input.keepEmptyFolders ?? false
        let draft = Draft(
            branch: try BranchOperations.checked(input.branchName), parent: input.parentCommitId, author: input.name,
            email: input.email, message: input.commitMessage ?? "Deleted \(path)", plan: plan, noChange: Self.noChange)
        let made = try await commit(draft, to: repository, request)
        var output = Model.DeleteFileOutput()
        output.commitId = made.commit
        output.treeId = made.tree
        output.filePath = path
        output.blobId = made.changes.deletes.first { $0.path == path }?.old.id
        return OperationResponse(output.value)
    }

    // MARK: Making a commit

    private func commit(_ draft: Draft, to repository: Repository, _ request: OperationRequest) async throws -> Made {
        try draft.plan.check()
        try Self.checkIdentity(draft)
        let name = ReferenceName.heads + draft.branch
        let tip = try await database.read { transaction in
            let tip = try ReferenceTable.target(repository.id, name, in: transaction)
            if tip == nil,
                try ReferenceTable.target(repository.id, ReferenceName.tags + draft.branch, in: transaction) != nil
            {
                throw AWSError.code(
                    "BranchNameIsTagNameException",
                    "The specified branch name is not valid because it is a tag name. Enter the name of a branch in the "
                        + "repository. For a list of valid branch names, use ListBranches.")
            }
            return tip
        }
        let (changes, oldTree) = try await journal.reading(repository) { reader in
            try await checkParent(draft, tip: tip, repository, reader)
            let tree = try await tip.asyncMap { try await reader.commit($0)?.tree } ?? nil
            return (try await resolve(draft.plan, tree: tree, reader), tree)
        }
        let principal = request.context.principal
        let author = FastImport.Identity(
            name: draft.author ?? principal.arn.split(separator: "/").last.map(String.init) ?? principal.arn,
            email: draft.email ?? "")
        let temporary = "refs/martlet/\(Identifier.uuid())"
        let script = FastImport.commit(
            changes, on: temporary, parent: tip, author: author, message: draft.message ?? "", now: request.context.now)
        return try await journal.move(repository, caller: principal.arn) { moved in
            let path = journal.repositories.path(repository.id)
            moved.isClean = false
            let imported = try await journal.git.run(
                ["fast-import", "--quiet", "--done"], in: path, .write, input: script)
            let id = imported.text.split(separator: "\n").last.map(String.init) ?? ""
            moved.isClean = imported.status == 0
            guard imported.status == 0, ObjectID.isValid(id) else { throw journal.failed(imported, repository) }
            let made = try await journal.reading(repository) { try await $0.commit(id) }
            guard let made else { throw journal.failed(imported, repository) }
            guard made.tree != oldTree else {
                _ = try await journal.updateReferences("delete \(temporary)\n", in: repository, &moved)
                throw draft.noChange
            }
            moved.names = [name]
            let output = try await journal.updateReferences(
                "update \(name) \(id) \(tip ?? ObjectID.zero)\ndelete \(temporary)\n", in: repository, &moved)
            if output.status != 0 {
                _ = try await journal.updateReferences("delete \(temporary)\n", in: repository, &moved)
                throw Self.outdated
            }
            return Made(commit: id, tree: made.tree, changes: changes)
        }
    }

    private static let outdated = AWSError.code(
        "ParentCommitIdOutdatedException",
        "The file could not be added because the provided parent commit ID is not the current tip of the specified branch. "
            + "To view the full commit ID of the current head of the branch, use GetBranch.")

    private static func checkIdentity(_ draft: Draft) throws(AWSError) {
        guard (draft.message ?? "").utf8.count <= Limits.messageBytes else {
            throw .code(
                "CommitMessageLengthExceededException", "The commit message is too long. Provide a shorter string.")
        }
        guard (draft.author ?? "").utf8.count <= Limits.identityBytes else {
            throw .code(
                "NameLengthExceededException",
                "The user name is not valid because it has exceeded the character limit for author names.")
        }
        let email = draft.email ?? ""
        guard email.utf8.count <= Limits.identityBytes,
            !email.utf8.contains(where: { $0 < 0x21 || $0 == 0x3C || $0 == 0x3E })
        else {
            throw .code(
                "InvalidEmailException",
                "The specified email address either contains one or more characters that are not allowed, or it exceeds "
                    + "the maximum number of characters allowed for an email address.")
        }
    }

    private func checkParent(
        _ draft: Draft, tip: String?, _ repository: Repository, _ reader: ObjectReader
    ) async throws {
        guard let tip else {
            // The first commit makes its branch; later branches are made by CreateBranch.
            guard repository.defaultBranch == nil else { throw AWSError.noBranch(draft.branch) }
            guard draft.parent == nil else {
                throw AWSError.code(
                    "ParentCommitDoesNotExistException",
                    "The parent commit ID is not valid because it does not exist. The specified parent commit ID does not "
                        + "exist in the specified branch of the repository.")
            }
            return
        }
        guard let parent = draft.parent, !parent.isEmpty else {
            throw AWSError.code(
                "ParentCommitIdRequiredException",
                "A parent commit ID is required. To view the full commit ID of a branch in a repository, use GetBranch or a "
                    + "Git command (for example, git pull or git log).")
        }
        guard ObjectID.isValid(parent) else {
            throw AWSError.code(
                "InvalidParentCommitIdException",
                "The parent commit ID is not valid. The commit ID cannot be empty, and must match the head commit ID for "
                    + "the branch of the repository where you want to add or update a file.")
        }
        guard parent != tip else { return }
        guard try await reader.info(parent)?.type == "commit" else {
            throw AWSError.code(
                "ParentCommitDoesNotExistException",
                "The parent commit ID is not valid because it does not exist. The specified parent commit ID does not "
                    + "exist in the specified branch of the repository.")
        }
        throw Self.outdated
    }

    // MARK: Against the tree

    /// Finds what the plan names in the parent's tree. Throws for what is missing or in the way.
    private func resolve(_ plan: CommitPlan, tree: String?, _ reader: ObjectReader) async throws -> CommitChanges {
        func entry(_ path: String) async throws -> TreeEntry? {
            guard let tree else { return nil }
            return try await reader.entry(path, inTree: tree)
        }
        func file(_ path: String) async throws -> TreeEntry {
            guard let found = try await entry(path), found.kind == .file || found.kind == .link else {
                throw AWSError.noFile(path)
            }
            return found
        }
        var changes = CommitChanges()
        for path in plan.deletes { changes.deletes.append((path: path, old: try await file(path))) }
        let deleted = Set(plan.deletes)
        for put in plan.puts {
            let old = try await entry(put.path)
            try Self.checkPlace(old, put.path)
            for parent in CommitPlan.parents(put.path) where !deleted.contains(parent) {
                try Self.checkParentFolder(try await entry(parent), parent)
            }
            let content: CommitChanges.Content
            switch put.source {
            case .content(let bytes): content = .bytes(bytes)
            case .file(let path): content = .blob(try await file(path).id)
            }
            changes.writes.append(
                CommitChanges.Write(path: put.path, mode: put.mode, content: content, old: old))
        }
        for change in plan.modes {
            let old = try await file(change.path)
            changes.writes.append(
                CommitChanges.Write(path: change.path, mode: change.mode, content: .blob(old.id), old: old))
        }
        if plan.keepsEmptyFolders {
            for folder in Set(plan.deletes.compactMap { CommitPlan.parents($0).last }).sorted() {
                guard let tree, try await isEmptied(folder, changes, tree: tree, reader) else { continue }
                changes.writes.append(
                    CommitChanges.Write(path: folder + "/.gitkeep", mode: .normal, content: .bytes([]), old: nil))
            }
        }
        return changes
    }

    private static func checkPlace(_ entry: TreeEntry?, _ path: String) throws(AWSError) {
        switch entry?.kind {
        case .folder:
            throw .code(
                "FileNameConflictsWithDirectoryNameException",
                "A file cannot be added to the repository because the specified file name has the same name as a directory "
                    + "in this repository. Either provide another name for the file, or add the file in a directory that "
                    + "does not match the file name.")
        case .submodule: throw submodule
        case .file, .link, nil: break
        }
    }

    private static func checkParentFolder(_ entry: TreeEntry?, _ path: String) throws(AWSError) {
        switch entry?.kind {
        case .file, .link:
            throw .code(
                "DirectoryNameConflictsWithFileNameException",
                "A file cannot be added to the repository because the specified path name has the same name as a file that "
                    + "already exists in this repository. Either provide a different name for the file, or specify a "
                    + "different path for the file.")
        case .submodule: throw submodule
        case .folder, nil: break
        }
    }

    private static let submodule = AWSError.code(
        "FilePathConflictsWithSubmodulePathException",
        "The commit cannot be created because a specified file path points to a submodule. Verify that the destination "
            + "files have valid file paths that do not point to a submodule.")

    private func isEmptied(
        _ folder: String, _ changes: CommitChanges, tree: String, _ reader: ObjectReader
    ) async throws -> Bool {
        guard let entry = try await reader.entry(folder, inTree: tree), entry.kind == .folder,
            let entries = try await reader.tree(entry.id)
        else { return false }
        let deleted = Set(changes.deletes.map(\.path))
        return entries.allSatisfy { deleted.contains("\(folder)/\($0.name)") }
            && !changes.writes.contains { $0.path.hasPrefix(folder + "/") }
    }
}

extension Optional {
    /// `map` with a body that waits.
    fileprivate func asyncMap<T>(_ body: (Wrapped) async throws -> T) async rethrows -> T? {
        guard let self else { return nil }
        return try await body(self)
    }
}
