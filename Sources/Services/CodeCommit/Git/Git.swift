import Glibc
import Logging
import NIOCore
import Platform
import Synchronization
import Wire

/// Runs git, which does all work on repositories, in processes of their own: what clients send is parsed there and nowhere
/// else.
///
/// Such a process sees the programs of this machine (read-only) and one repository, has no network, no capabilities, limited
/// memory, files and time, and dies with the server. Where namespaces are not to be had, only the limits hold; that is said
/// in the log once.
final class Git: Sendable {
    enum Access: String, Sendable {
        case read = "ro"
        case write = "rw"
    }

    struct Output: Sendable {
        var status: CInt
        var bytes: [UInt8]
        var errors: String
        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    private enum Confinement: Sendable { case namespaces, limits }

    private let time: any TimeSource
    private let logger: Logger
    private let usesNamespaces: Bool
    /// Where the tree of a process is put together: any directory that is no parent of the repositories.
    private let root: String
    private let found = Mutex<Confinement?>(nil)
    private let commands = Gate(limit: Limits.commands, waiting: Limits.waitingCommands)
    /// Apart, so that slow clients of the one kind do not hold up the other.
    private let fetches = Gate(limit: Limits.transfers, waiting: Limits.waitingTransfers)
    private let pushes = Gate(limit: Limits.transfers, waiting: Limits.waitingTransfers)

    static let program = "/usr/bin/git"
    private static let shell = "/bin/sh"

    init(directory: String, usesNamespaces: Bool, time: any TimeSource, logger: Logger) {
        self.time = time
        self.logger = logger
        self.usesNamespaces = usesNamespaces
        root = directory.hasPrefix("/mnt/") ? "/media" : "/mnt"
    }

    // MARK: Running

    /// Runs `body` when it is this caller's turn among those who fetch. Throws `AWSError.busy` when too many wait.
    func fetching<T>(_ body: () async throws -> T) async throws -> T { try await Git.turn(fetches, body) }

    /// As `fetching`, among those who push.
    func pushing<T>(_ body: () async throws -> T) async throws -> T { try await Git.turn(pushes, body) }

    private static func turn<T>(_ gate: Gate, _ body: () async throws -> T) async throws -> T {
        var hasEntered = false
        do {
            return try await gate.run {
                hasEntered = true
                return try await body()
            }
        } catch let failure as Failure where failure.code == .limit && !hasEntered {
            throw AWSError.busy
        }
    }

    /// Starts `git` with these arguments in the repository; the caller reads, writes and ends it.
    func start(
        _ arguments: [String], in repository: String, _ access: Access, environment: [String] = [],
        deadline: Duration = Limits.commandTime
    ) async throws -> GitProcess {
        let confinement = try await confinement(repository)
        return try await start(confinement, arguments, repository, access, environment, deadline)
    }

    /// Runs `git` to its end and gives its output, at most `limit` bytes: more is a `Failure(.limit)`.
    func run(
        _ arguments: [String], in repository: String, _ access: Access, input: [UInt8] = [], environment: [String] = [],
        limit: Int = Limits.commandOutputBytes
    ) async throws -> Output {
        try await Git.turn(commands) {
            let process = try await start(arguments, in: repository, access, environment: environment)
            return try await Git.finish(process, input: input, limit: limit)
        }
    }

    /// Runs `body` with a process that answers requests (`git cat-file --batch-command`), and ends it.
    func withProcess<T>(
        _ arguments: [String], in repository: String, _ access: Access, _ body: (GitProcess) async throws -> T
    ) async throws -> T {
        try await Git.turn(commands) {
            let process = try await start(arguments, in: repository, access)
            defer { process.kill() }
            return try await body(process)
        }
    }

    private static func finish(_ process: GitProcess, input: [UInt8], limit: Int) async throws -> Output {
        defer { process.kill() }
        async let written: Void = {
            // A command that ends before it has read all says why by its status.
            if !input.isEmpty { try? await process.write(ByteBuffer(bytes: input)) }
            process.endInput()
        }()
        var bytes: [UInt8] = []
        while let piece = try await process.read() {
            guard bytes.count + piece.readableBytes <= limit else {
                process.kill()
                await written
                throw Failure(.limit, "git has answered more than \(limit) bytes")
            }
            bytes += piece.readableBytesView
        }
        await written
        let status = await process.exit()
        return Output(status: status, bytes: bytes, errors: process.errorText)
    }

    // MARK: Confinement

