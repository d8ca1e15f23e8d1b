import Contracts
import FoundationEssentials
import Logging
import Platform
import Storage
import Synchronization
import Testing
import Wire

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

    private func head() throws -> String { try String(contentsOfFile: path + "/HEAD", encoding: .utf8) }

    /// The default branch is changed in turn with pushes and repairs, and repair makes good what was left undone.
    @Test func theDefaultBranchTakesItsTurn() async throws {
        let one = try await commit("1")
        try await journal.move(repository, caller: "c") { moved in
            moved.names = ["refs/heads/main", "refs/heads/a", "refs/heads/b"]
            try await update(moved.names.map { "create \($0) \(one)\n" }.joined())
        }
        try await withThrowingTaskGroup(of: Void.self) { [journal, repository] group in
            for number in 0..<12 {
                group.addTask {
                    try await journal.setDefault(
                        number % 2 == 0 ? "a" : "b", of: repository, caller: "c", now: Instant(milliseconds: 0))
                }
            }
            try await group.waitForAll()
        }
        let branch = try await journal.database.read { [repository] in
            try RepositoryTable.get(id: repository.id, in: $0)?.defaultBranch
        }
        #expect(try head() == "ref: refs/heads/\(branch ?? "")\n")
        #expect(try await pushes() == 0)
        // HEAD cannot be written: the next who comes sees to it.
        try FileManager.default.createDirectory(atPath: path + "/HEAD.new", withIntermediateDirectories: false)
        await #expect(throws: Failure.self) {
            try await journal.setDefault("main", of: repository, caller: "c", now: Instant(milliseconds: 0))
        }
        #expect(try await pushes() == 1)
        try FileManager.default.removeItem(atPath: path + "/HEAD.new")
        try await journal.move(repository, caller: "c") { _ in }
        #expect(try head() == "ref: refs/heads/main\n")
        #expect(try await pushes() == 0)
        await #expect(throws: AWSError.self) {
            try await journal.setDefault("none", of: repository, caller: "c", now: Instant(milliseconds: 0))
        }
    }

    /// More references than are ever kept of one answer come piece by piece; names that differ only in their spelling, too.
    @Test func repairReadsManyReferences() async throws {
        let one = try await commit("1")
        let names = (0..<3_000).map { "refs/heads/branch-\($0)" } + ["refs/heads/\u{E9}", "refs/heads/e\u{301}"]
        let packed = names.map(FullName.init).sorted().map { "\(one) \($0.text)\n" }.joined()
        try ("# pack-refs with: peeled fully-peeled sorted \n" + packed).write(
            toFile: path + "/packed-refs", atomically: true, encoding: .utf8)
        journal.repositories.damage(repository.id)
        try await journal.move(repository, caller: "c") { _ in }
        let announced = try await journal.database.read { [repository] in
            try ReferenceTable.all(repository.id, in: $0)
        }
        #expect(Set(announced.keys) == Set(names.map(FullName.init)))
        #expect(outbox.take().count == names.count)
    }

    /// Who comes to a repository that is being deleted is turned away, also when nobody was in it.
    @Test(.timeLimit(.minutes(1))) func theDoomedLetNobodyIn() async throws {
        let repositories = journal.repositories
        await repositories.doom(repository.id)
        await #expect(throws: AWSError.self) { try await journal.move(repository, caller: "c") { _ in } }
        repositories.forget(repository.id)
    }
}
