import Contracts
import Logging
import NIOCore
import Platform
import Storage
import Wire

/// Lets references move, and sees to it that every move is announced: to the store, which the API shows, and to triggers and
/// the event bus, in one transaction.
///
/// git moves references on disk by itself. Before it may, a row says so (`codecommit_push`); the transaction that records
/// what moved removes it, and only then is the mover answered. A row that is still there at the start, or after a failure,
/// means that the references on disk may be ahead of the store: `repair` compares all of them.
final class ReferenceJournal: Sendable {
    let database: any Database
    let git: Git
    let repositories: Repositories
    private let outbox: any DeliveryOutbox
    private let time: any TimeSource
    private let logger: Logger

    init(
        database: any Database, git: Git, repositories: Repositories, outbox: any DeliveryOutbox,
        time: any TimeSource, logger: Logger
    ) {
        self.database = database
        self.git = git
        self.repositories = repositories
        self.outbox = outbox
        self.time = time
        self.logger = logger
    }

    /// What a mover has done.
    struct Moved: Sendable {
        /// The references that may have moved, by their full names.
        var names: [String] = []
        /// Whether git has ended by itself; else it may have left locks behind.
        var isClean = true
        /// `FAST_FORWARD_MERGE`, of merges.
        var mergeOption: String?
    }

    /// Runs `body`, which may move references, and announces them, also when it throws. Throws what `body` throws,
    /// RepositoryDoesNotExistException when the repository is being deleted, and `Failure` when it cannot be recorded: then
    /// it is made good later.
    func move<T>(
        _ repository: Repository, caller: String, _ body: (inout Moved) async throws -> T
    ) async throws -> T {
        try await enter(repository)
        var moved = Moved(isClean: false)
        defer { repositories.leave(repository.id, clean: moved.isClean) }
        let push = Identifier.uuid()
        let (id, name) = (repository.id, repository.key.name)
        do {
            try await database.write { transaction in
                guard try RepositoryTable.get(id: id, in: transaction) != nil else { throw AWSError.noRepository(name) }
                try PushTable.insert(push, repository: id, caller: caller, in: transaction)
            }
        } catch {
            moved.isClean = true
            throw error
        }
        moved.isClean = true
        let result: Result<T, any Error>
        do { result = .success(try await body(&moved)) } catch { result = .failure(error) }
        do {
            try await announce(repository.id, moved, push: push, caller: caller)
        } catch {
            moved.isClean = false
            logger.error(
                "changed references could not be recorded; it will be tried again",
                metadata: ["repository": "\(repository.key.arn)", "error": "\(error)"])
            throw error
        }
        return try result.get()
    }

    private func enter(_ repository: Repository) async throws {
        while true {
            switch await repositories.enter(repository.id) {
            case .share: return
            case .refused: throw AWSError.noRepository(repository.key.name)
            case .alone: try await repair(repository.id)
            }
        }
    }

    // MARK: Announcing

    private func announce(_ id: String, _ moved: Moved, push: String, caller: String) async throws {
        let names = Set(moved.names.filter(ReferenceName.isReference).map(FullName.init)).sorted()
        // What is not clean is repaired, by a later start if need be.
        let isClean = moved.isClean
        guard !names.isEmpty else {
            if isClean { try await database.write { try PushTable.delete(push, in: $0) } }
            return
        }
        try await repositories.announcing(id) {
            let present = try await targets(names, in: id)
            try await record(id, present, names: names, caller: caller, mergeOption: moved.mergeOption) { transaction in
                if isClean { try PushTable.delete(push, in: transaction) }
            }
        }
    }

    /// Puts a repository in order that somebody left in disorder, alone in it. The caller has the turn; it is given back.
    func repair(_ id: String) async throws {
        var isRepaired = false
        defer { repositories.leaveAlone(id, repaired: isRepaired) }
        RepositoryFiles.removeLeftovers(repositories.path(id))
        let pushes = try await database.read { try PushTable.all(in: $0) }.filter { $0.repository == id }
        let present = try await allTargets(in: id)
        try await repositories.announcing(id) {
            let caller = pushes.first?.caller ?? "arn:aws:iam::\(AccountRegion.defaultAccount):root"
            try await record(id, present, names: nil, caller: caller, mergeOption: nil) { transaction in
                for push in pushes { try PushTable.delete(push.id, in: transaction) }
            }
        }
        let repository = try await database.read { try RepositoryTable.get(id: id, in: $0) }
        if let branch = repository?.defaultBranch {
            try RepositoryFiles.writeHead(repositories.path(id), branch: branch)
        }
        isRepaired = true
    }

    /// Compares with what was announced before, and records the difference with its events. `names`: only these references.
    private func record(
        _ id: String, _ present: [FullName: String], names: [FullName]?, caller: String, mergeOption: String?,
        _ settle: @escaping @Sendable (any WriteTransaction) throws -> Void
    ) async throws {
        let repository = try await database.read { try RepositoryTable.get(id: id, in: $0) }
        var firstBranch: String?
        if let repository, repository.defaultBranch == nil {
            firstBranch = ReferenceJournal.firstBranch(present.keys.map(\.text))
            // Before it is recorded, so that no clone finds the wrong one afterwards.
            if let firstBranch {
                try RepositoryFiles.writeHead(repositories.path(id), branch: firstBranch)
            }
        }
        let branch = firstBranch
        try await database.write { [self] transaction in
            try settle(transaction)
            guard var repository = try RepositoryTable.get(id: id, in: transaction) else { return }
            var announced: [FullName: String] = [:]
            if let names {
                for name in names { announced[name] = try ReferenceTable.target(id, name.text, in: transaction) }
            } else {
                announced = try ReferenceTable.all(id, in: transaction)
            }
            let changes = ReferenceChange.between(announced: announced, present: present)
            guard !changes.isEmpty else { return }
            for change in changes { try ReferenceTable.set(id, change.name, change.new, in: transaction) }
            if repository.defaultBranch == nil { repository.defaultBranch = branch }
            repository.modified = time.now()
            try RepositoryTable.update(repository, in: transaction)
            try send(changes, of: repository, caller: caller, mergeOption: mergeOption, in: transaction)
        }
    }

