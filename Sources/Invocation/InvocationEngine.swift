public import Contracts
public import Execution
public import Logging
import NIOCore
public import Platform
public import Storage
import Synchronization
import Wire

/// Runs functions: asks the ledger, takes an environment from the pool or starts one, hands the invocation over.
///
/// The warm path takes one lock twice and makes no task and no database read.
public final class InvocationEngine: FunctionInvoker, EnvironmentOwner {
    private struct State {
        var ledger = ConcurrencyLedger()
        var pool: EnvironmentPool<ExecutionEnvironment>
        var isShuttingDown = false
        var sweep: ScheduledCall?
        /// Environments told to shut down and not gone yet.
        var leaving: Set<ExecutionEnvironment> = []
        var onEmpty: (@Sendable () -> Void)?
    }

    private let state: Mutex<State>
    private let factory: EnvironmentFactory
    private let time: any TimeSource
    private let logger: Logger
    private let queue: AsynchronousQueue

    /// `capacity`: how many environments may exist on this machine at the same time.
    public init(
        factory: EnvironmentFactory, queue: AsynchronousQueue, time: any TimeSource, capacity: Int, logger: Logger
    ) {
        self.factory = factory
        self.queue = queue
        self.time = time
        self.logger = logger
        self.state = Mutex(State(pool: EnvironmentPool(capacity: capacity)))
    }

    public func invoke(
        _ function: FunctionVersion, _ invocation: Invocation,
        completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        let key = ConcurrencyLedger.FunctionKey(scope: function.scope, name: function.name)
        let now = time.now()
        let admission = state.withLock { state in admit(function, key, now: now, &state) }
        switch admission {
        case .refused(let error):
            completion(.failure(error))
        case .reuse(let environment):
            run(invocation, on: environment, key, completion)
        case .start(let evicting):
            evicting?.shutdown(reason: .spindown)
            let environment = factory.start(function, owner: self)
            let poolKey = EnvironmentPool<ExecutionEnvironment>.FunctionKey(scope: function.scope, name: function.name)
            state.withLock { $0.pool.started(environment, function: poolKey, generation: function.generation) }
            run(invocation, on: environment, key, completion)
        }
    }

    private enum Admission {
        case refused(AWSError)
        case reuse(ExecutionEnvironment)
        case start(evicting: ExecutionEnvironment?)
    }

    private func admit(
        _ function: FunctionVersion, _ key: ConcurrencyLedger.FunctionKey, now: Instant, _ state: inout State
    ) -> Admission {
        guard !state.isShuttingDown else {
            return .refused(
                AWSError("ServiceException", status: 503, "Martlet is shutting down.", fields: ["Type": "Service"]))
        }
        if let reason = state.ledger.acquire(key) { return .refused(.throttled(reason)) }
        guard state.pool.hasIdle(generation: function.generation) || state.ledger.mayStart(key, now: now) else {
            state.ledger.release(key)
            return .refused(.throttled(.rate))
        }
        switch state.pool.choose(generation: function.generation) {
        case .reuse(let environment):
            return .reuse(environment)
        case .full:
            state.ledger.release(key)
            return .refused(.throttled(.account))
        case .start(let evicting):
            if let evicting { state.leaving.insert(evicting) }
            return .start(evicting: evicting)
        }
    }

    private func run(
        _ invocation: Invocation, on environment: ExecutionEnvironment, _ key: ConcurrencyLedger.FunctionKey,
        _ completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        environment.invoke(invocation) { [self] result in
            let now = time.now()
            let (drain, needsSweep) = state.withLock { state in
                state.ledger.release(key)
                // Free again at once, although the runtime has not asked for its next event yet: a client that calls in
                // sequence would otherwise start a second environment. The environment holds the event until it is asked.
                let drain: Bool
                if case .success = result {
                    drain = state.pool.finished(environment, now: now)
                } else {
                    drain = false
                }
                if drain { state.leaving.insert(environment) }
                return (drain, state.sweep == nil && !state.isShuttingDown)
            }
            completion(result)
            if drain { environment.shutdown(reason: .spindown) }
            if needsSweep { scheduleSweep() }
        }
    }

