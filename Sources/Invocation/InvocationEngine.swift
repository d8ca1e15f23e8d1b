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
        var onEmpty: (@Sendable () -> Void)?
    }

    private let state: Mutex<State>
    private let factory: EnvironmentFactory
    private let time: any TimeSource
    private let logger: Logger
    private let queue: AsynchronousQueue
    private let meter: LambdaMeter?

    /// `capacity`: how many environments may exist on this machine at the same time.
    public init(
        factory: EnvironmentFactory, queue: AsynchronousQueue, time: any TimeSource, capacity: Int,
        meter: LambdaMeter? = nil, logger: Logger
    ) {
        self.meter = meter
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
        go(Attempt(function: function, key: key, invocation: invocation, completion: completion), admission, now)
    }

    /// One invocation that holds a lease of the ledger, on its way into an environment.
    private struct Attempt {
        var function: FunctionVersion
        var key: ConcurrencyLedger.FunctionKey
        var invocation: Invocation
        var completion: @Sendable (Result<InvocationResult, any Error>) -> Void
        var number = 1
    }

    private func go(_ attempt: Attempt, _ admission: Admission, _ now: Instant) {
        switch admission {
        case .refused(let error):
            if error.status == 429 { meter?.throttled(attempt.function, as: attempt.invocation.invokedFunctionARN) }
            attempt.completion(.failure(error))
        case .reuse(let environment):
            run(attempt, on: environment)
        case .start(let evicting):
            evicting?.shutdown(reason: .spindown)
            let function = attempt.function
            let environment = factory.start(function, owner: self)
            let poolKey = EnvironmentPool<ExecutionEnvironment>.FunctionKey(scope: function.scope, name: function.name)
            state.withLock {
                $0.pool.started(environment, function: poolKey, generation: function.generation, now: now)
            }
            run(attempt, on: environment)
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
        return place(function, key, now: now, &state)
    }

    /// Finds an environment for an invocation that holds a lease; gives the lease back when there is none.
    private func place(
        _ function: FunctionVersion, _ key: ConcurrencyLedger.FunctionKey, now: Instant, _ state: inout State
    ) -> Admission {
        guard state.pool.hasIdle(generation: function.generation) || state.ledger.mayStart(key, now: now) else {
            state.ledger.release(key)
            return .refused(.throttled(.rate))
        }
        switch state.pool.choose(generation: function.generation, isNear: { $0.isHere }) {
        case .reuse(let environment):
            return .reuse(environment)
        case .full:
            state.ledger.release(key)
            return .refused(.throttled(.account))
        case .start(let evicting):
            return .start(evicting: evicting)
        }
    }

    private func run(_ attempt: Attempt, on environment: ExecutionEnvironment) {
        environment.invoke(attempt.invocation) { [self] result in
            let now = time.now()
            if case .failure(let error as NotDelivered) = result { return tryAgain(attempt, error, now) }
            let (drain, needsSweep, use) = state.withLock { state in
                let use = state.ledger.release(attempt.key)
                // Free again at once, although the runtime has not asked for its next event yet: a client that calls in
                // sequence would otherwise start a second environment. The environment holds the event until it is asked.
                let drain: Bool
                if case .success = result {
                    drain = state.pool.finished(environment, now: now)
                } else {
                    drain = false
                }
                return (drain, state.sweep == nil && !state.isShuttingDown, use)
            }
            attempt.completion(result)
            if let meter, case .success(let answer) = result {
                meter.finished(
                    attempt.function, as: attempt.invocation.invokedFunctionARN,
                    nanoseconds: environment.lastDuration, isError: answer.functionError != nil, concurrent: use)
            }
            if drain { environment.shutdown(reason: .spindown) }
            if needsSweep { scheduleSweep() }
        }
    }

    /// The environment was lost with the event still in the server's hands: another one can have it.
    private func tryAgain(_ attempt: Attempt, _ error: NotDelivered, _ now: Instant) {
        let admission: Admission? = state.withLock { state in
            guard attempt.number < Limits.deliveryAttempts, !state.isShuttingDown else {
                state.ledger.release(attempt.key)
                return nil
            }
            return place(attempt.function, attempt.key, now: now, &state)
        }
        guard let admission else { return attempt.completion(.failure(error.cause)) }
        var attempt = attempt
        attempt.number += 1
        go(attempt, admission, now)
    }

    public func enqueue(_ event: AsynchronousEvent, in transaction: any WriteTransaction) throws {
        try queue.enqueue(event, in: transaction)
    }

    public func generationsChanged(scope: AccountRegion, function: String, currentGenerations: Set<String>) {
        let stale = state.withLock { $0.pool.setCurrent(currentGenerations, of: .init(scope: scope, name: function)) }
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
            state.pool.ended(environment)
            guard state.isShuttingDown, state.pool.leaving.isEmpty else { return nil }
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
                let isEmpty = state.pool.leaving.isEmpty
                if !isEmpty { state.onEmpty = { continuation.resume() } }
                return (environments: all, isEmpty: isEmpty)
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
