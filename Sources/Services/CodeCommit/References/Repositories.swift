import Glibc
import Logging
import Platform
import Storage
import Synchronization

/// The directories of repositories, and who is at work in each.
final class Repositories: Sendable {
    private struct Entry {
        var turns = RepositoryTurns()
        var waiters: [RepositoryTurns.Ticket: CheckedContinuation<RepositoryTurns.Grant, Never>] = [:]
        var processes: [ObjectIdentifier: GitProcess] = [:]
        /// References are compared and announced by one at a time.
        var announcing = Gate(limit: 1, waiting: RepositoryTurns.mostWaiting + Limits.transfers)

        typealias Resumed = [(CheckedContinuation<RepositoryTurns.Grant, Never>, RepositoryTurns.Grant)]

        /// Who waited for the turns that were given.
        mutating func take(_ admitted: [(ticket: RepositoryTurns.Ticket, grant: RepositoryTurns.Grant)]) -> Resumed {
            admitted.compactMap { pair in waiters.removeValue(forKey: pair.ticket).map { ($0, pair.grant) } }
        }

        mutating func doom() -> Resumed { take(turns.doom()) }
    }

    let directory: String
    private let entries = Mutex<[String: Entry]>([:])

    init(directory: String) { self.directory = directory }

    func path(_ id: String) -> String { directory + "/" + id + ".git" }

    // MARK: Turns

    /// Waits until the repository may be changed, or until it must be repaired by the caller (`alone`).
    func enter(_ id: String) async -> RepositoryTurns.Grant { await wait(id) { $0.enter(.share) } }

    func leave(_ id: String, clean: Bool) { act(id) { $0.leave(clean: clean) } }

    func leaveAlone(_ id: String, repaired: Bool) { act(id) { $0.leaveAlone(repaired: repaired) } }

    /// Something may be left in it: it is repaired before the next change.
    func damage(_ id: String) {
        entries.withLock { entries in entries[id, default: Entry()].turns.damage() }
    }

    /// Lets nobody in any more, kills what runs, and returns when all have left.
    func doom(_ id: String) async {
        let (running, refused) = entries.withLock { entries in
            // Also of a repository in which nobody is: whoever comes now is to be turned away.
            var entry = entries[id] ?? Entry()
            let refused = entry.doom()
            entries[id] = entry
            return (Array(entry.processes.values), refused)
        }
        for (continuation, grant) in refused { continuation.resume(returning: grant) }
        for process in running { process.kill() }
        _ = await wait(id) { $0.enterDoomed() }
    }

    /// Of a repository that is gone.
    func forget(_ id: String) {
        let waiting = entries.withLock { entries in
            defer { entries[id] = nil }
            return entries[id].map { Array($0.waiters.values) } ?? []
        }
        for waiter in waiting { waiter.resume(returning: .refused) }
    }

    /// Knows a running process, so that the repository's deletion ends it. Kills it when that is under way.
    func register(_ process: GitProcess, in id: String) {
        let isDoomed = entries.withLock { entries in
            entries[id, default: Entry()].processes[ObjectIdentifier(process)] = process
            return entries[id]?.turns.isDoomed ?? false
        }
        if isDoomed { process.kill() }
    }

    func unregister(_ process: GitProcess, in id: String) {
        entries.withLock { entries in
            entries[id]?.processes[ObjectIdentifier(process)] = nil
            Repositories.tidy(&entries, id)
        }
    }

    /// Runs `body` while nobody else compares and announces references of the repository.
    func announcing<T>(_ id: String, _ body: () async throws -> T) async throws -> T {
        let gate = entries.withLock { entries in entries[id, default: Entry()].announcing }
        return try await gate.run(body)
    }