    /// The default branch of a repository that had none.
    static func firstBranch(_ names: [String]) -> String? {
        let branches = names.compactMap(ReferenceName.branch).sorted()
        return branches.first { $0 == "main" } ?? branches.first { $0 == "master" } ?? branches.first
    }

    // MARK: What is on disk

    /// Where the references point; those that do not exist are absent.
    private func targets(_ names: [FullName], in id: String) async throws -> [FullName: String] {
        let output = try await git.run(
            ["cat-file", "--batch-check=%(objectname)"], in: repositories.path(id), .read,
            input: Array(names.map(\.text).joined(separator: "\n").utf8) + [0x0A])
        let lines = output.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        guard output.status == 0, lines.count == names.count else { throw ReferenceJournal.unreadable(output) }
        var targets: [FullName: String] = [:]
        for (name, line) in zip(names, lines) where ObjectID.isValid(line) { targets[name] = String(line) }
        return targets
    }

    /// As they come: a repository may have more references than one answer of git is kept of.
    private func allTargets(in id: String) async throws -> [FullName: String] {
        let arguments = ["for-each-ref", "--format=%(objectname) %(refname)"]
        return try await git.withProcess(arguments, in: repositories.path(id), .read) { process in
            process.endInput()
            var targets: [FullName: String] = [:]
            var pending: [UInt8] = []
            while let piece = try await process.read() {
                pending += piece.readableBytesView
                guard let end = pending.lastIndex(of: 0x0A) else { continue }
                for line in pending[..<end].split(separator: 0x0A) {
                    let parts = line.split(separator: 0x20, maxSplits: 1)
                    guard parts.count == 2, let name = String(validating: parts[1], as: UTF8.self),
                        ReferenceName.isReference(name)
                    else { continue }
                    targets[FullName(name)] = String(decoding: parts[0], as: UTF8.self)
                }
                pending.removeFirst(end + 1)
            }
            let status = await process.exit()
            guard status == 0 else {
                throw ReferenceJournal.unreadable(Git.Output(status: status, bytes: [], errors: process.errorText))
            }
            return targets
        }
    }

    private static func unreadable(_ output: Git.Output) -> Failure {
        Failure(.storage, "The references of a repository cannot be read: \(output.errors.prefix(300))")
    }

    // MARK: Events

    private func send(
        _ changes: [ReferenceChange], of repository: Repository, caller: String, mergeOption: String?,
        in transaction: any WriteTransaction
    ) throws {
        let event = TriggerEvent(
            name: "ReferenceChanges", repository: repository.key, triggersID: repository.triggersID ?? "",
            caller: caller, time: time.now())
        for trigger in repository.triggers {
            let matching = changes.filter(trigger.matches)
            guard !matching.isEmpty else { continue }
            for message in event.messages(trigger, matching) {
                try outbox.send(delivery(message, to: trigger, of: repository), in: transaction)
            }
        }
        for change in changes {
            try outbox.send(
                stateChange(change, of: repository, caller: caller, mergeOption: mergeOption), in: transaction)
        }
    }

    func delivery(_ message: Value, to trigger: Trigger, of repository: Repository) -> Delivery {
        Delivery(
            id: Identifier.uuid(), target: trigger.destination, principal: repository.principal,
            payload: JSON.encode(message), createdAt: time.now(),
            attributes: DeliveryAttributes(
                subject: "UPDATE: AWS CodeCommit \(repository.key.scope.region) push: \(repository.key.name)"))
    }

    /// `CodeCommit Repository State Change`, with the members that the user guide shows ("Monitoring CodeCommit events").
    private func stateChange(
        _ change: ReferenceChange, of repository: Repository, caller: String, mergeOption: String?
    ) -> Delivery {
        let parts = ReferenceName.parts(change.name)
        var detail: Fields = ["callerUserArn": .string(caller)]
        detail["commitId"] = .string(change.new ?? change.old ?? ObjectID.zero)
        switch change.kind {
        case .created: detail["event"] = "referenceCreated"
        case .updated: detail["event"] = "referenceUpdated"
        case .deleted: detail["event"] = "referenceDeleted"
        }
        if let mergeOption { detail["mergeOption"] = .string(mergeOption) }
        if let old = change.old { detail["oldCommitId"] = .string(old) }
        detail["referenceFullName"] = .string(change.name)
        detail["referenceName"] = .string(parts.short)
        detail["referenceType"] = .string(parts.type)
        detail["repositoryId"] = .string(repository.id)
        detail["repositoryName"] = .string(repository.key.name)
        let scope = repository.key.scope
        let bus = ARN(service: "events", region: scope.region, account: scope.account, resource: "event-bus/default")
        return Delivery(
            id: Identifier.uuid(), target: bus.description, principal: repository.principal,
            payload: JSON.encode(.map(detail)), createdAt: time.now(),
            attributes: DeliveryAttributes(
                event: DeliveryAttributes.EventKind(
                    source: "aws.codecommit", detailType: "CodeCommit Repository State Change",
                    resources: [repository.key.arn])))
    }
}

extension Repository {
    /// As whom its triggers act.
    var principal: Principal {
        .service(name: "codecommit.amazonaws.com", sourceARN: key.arn, sourceAccount: key.scope.account)
    }
}
