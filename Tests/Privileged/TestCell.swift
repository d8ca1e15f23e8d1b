import CSandbox
import Dispatch
import Glibc
import Logging
import Sandbox
import Synchronization
import Testing

/// What this host lets the tests do. A missing mechanism is printed once, with its reason.
enum Host {
    static let helper: String? = {
        let found = CellLauncher.findHelper()
        if found == nil { print("SKIPPED: cells: martlet-cell is not beside the test program") }
        return found
    }()

    static let report = SandboxReport.probe(helperPath: helper, logger: Logger(label: "test"))

    static let hasCells: Bool = {
        if !report.canRunCells { print("SKIPPED: cells: \(report.mechanisms.filter { !$0.isAvailable })") }
        return report.canRunCells
    }()

    static let groups: ControlGroups? = {
        var why: [String] = []
        let groups = ControlGroups.detect(logger: Logger(label: "test"), why: &why)
        for reason in why + (groups?.missing ?? []) { print("SKIPPED where needed: \(reason)") }
        return groups
    }()

    static func keeps(_ controller: Controller) -> Bool { groups?.controllers.contains(controller) ?? false }

    static let python = access("/usr/bin/python3", X_OK) == 0
    static let isRoot = geteuid() == 0

    static let launcher = CellLauncher(helperPath: helper ?? "", groups: groups, logger: Logger(label: "test"))
}

/// A cell with what it has said, and waits with a deadline.
final class TestCell: Sendable {
    let cell: Cell
    private let log: EventLog

    convenience init(_ change: (inout CellSpec) -> Void = { _ in }) throws {
        var spec = CellSpec(
            name: "test", tmpBytes: 16 << 20, limits: .init(memoryBytes: 256 << 20, cpuMillis: 2000, processes: 64))
        change(&spec)
        try self.init(spec, launcher: Host.launcher)
    }

    init(_ spec: CellSpec, launcher: CellLauncher) throws {
        let log = EventLog()
        self.log = log
        cell = try launcher.launch(spec) { log.add($0) }
    }

    deinit {
        cell.destroy()
        for listener in cell.listeners { close(listener.descriptor) }
    }

    /// Runs a program to its end.
    func run(
        _ arguments: [String], environment: [(name: String, value: String)] = [], directory: String = "/"
    ) throws -> (exit: ProcessExit, output: String, errors: String) {
        let started = try start(arguments, environment: environment, directory: directory)
        let output = try readToEnd(started.stdout)
        let errors = try readToEnd(started.stderr)
        return (try awaitExit(started.id), output, errors)
    }

    /// Runs Python source; fails the test when it ends badly.
    func python(_ source: String) throws -> String {
        let ran = try run(["/usr/bin/python3", "-I", "-S", "-c", source])
        #expect(ran.exit == .exited(0), "\(ran.errors)")
        return ran.output.trimmed
    }

    func start(
        _ arguments: [String], environment: [(name: String, value: String)] = [], directory: String = "/"
    ) throws -> (id: UInt32, stdout: CInt, stderr: CInt) {
        let id = log.nextID()
        let (output, errors) = (try Cell.outputPipe(), try Cell.outputPipe())
        defer { for descriptor in [output.write, errors.write] { close(descriptor) } }
        do {
            try cell.start(
                ProcessSpec(id: id, arguments: arguments, environment: environment, workingDirectory: directory),
                stdout: output.write, stderr: errors.write)
        } catch {
            for descriptor in [output.read, errors.read] { close(descriptor) }
            throw error
        }
        return (id, output.read, errors.read)
    }

    func awaitExit(_ id: UInt32) throws -> ProcessExit {
        let event = try log.await("exit of \(id)") { if case .exited(id, _) = $0 { true } else { false } }
        guard case .exited(_, let exit) = event else { throw TestFailure("no exit") }
        return exit
    }

    func killAllAndAwait() throws {
        cell.killAll()
        _ = try log.await("allKilled") { $0 == .allKilled }
    }

    func awaitGone() throws -> String {
        guard case .gone(let reason) = try log.await("gone", { if case .gone = $0 { true } else { false } }) else {
            throw TestFailure("not gone")
        }
        return reason
    }

    func descriptor(port: Int) throws -> CInt {
        try #require(cell.listeners.first { $0.port == port }?.descriptor)
    }
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Events in order; each is awaited once.
final class EventLog: Sendable {
    private struct State {
        var events: [CellEvent] = []
        var number: UInt32 = 0
    }
    private let state = Mutex(State())
    private let added = DispatchSemaphore(value: 0)

    func add(_ event: CellEvent) {
        state.withLock { $0.events.append(event) }
        added.signal()
    }

    func nextID() -> UInt32 {
        state.withLock { state in
            state.number += 1
            return state.number
        }
    }

    func await(_ what: String, _ matches: (CellEvent) -> Bool) throws -> CellEvent {
        let deadline = DispatchTime.now() + .seconds(20)
        while true {
            let found = state.withLock { state in
                state.events.firstIndex(where: matches).map { state.events.remove(at: $0) }
            }
            if let found { return found }
            if added.wait(timeout: deadline) == .timedOut { throw TestFailure("no \(what) within 20 s") }
        }
    }
}

/// Whether `descriptor` becomes readable in time.
func isReadable(_ descriptor: CInt, milliseconds: Int32) -> Bool {
    var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&wait, 1, milliseconds) > 0
}

/// Everything until the other end is closed; closes `descriptor`.
func readToEnd(_ descriptor: CInt) throws -> String {
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        guard isReadable(descriptor, milliseconds: 20_000) else {
            throw TestFailure("a process wrote nothing for 20 s")
        }
        let count = read(descriptor, &chunk, chunk.count)
        if count == 0 { return String(decoding: bytes, as: UTF8.self) }
        if count > 0 { bytes.append(contentsOf: chunk.prefix(count)) }
    }
}

/// The next line, or what came of it.
func readLine(_ descriptor: CInt) throws -> String {
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    while true {
        guard isReadable(descriptor, milliseconds: 20_000) else { throw TestFailure("no line within 20 s") }
        guard read(descriptor, &byte, 1) == 1, byte != UInt8(ascii: "\n") else {
            return String(decoding: bytes, as: UTF8.self)
        }
        bytes.append(byte)
    }
}

extension String {
    /// Without the blanks at the end.
    var trimmed: String {
        var text = self[...]
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}

/// A program of the host, its output piped; for what needs another user or a server that is killed.
struct HostProcess {
    let pid: pid_t
    let output: CInt

    init(_ arguments: [String], environment: [String]) throws {
        var pipes: [CInt] = [-1, -1]
        let piped = martlet_pipe(&pipes)
        try #require(piped == 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
        posix_spawn_file_actions_adddup2(&actions, pipes[1], 2)
        let argv = arguments.map { strdup($0) } + [nil]
        let envp = environment.map { strdup($0) } + [nil]
        defer { for text in argv + envp { free(text) } }
        var pid: pid_t = 0
        let error = posix_spawn(&pid, arguments[0], &actions, nil, argv, envp)
        close(pipes[1])
        try #require(error == 0, "spawn \(arguments[0]): \(error)")
        self.pid = pid
        output = pipes[0]
    }

    func await() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : -(status & 0x7F)
    }

    /// This test program again, running only the tests whose names match.
    static func testProgram(filter: String) -> [String] {
        var path = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &path, path.count - 1)
        let program = String(decoding: path.prefix(max(count, 0)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        return [program, "--testing-library", "swift-testing", "--filter", filter]
    }
}
