import Contracts
import Dispatch
import Glibc
import Logging
import NIOCore
import NIOPosix
import Platform
import Sandbox
import Synchronization
import Testing

@testable import Execution

/// Keeps what functions log.
final class RecordingSink: LogSink {
    private let events = Mutex<[(stream: String, message: String)]>([])

    func append(scope: AccountRegion, group: String, stream: String, events new: [Contracts.LogEvent]) {
        events.withLock { $0 += new.map { (stream, $0.message) } }
    }
    func flush() async {}

    var messages: [String] { events.withLock { $0.map(\.message) } }
    func messages(of environment: ExecutionEnvironment) -> [String] {
        events.withLock { $0.filter { $0.stream == environment.logStream }.map(\.message) }
    }
}

struct FixedCredentials: CredentialIssuer {
    func issue(
        roleARN: String, sessionName: String, account: String, tags: [SessionTag], lifetime: Duration, now: Instant
    ) -> SessionCredentials {
        SessionCredentials(
            accessKeyID: "ASIATEST", secretAccessKey: Secret("secret"), sessionToken: Secret("token"),
            expiration: now + lifetime)
    }
    func lookup(accessKeyID: String, sessionToken: String?, now: Instant) -> KnownCredentials? { nil }
}

/// An AWS endpoint that takes the listener and serves nothing.
struct SilentEndpoint: CellEndpoint {
    struct Adopted: ClosableEndpoint {
        var descriptor: CInt
        func close() { _ = Glibc.close(descriptor) }
    }
    func adopt(listener descriptor: CInt, for identity: CellIdentity) async throws -> any ClosableEndpoint {
        Adopted(descriptor: descriptor)
    }
}

/// Hears of environments and lets tests wait for that.
final class RecordingOwner: EnvironmentOwner {
    struct State {
        var idle = 0
        var ended: [EnvironmentFailure?] = []
    }
    private let state = Mutex(State())

    func environmentIsIdle(_ environment: ExecutionEnvironment) { state.withLock { $0.idle += 1 } }
    func environmentHasEnded(_ environment: ExecutionEnvironment, failure: EnvironmentFailure?) {
        state.withLock { $0.ended.append(failure) }
    }
    var idleCount: Int { state.withLock { $0.idle } }
    var ended: [EnvironmentFailure?] { state.withLock { $0.ended } }
}

/// Waits, in steps of a millisecond, until something is so; fails the test after a while.
func eventually(
    _ what: String, within seconds: Double = 20, sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () -> Bool
) async {
    for _ in 0..<Int(seconds * 1000) {
        if condition() { return }
        try? await Task.sleep(nanoseconds: 1_000_000)
    }
    Issue.record("it never came to be that \(what)", sourceLocation: sourceLocation)
}

extension ExecutionEnvironment {
    func invoke(
        _ payload: String = "{}", id: String = Identifier.uuid(), tail: Bool = false, clientContext: String? = nil
    ) async throws -> InvocationResult {
        let invocation = Invocation(
            requestID: id, payload: ByteBuffer(string: payload),
            invokedFunctionARN: "arn:aws:lambda:us-east-1:000000000000:function:f", clientContext: clientContext,
            traceID: "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0", wantsLogTail: tail)
        return try await withCheckedThrowingContinuation { continuation in
            invoke(invocation) { continuation.resume(with: $0) }
        }
    }
}

extension InvocationResult {
    var text: String { String(buffer: payload) }
    var tail: String { String(decoding: logTail ?? [], as: UTF8.self) }
}

/// A directory that goes away with the test.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/martlet-execution-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        path = try #require(made)
        chmod(path, 0o755)
    }

    deinit {
        // nftw is not worth it here: tests make flat directories.
        if let directory = opendir(path) {
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != "." && name != ".." { unlink(path + "/" + name) }
            }
            closedir(directory)
        }
        rmdir(path)
    }

    @discardableResult
    func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws -> String {
        let file = path + "/" + name
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        #expect(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
        chmod(file, mode)
        return file
    }
}

func makeFunction(
    code: String, runtime: String = "provided.al2023", handler: String = "index.handler", timeout: Int = 10,
    memory: Int = 256, environment: [(name: String, value: String)] = [],
    format: FunctionVersion.LoggingSettings.Format = .text, systemLevel: String = "INFO"
) -> FunctionVersion {
    FunctionVersion(
        scope: AccountRegion(account: "000000000000", region: "us-east-1"), name: "f", version: "$LATEST",
        generation: "1", functionARN: "arn:aws:lambda:us-east-1:000000000000:function:f", runtime: runtime,
        handler: handler, architecture: "x86_64", memoryMB: memory, timeoutSeconds: timeout, ephemeralStorageMB: 512,
        environment: Secret(environment), roleARN: "arn:aws:iam::000000000000:role/r", codeDirectory: code,
        layersDirectory: nil,
        logging: .init(format: format, applicationLevel: "INFO", systemLevel: systemLevel, group: "/aws/lambda/f"),
        reservedConcurrency: nil, tracingActive: false)
}

/// What the host lets the tests do.
enum Host {
    static let helper = CellLauncher.findHelper()
    static let hasCells: Bool = {
        guard let helper else {
            print("SKIPPED: cells: martlet-cell is not beside the test program")
            return false
        }
        let report = SandboxReport.probe(helperPath: helper, logger: Logger(label: "test"))
        if !report.canRunCells { print("SKIPPED: cells: \(report.mechanisms.filter { !$0.isAvailable })") }
        return report.canRunCells && access("/usr/bin/python3", X_OK) == 0
    }()
    static let launcher = CellLauncher(
        helperPath: helper ?? "", groups: ControlGroups.detect(logger: Logger(label: "test")),
        logger: Logger(label: "test"))
    /// What set-up has prepared, in the checkout or where MARTLET_RUNTIMES says.
    static let catalog = RuntimeCatalog(
        root: getenv("MARTLET_RUNTIMES").map { String(cString: $0) } ?? ".cache/runtimes".absolute)
    static func has(_ runtime: String) -> Bool {
        guard hasCells, case .success = catalog.resolve(runtime: runtime) else {
            print("SKIPPED: \(runtime): \(catalog.problems)")
            return false
        }
        return true
    }
}

extension String {
    fileprivate var absolute: String {
        guard let directory = getcwd(nil, 0) else { return self }
        defer { free(directory) }
        return String(cString: directory) + "/" + self
    }
}

/// A factory with everything real but the AWS endpoint, and what it told.
struct Bench {
    let sink = RecordingSink()
    let owner = RecordingOwner()
    let factory: EnvironmentFactory

    init(settings: EnvironmentSettings = EnvironmentSettings()) {
        factory = EnvironmentFactory(
            launcher: Host.launcher, runtimes: Host.catalog, endpoint: SilentEndpoint(),
            credentials: FixedCredentials(),
            logs: sink, time: SystemTime(), group: NIOSingletons.posixEventLoopGroup, settings: settings,
            logger: Logger(label: "test"))
    }

    /// Runs a test with an environment, and sees that it leaves nothing.
    func with(
        _ function: FunctionVersion, endsByItself: Bool = false, _ body: (ExecutionEnvironment) async throws -> Void
    ) async throws {
        let environment = factory.start(function, owner: owner)
        do { try await body(environment) } catch { Issue.record(error) }
        if !endsByItself { environment.shutdown(reason: .spindown) }
        await eventually("the environment has ended") { owner.ended.count == 1 }
    }
}