    public func enqueue(_ event: AsynchronousEvent, in transaction: any WriteTransaction) throws {
        try queue.enqueue(event, in: transaction)
    }

    public func generationsChanged(scope: AccountRegion, function: String, currentGenerations: Set<String>) {
        let stale = state.withLock { state in
            let stale = state.pool.setCurrent(currentGenerations, of: .init(scope: scope, name: function))
            state.leaving.formUnion(stale)
            return stale
        }
        for environment in stale { environment.shutdown(reason: .spindown) }
    }

    public func setReservedConcurrency(scope: AccountRegion, function: String, _ reserved: Int?) {
        state.withLock { $0.ledger.reserve(.init(scope: scope, name: function), reserved) }
    }

    // MARK: EnvironmentOwner

    public func environmentIsIdle(_ environment: ExecutionEnvironment) {
        // The pool knows already, from the answer of the invocation.
    }

    public func environmentHasEnded(_ environment: ExecutionEnvironment, failure: EnvironmentFailure?) {
        if let failure {
            logger.warning(
                "execution environment ended", metadata: ["environment": "\(environment.id)", "cause": "\(failure)"])
        }
        let empty: (@Sendable () -> Void)? = state.withLock { state in
            if state.leaving.remove(environment) == nil { state.pool.ended(environment) }
            guard state.isShuttingDown, state.leaving.isEmpty else { return nil }
            defer { state.onEmpty = nil }
            return state.onEmpty
        }
        empty?()
    }

    /// What the engine is doing, in Prometheus's text format.
    public var metricLines: String {
        let (environments, idle) = state.withLock { ($0.pool.count, $0.pool.idleCount) }
        return """
            # HELP martlet_environments Execution environments that exist.
            # TYPE martlet_environments gauge
            martlet_environments \(environments)
            # HELP martlet_environments_idle Execution environments that wait for an invocation.
            # TYPE martlet_environments_idle gauge
            martlet_environments_idle \(idle)

            """
    }

    // MARK: Idle environments and shutdown

    /// Only runs while there is something to evict, so that an idle server does not wake up.
    private func scheduleSweep() {
        let call = time.schedule(at: time.now() + Limits.idleSweepInterval) { [weak self] in self?.sweep() }
        let surplus = state.withLock { state -> ScheduledCall? in
            guard state.sweep == nil, !state.isShuttingDown else { return call }
            state.sweep = call
            return nil
        }
        surplus?.cancel()
    }

    private func sweep() {
        let deadline = time.now() - Limits.idleEnvironmentLifetime
        let (old, again) = state.withLock { state in
            state.sweep = nil
            let old = state.pool.evict(idleSince: deadline)
            state.leaving.formUnion(old)
            return (old, state.pool.idleCount > 0)
        }
        for environment in old { environment.shutdown(reason: .spindown) }
        if again { scheduleSweep() }
    }

    /// Refuses new invocations, ends every environment, and returns when they are gone.
    public func shutdown() async {
        await queue.stop()
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let all = state.withLock { state in
                state.isShuttingDown = true
                state.sweep?.cancel()
                let all = state.pool.removeAll()
                state.leaving.formUnion(all)
                if !state.leaving.isEmpty { state.onEmpty = { continuation.resume() } }
                return (environments: all, isEmpty: state.leaving.isEmpty)
            }
            for environment in all.environments { environment.shutdown(reason: .spindown) }
            if all.isEmpty { continuation.resume() }
        }
    }
}

extension AWSError {
    /// 429 as recorded on AWS (lambda-semantics 2.6).
    static func throttled(_ reason: ConcurrencyLedger.ThrottleReason) -> AWSError {
        AWSError(
            "TooManyRequestsException", status: 429, "Rate Exceeded.",
            fields: ["Reason": .string(reason.rawValue), "Type": "User"])
    }
}