    private func start(
        _ confinement: Confinement, _ arguments: [String], _ repository: String, _ access: Access,
        _ environment: [String], _ deadline: Duration
    ) async throws -> GitProcess {
        let place = confinement == .namespaces ? "/repository" : repository
        let git =
            [Git.program] + Git.settings.flatMap { ["-c", $0] } + ["-C", place, "--git-dir=\(place)"] + arguments
        var command = ["/usr/bin/setpriv", "--pdeathsig", "KILL"]
        switch confinement {
        case .namespaces:
            command += [
                "/usr/bin/unshare", "--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts", "--pid",
                "--fork", "--kill-child=KILL", Git.shell, "-c", Git.confinedScript, "git", root, repository,
                access.rawValue,
            ]
        case .limits: command += [Git.shell, "-c", Git.limits + "exec \"$@\"", "git"]
        }
        return try await GitProcess.start(
            command + git, environment: Git.environment + environment, deadline: deadline, time: time)
    }

    /// What is to be had here; tried once, when git is needed first.
    private func confinement(_ repository: String) async throws -> Confinement {
        if let known = found.withLock({ $0 }) { return known }
        var confinement = Confinement.limits
        if usesNamespaces {
            let probe = try await start(
                .namespaces, ["rev-parse", "--git-dir"], repository, .read, [], Limits.commandTime)
            let output = try await Git.finish(probe, input: [], limit: Limits.readBytes)
            if output.status == 0 {
                confinement = .namespaces
            } else {
                logger.warning(
                    "git runs without namespaces: only its memory, files and time are limited",
                    metadata: ["reason": "\(output.errors.prefix(300))"])
            }
        }
        found.withLock { $0 = confinement }
        return confinement
    }

    /// Kilobytes, seconds, files; no core files.
    private static let limits =
        "ulimit -v \(Limits.addressSpaceBytes >> 10); ulimit -t \(Limits.processorSeconds); "
        + "ulimit -n \(Limits.openFiles); ulimit -c 0; "

    /// Puts a tree together of the programs, two devices and the repository, and goes there for good: capabilities are gone
    /// before git runs.
    private static let confinedScript = """
        set -e
        root=$1; repository=$2; access=$3; shift 3
        mount -t tmpfs -o mode=755,size=64k tmpfs "$root"
        cd "$root"
        mkdir usr dev repository
        : > dev/null
        : > dev/urandom
        ln -s usr/bin usr/lib usr/lib64 .
        mount -o bind,ro /usr usr
        mount -o bind /dev/null dev/null
        mount -o bind /dev/urandom dev/urandom
        mount -o "bind,$access" "$repository" repository
        \(limits)
        exec chroot . /usr/bin/setpriv --bounding-set -all --inh-caps -all --no-new-privs "$@"
        """

    /// Nothing is inherited. Replacements (`refs/replace`) come from clients and must not change what others see.
    private static let environment = [
        "PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_NO_REPLACE_OBJECTS=1",
        "GIT_LITERAL_PATHSPECS=1", "GIT_OPTIONAL_LOCKS=0", "GIT_PROTOCOL_FROM_USER=0",
    ]

    /// What every command is told. Objects and references are on disk before git answers; objects are checked as they come
    /// in; memory is bounded; nothing runs by itself.
    private static let settings = [
        "core.fsync=all", "core.fsyncMethod=batch", "core.hooksPath=/dev/null", "core.bigFileThreshold=32m",
        "core.packedGitLimit=256m", "core.packedGitWindowSize=16m", "core.deltaBaseCacheLimit=32m",
        "core.logAllRefUpdates=false", "core.quotePath=false", "core.useReplaceRefs=false", "core.commitGraph=false",
        "safe.directory=*", "gc.auto=0", "maintenance.auto=false",
        "pack.threads=1", "pack.windowMemory=32m", "pack.deltaCacheSize=32m", "pack.packSizeLimit=0",
        "receive.fsckObjects=true", "receive.maxInputSize=\(Limits.pushBytes)", "receive.autogc=false",
        "receive.denyDeletes=false", "receive.denyNonFastForwards=false", "receive.denyDeleteCurrent=refuse",
        "receive.advertisePushOptions=false", "receive.certNonceSeed=", "transfer.hideRefs=refs/martlet",
        "uploadpack.allowAnySHA1InWant=false", "uploadpackfilter.allow=false", "fetch.writeCommitGraph=false",
        "fastimport.unpackLimit=100", "init.defaultBranch=main",
    ]
}