    private func wait(
        _ id: String,
        _ ask:
            @escaping @Sendable (inout RepositoryTurns) -> (
                ticket: RepositoryTurns.Ticket, grant: RepositoryTurns.Grant?
            )
    ) async -> RepositoryTurns.Grant {
        await withCheckedContinuation { continuation in
            let grant: RepositoryTurns.Grant? = entries.withLock { entries in
                var entry = entries[id] ?? Entry()
                let (ticket, grant) = ask(&entry.turns)
                if grant == nil { entry.waiters[ticket] = continuation }
                entries[id] = entry
                return grant
            }
            if let grant { continuation.resume(returning: grant) }
        }
    }

    private func act(
        _ id: String,
        _ event: @Sendable (inout RepositoryTurns) -> [(ticket: RepositoryTurns.Ticket, grant: RepositoryTurns.Grant)]
    ) {
        let resumed = entries.withLock { entries in
            guard var entry = entries[id] else { return Entry.Resumed() }
            let resumed = entry.take(event(&entry.turns))
            entries[id] = entry
            Repositories.tidy(&entries, id)
            return resumed
        }
        for (continuation, grant) in resumed { continuation.resume(returning: grant) }
    }

    /// Nothing is kept of a repository in which nobody is. Its gate can be nobody's then: who announces has a turn.
    private static func tidy(_ entries: inout [String: Entry], _ id: String) {
        guard let entry = entries[id], entry.turns.isIdle, entry.processes.isEmpty, entry.waiters.isEmpty else {
            return
        }
        entries[id] = nil
    }
}

/// The files of repositories that are not git's own business.
enum RepositoryFiles {
    /// Makes an empty repository, on disk when this returns. Without templates or hooks.
    static func create(_ path: String) throws {
        for part in ["", "/objects", "/objects/info", "/objects/pack", "/refs", "/refs/heads", "/refs/tags"] {
            guard mkdir(path + part, 0o700) == 0 || errno == EEXIST else { throw failure("make", path + part) }
        }
        try write(
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n", to: path + "/config")
        try writeHead(path, branch: "main")
        for part in ["/objects", "/refs", ""] { try sync(path + part) }
        if let slash = path.lastIndex(of: "/") { try sync(String(path[..<slash])) }
    }

    /// Which branch a clone checks out.
    static func writeHead(_ path: String, branch: String) throws {
        try write("ref: \(ReferenceName.heads)\(branch)\n", to: path + "/HEAD")
        try sync(path)
    }

    /// Removes what killed processes of git leave behind: locks, unfinished packs and quarantined objects. Only while none
    /// runs.
    static func removeLeftovers(_ path: String) {
        for name in Directory.names(in: path) where name.hasSuffix(".lock") { unlink(path + "/" + name) }
        for part in ["/objects", "/objects/pack"] {
            for name in Directory.names(in: path + part)
            where name.hasPrefix("tmp_") || name.hasPrefix("incoming-") || name.hasSuffix(".lock") {
                Directory.removeTree(path + part + "/" + name)
            }
        }
        removeLocks(path + "/refs")
    }

    /// Names of references are short, and so the tree is not deep; walked with a list all the same.
    private static func removeLocks(_ root: String) {
        var directories = [root]
        while let directory = directories.popLast() {
            Directory.forEachName(in: directory) { name in
                let path = directory + "/" + name
                var status = stat()
                guard lstat(path, &status) == 0 else { return }
                if status.st_mode & S_IFMT == S_IFDIR {
                    directories.append(path)
                } else if name.hasSuffix(".lock") {
                    unlink(path)
                }
            }
        }
    }

    /// Whole or not at all, and on disk.
    private static func write(_ text: String, to path: String) throws {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("write", temporary) }
        let bytes = Array(text.utf8)
        let count = Glibc.write(descriptor, bytes, bytes.count)
        let isSynced = fsync(descriptor) == 0
        close(descriptor)
        guard count == bytes.count, isSynced, rename(temporary, path) == 0 else { throw failure("write", path) }
    }

    private static func sync(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("sync", path) }
    }

    private static func failure(_ what: String, _ path: String) -> Failure {
        let code = errno
        return Failure(
            [ENOSPC, EDQUOT, EIO, EROFS].contains(code) ? .diskFull : .storage,
            "Cannot \(what) \(path): errno \(code).")
    }
}
