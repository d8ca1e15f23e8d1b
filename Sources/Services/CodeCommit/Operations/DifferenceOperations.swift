import Contracts
import Platform
import Storage
import Wire

/// One changed file between two trees.
struct FileDifference: Sendable, Equatable {
    struct Side: Sendable, Equatable {
        var mode: String
        var blob: String
    }
    var before: Side?
    var after: Side?
    var path: String

    /// `A`, `M`, `D`.
    var kind: String { before == nil ? "A" : after == nil ? "D" : "M" }

    /// Reads `git diff-tree --raw -z`: `:MODE MODE ID ID STATUS`, NUL, path, NUL.
    static func parse(_ bytes: [UInt8]) -> [FileDifference] {
        let parts = bytes.split(separator: 0, omittingEmptySubsequences: false)
        var differences: [FileDifference] = []
        var index = 0
        while index + 1 < parts.count {
            let fields = String(decoding: parts[index].dropFirst(), as: UTF8.self).split(separator: " ")
            let path = String(decoding: parts[index + 1], as: UTF8.self)
            index += 2
            guard fields.count == 5 else { continue }
            func side(_ mode: Substring, _ id: Substring) -> Side? {
                mode == "000000" ? nil : Side(mode: String(mode), blob: String(id))
            }
            differences.append(
                FileDifference(
                    before: side(fields[0], fields[2]), after: side(fields[1], fields[3]), path: path))
        }
        return differences
    }
}

struct DifferenceOperations: Sendable {
    let journal: ReferenceJournal
    let access: Access

    private var database: any Database { journal.database }

    func differences(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetDifferencesInput(request.input)
        let repository = try await access.repository(input.repositoryName, "GetDifferences", request, database)
        let limit = try Self.limit(input.maxResults, Limits.differences)
        let skipped = try Self.offset(input.nextToken)
        guard let specifier = input.afterCommitSpecifier, !specifier.isEmpty else {
            throw AWSError.code("CommitRequiredException", "A commit was not specified.")
        }
        let (before, after) = try await database.read { transaction in
            (
                try input.beforeCommitSpecifier.map {
                    try CommitSpecifier.resolve($0, repository, in: transaction)
                }, try CommitSpecifier.resolve(specifier, repository, in: transaction)
            )
        }
        guard let after else { throw AWSError.noCommit(specifier) }
        if let before, before == nil { throw AWSError.noCommit(input.beforeCommitSpecifier ?? "") }
        let paths = try [input.beforePath, input.afterPath].compactMap { $0 }.filter { !$0.isEmpty && $0 != "/" }
            .map { path throws(AWSError) in try FilePath.checked(path) }
        let trees = try await journal.reading(repository) { reader in
            guard let new = try await reader.commit(after) else { throw AWSError.noCommit(specifier) }
            guard let before, let id = before else { return (old: ObjectID.emptyTree, new: new.tree) }
            guard let old = try await reader.commit(id) else { throw AWSError.noCommit(id) }
            return (old: old.tree, new: new.tree)
        }
        let output = try await journal.git.run(
            ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", trees.old, trees.new]
                + (paths.isEmpty ? [] : ["--"] + Array(Set(paths))),
            in: journal.repositories.path(repository.id), .read)
        guard output.status == 0 else { throw journal.failed(output, repository) }
        let all = FileDifference.parse(output.bytes)
        let page = all.dropFirst(skipped).prefix(limit)
        var shape = Model.GetDifferencesOutput()
        shape.differences = page.map(Self.shape)
        if skipped + page.count < all.count { shape.nextToken = PageToken.encode(String(skipped + page.count)) }
        return OperationResponse(shape.value)
    }

    private static func shape(_ difference: FileDifference) -> Model.Difference {
        func metadata(_ side: FileDifference.Side) -> Model.BlobMetadata {
            var metadata = Model.BlobMetadata()
            metadata.blobId = side.blob
            metadata.path = difference.path
            metadata.mode = side.mode
            return metadata
        }
        var shape = Model.Difference()
        shape.beforeBlob = difference.before.map(metadata)
        shape.afterBlob = difference.after.map(metadata)
        shape.changeType = difference.kind
        return shape
    }

    private static func limit(_ given: Int?, _ most: Int) throws(AWSError) -> Int {
        guard let given else { return most }
        guard given > 0 else { throw .noResults }
        return min(given, most)
    }

    private static func offset(_ token: String?) throws(AWSError) -> Int {
        guard let token else { return 0 }
        guard let text = PageToken.decodeText(token), let number = Int(text), (0...Limits.historySkip).contains(number)
        else { throw .badToken }
        return number
    }

    // MARK: History

    /// The commits that changed a file, the newest first.
    func history(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListFileCommitHistoryRequest(request.input)
        let repository = try await access.repository(input.repositoryName, "ListFileCommitHistory", request, database)
        let path = try FilePath.required(input.filePath)
        let limit = try Self.limit(input.maxResults, Limits.history)
        let skipped = try Self.offset(input.nextToken)
        let tip = try await database.read {
            try CommitSpecifier.resolve(input.commitSpecifier, repository, in: $0)
        }
        guard let tip else { throw AWSError.noCommit(input.commitSpecifier ?? "HEAD") }
        let start = try await journal.reading(repository) { try await $0.commit(tip)?.id }
        guard let start else { throw AWSError.noCommit(input.commitSpecifier ?? tip) }
        // One before the page, whose successor is the first of it; one behind, which says whether there is more.
        let lead = min(skipped, 1)
        let output = try await journal.git.run(
            [
                "log", "--format=%H", "--no-show-signature", "--skip=\(skipped - lead)",
                "--max-count=\(limit + lead + 1)", start, "--", path,
            ], in: journal.repositories.path(repository.id), .read)
        guard output.status == 0 else { throw journal.failed(output, repository) }
        let ids = output.text.split(separator: "\n").map(String.init)
        let page = ids.dropFirst(lead).prefix(limit)
        guard !page.isEmpty || skipped > 0 else { throw AWSError.noFile(path) }
        let versions = try await journal.reading(repository) { reader in
            var versions: [Model.FileVersion] = []
            for (index, id) in zip(page.indices, page) {
                guard let commit = try await reader.commit(id) else { continue }
                var version = Model.FileVersion()
                version.commit = ReadOperations.shape(commit)
                version.blobId = try await reader.entry(path, inTree: commit.tree)?.id
                version.path = path
                version.revisionChildren = index > 0 ? [ids[index - 1]] : []
                versions.append(version)
            }
            return versions.map(\.value)
        }
        var shape = Model.ListFileCommitHistoryResponse()
        shape.revisionDag = versions.map { Model.FileVersion($0) }
        if ids.count > lead + limit { shape.nextToken = PageToken.encode(String(skipped + limit)) }
        return OperationResponse(shape.value)
    }
}
