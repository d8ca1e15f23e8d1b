public import Contracts
import Dispatch
public import Logging
public import NIOCore
import NIOPosix
public import Platform
public import Sandbox
import Synchronization

/// How environments are made on this server.
public struct EnvironmentSettings: Sendable {
    public var isolation: Isolation
    public var egress: Egress
    /// Whether environments are frozen between invocations, as on AWS.
    public var freezes: Bool
    /// How long init may take on demand, seconds; 10 on AWS.
    public var initLimitSeconds: Int
    /// How long an environment is idle before it is frozen, milliseconds.
    public var freezeDelayMilliseconds: Int

    public init(
        isolation: Isolation = .namespaces, egress: Egress = .isolated, freezes: Bool = true,
        initLimitSeconds: Int = 10,
        freezeDelayMilliseconds: Int = 50
    ) {
        self.isolation = isolation
        self.egress = egress
        self.freezes = freezes
        self.initLimitSeconds = initLimitSeconds
        self.freezeDelayMilliseconds = freezeDelayMilliseconds
    }
}

/// Why an environment ended, when nobody asked it to: Martlet could not make or keep it, or the function cannot run in any.
public struct EnvironmentFailure: Error, Sendable, CustomStringConvertible {
    public var message: String
    public var cause: (any Error)?
    public var description: String { message }
}

/// The environment was lost, or shut down, before the function had the event: another environment can be given it.
public struct NotDelivered: Error, CustomStringConvertible {
    public let cause: any Error
    public var description: String { "the event was not delivered: \(cause)" }
}

/// Hears of an environment's changes. Called on the environment's event loop, with no lock held.
public protocol EnvironmentOwner: AnyObject, Sendable {
    /// Init is done, or an invocation: the environment may take one.
    func environmentIsIdle(_ environment: ExecutionEnvironment)
    /// Its resources are released; it takes nothing any more.
    func environmentHasEnded(_ environment: ExecutionEnvironment, failure: EnvironmentFailure?)
}

public enum ShutdownReason: String, Sendable, Hashable {
    /// Idle for long, replaced by another generation, or the server ends.
    case spindown
    case timeout
    case failure
}

/// Makes execution environments.
public final class EnvironmentFactory: Sendable {
    /// What all environments share.
    struct Parts: Sendable {
        var cells: any CellMaker
        var runtimes: RuntimeCatalog
        var endpoint: any CellEndpoint
        var credentials: any CredentialIssuer
        var logs: any LogSink
        var time: any TimeSource
        var settings: EnvironmentSettings
        var logger: Logger
        /// Where what blocks for milliseconds is done: making, starting, destroying.
        var background: DispatchQueue
    }

    private let parts: Parts
    private let group: any EventLoopGroup
    private let loops: [any EventLoop]

    public convenience init(
        launcher: CellLauncher, runtimes: RuntimeCatalog, endpoint: any CellEndpoint,
        credentials: any CredentialIssuer, logs: any LogSink, time: any TimeSource, group: any EventLoopGroup,
        settings: EnvironmentSettings, logger: Logger
    ) {
        self.init(
            parts: Parts(
                cells: launcher, runtimes: runtimes, endpoint: endpoint, credentials: credentials, logs: logs,
                time: time, settings: settings, logger: logger,
                background: DispatchQueue(label: "martlet.environments", attributes: .concurrent)),
            group: group)
    }

    init(parts: Parts, group: any EventLoopGroup) {
        self.parts = parts
        self.group = group
        loops = Array(group.makeIterator())
    }

    /// Starts a new environment; never blocks the caller. Its state changes are told to `owner`, which it keeps until
    /// it has ended. It lives on the caller's event loop when that is one of the group's: an invocation then crosses no
    /// thread on its way to the runtime and back.
    public func start(_ function: FunctionVersion, owner: any EnvironmentOwner) -> ExecutionEnvironment {
        let own = MultiThreadedEventLoopGroup.currentEventLoop.flatMap { here in loops.first { $0 === here } }
        let environment = ExecutionEnvironment(function: function, loop: own ?? group.next(), time: parts.time)
        environment.begin(parts: parts, owner: owner)
        return environment
    }
}

/// One execution environment: a cell with a function's runtime in it, and at most one invocation at a time.
public final class ExecutionEnvironment: Sendable, Hashable {
    /// 32 hexadecimal digits; the end of its log stream's name.
    public let id: String
    public let function: FunctionVersion
    /// `YYYY/MM/DD/[VERSION]id`.
    public let logStream: String
    private let loop: any EventLoop
    private let core: NIOLoopBoundBox<EnvironmentCore?>
    private let duration = Atomic<UInt64>(0)

    /// How long the invocation ran that has ended last, in nanoseconds, as its REPORT line says it. Set before its completion is
    /// called.
    public var lastDuration: UInt64 { duration.load(ordering: .relaxed) }

    func ran(nanoseconds: UInt64) { duration.store(nanoseconds, ordering: .relaxed) }

    init(function: FunctionVersion, loop: any EventLoop, time: any TimeSource) {
        id = Identifier.hex(32)
        self.function = function
        self.loop = loop
        logStream = logStreamName(function, now: time.now(), suffix: id)
        core = NIOLoopBoundBox.makeEmptyBox(valueType: EnvironmentCore.self, eventLoop: loop)
    }

    func begin(parts: EnvironmentFactory.Parts, owner: any EnvironmentOwner) {
        run { [self] in
            let core = EnvironmentCore(environment: self, owner: owner, parts: parts, loop: loop)
            self.core.value = core
            core.begin()
        }
    }

    /// Hands over one invocation. May be called as soon as `start` has returned: it waits for init. The completion is
    /// called exactly once, on the environment's event loop. Everything that comes of a function (its error, timeout,
    /// exit, lack of memory, failed init) is an `InvocationResult`; a failure means that the environment could not be
    /// made or was lost (`AWSError`, `Failure`; `NotDelivered` when the function has not had the event), or is busy
    /// (`Failure`, code `bug`).
    public func invoke(
        _ invocation: Invocation, completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        run { [core] in
            core.value?.invoke(invocation, completion)
        }
    }

    /// Whether the caller runs on this environment's event loop, so that handing over costs no wake-up of a thread.
    public var isHere: Bool { loop.inEventLoop }

    /// Ends the environment after the invocation that runs or waits, and releases everything.
    public func shutdown(reason: ShutdownReason) {
        run { [core] in core.value?.shutdown(reason) }
    }

    private func run(_ body: @escaping @Sendable () -> Void) {
        if loop.inEventLoop { body() } else { loop.execute(body) }
    }

    public static func == (a: ExecutionEnvironment, b: ExecutionEnvironment) -> Bool { a === b }
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
