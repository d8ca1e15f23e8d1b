import Contracts
import FoundationEssentials
import Logging
import Platform
import Storage
import Synchronization
import Testing

@testable import CodeCommit

/// Remembers what was sent; refuses while it is told to.
private final class Outbox: DeliveryOutbox {
    private struct State {
        var sent: [Delivery] = []
        var isFailing = false
    }
    private let state = Mutex(State())

    func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws {
        try state.withLock { state in
            if state.isFailing { throw Failure(.diskFull, "as the test wants it") }
            state.sent.append(delivery)
        }
    }

    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {}

    func fail(_ isFailing: Bool) { state.withLock { $0.isFailing = isFailing } }

    /// `event name`, of what was sent since the last call.
    func take() -> [String] {
        let sent = state.withLock { state in
            defer { state.sent = [] }
            return state.sent
        }
        return sent.compactMap { delivery in
            guard let detail = try? JSON.parse(delivery.payload) else { return nil }
            return "\(detail["event"]?.string ?? "") \(detail["referenceFullName"]?.string ?? "")"
        }
    }
}

/// With real git, in a temporary directory.
struct ReferenceJournalTests {
    private let outbox = Outbox()
    private let journal: ReferenceJournal
    private let repository: Repository
    private let path: String

    init() async throws {
        let directory = FileManager.default.temporaryDirectory.path + "/journal-" + Identifier.uuid()
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let database = try SQLiteDatabase.temporary(migrations: [CodeCommitService.migrations])
        let (time, logger) = (SystemTime(), Logger(label: "test"))
        let repositories = Repositories(directory: directory)
        journal = ReferenceJournal(
            database: database, git: Git(directory: directory, usesNamespaces: false, time: time, logger: logger),
            repositories: repositories, outbox: outbox, time: time, logger: logger)
        let key = RepositoryKey(scope: AccountRegion(account: "000000000000", region: "us-east-1"), name: "r")
        let made = Repository(key: key, id: Identifier.uuid(), created: time.now())
        try RepositoryFiles.create(repositories.path(made.id))
        try await database.write { try RepositoryTable.insert(made, in: $0) }
        repository = made
        path = repositories.path(made.id)
    }

    /// A commit without files, on no reference.
    private func commit(_ message: String) async throws -> String {
        let tree = try await journal.git.run(["mktree"], in: path, .write)
        #expect(tree.text == ObjectID.emptyTree + "\n", "\(tree.errors)")
        let made = try await journal.git.run(
            ["commit-tree", "-m", message, ObjectID.emptyTree], in: path, .write,
            environment: [
                "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a",
            ])
        return String(made.text.prefix(40))
    }

    private func update(_ commands: String) async throws {
        var moved = ReferenceJournal.Moved()
        let output = try await journal.updateReferences(commands, in: repository, &moved)
        #expect(output.status == 0, "\(output.errors)")
    }

    private func target(_ name: String) async throws -> String? {
        try await journal.database.read { try ReferenceTable.target(repository.id, name, in: $0) }
    }

    private func pushes() async throws -> Int { try await journal.database.read { try PushTable.all(in: $0).count } }

    private struct Stopped: Error {}

    /// Also a mover that fails after it has moved something.
    @Test func whatMovedIsAnnounced() async throws {
        let (one, two) = (try await commit("1"), try await commit("2"))
        await #expect(throws: Stopped.self) {
            try await journal.move(repository, caller: "c") { moved in
                moved.names = ["refs/heads/main", "refs/heads/other"]
                try await update("create refs/heads/main \(one)\n")
                throw Stopped()
            }
        }
        #expect(outbox.take() == ["referenceCreated refs/heads/main"])
        #expect(try await target("refs/heads/main") == one)
        try await journal.move(repository, caller: "c") { moved in
            moved.names = ["refs/heads/main"]
            try await update("update refs/heads/main \(two) \(one)\n")
        }
        #expect(outbox.take() == ["referenceUpdated refs/heads/main"])
        try await journal.move(repository, caller: "c") { moved in moved.names = ["refs/heads/main"] }
        #expect(outbox.take().isEmpty)
        #expect(try await pushes() == 0)
    }

    /// What could not be recorded is made good by whoever comes next, and a lock that was left is gone.
    @Test func failuresAreMadeGood() async throws {
        let one = try await commit("1")
        outbox.fail(true)
        await #expect(throws: Failure.self) {
            try await journal.move(repository, caller: "c") { moved in
                moved.names = ["refs/heads/main"]
                try await update("create refs/heads/main \(one)\n")
            }
        }
        #expect(try await target("refs/heads/main") == nil)
        #expect(try await pushes() == 1)
        outbox.fail(false)
        let lock = path + "/refs/heads/main.lock"
        #expect(FileManager.default.createFile(atPath: lock, contents: nil))
        try await journal.move(repository, caller: "c") { moved in
            #expect(!FileManager.default.fileExists(atPath: lock))
            moved.names = ["refs/heads/side"]
            try await update("create refs/heads/side \(one)\n")
        }
        #expect(outbox.take() == ["referenceCreated refs/heads/main", "referenceCreated refs/heads/side"])
        #expect(try await target("refs/heads/main") == one)
        #expect(try await pushes() == 0)
    }
}
