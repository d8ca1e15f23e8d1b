import Contracts
import NIOCore
import Platform

/// A parked `GET …/invocation/next`.
typealias PollID = UInt64

/// The life of one execution environment, from the first process to the last: what happens next, and nothing else.
/// Times are monotonic nanoseconds. The shell (`EnvironmentCore`) does what the answered actions say, in their order.
///
///     created → starting → initializing → idle ⇄ running
///                               ↓           ↓       ↓
///                            resetting ←────┴───────┘       failed init, exit, timeout: every process is killed
///                               ↓
///                            dormant → initializing         the next invocation runs init again ("suppressed init")
///     any → destroying → ended
///
/// There is no SIGTERM before the end: AWS gives a runtime time for it only when extensions are registered (2.7).
struct EnvironmentMachine: Sendable {
    struct Settings: Sendable {
        var timeoutSeconds: Int
        var initLimit: UInt64 = .seconds(Limits.initSeconds)
        /// Nil when environments are not frozen between invocations.
        var freezeDelay: UInt64? = .milliseconds(Limits.freezeDelayMilliseconds)
        var resetLimit: UInt64 = .milliseconds(Limits.resetMilliseconds)

        var timeout: UInt64 { .seconds(UInt64(max(timeoutSeconds, 0))) }
    }

    enum InitPhase: String, Sendable {
        /// The first start, under the init limit.
        case initial = "init"
        /// Again, inside an invocation and under its timeout.
        case invoke
    }

    enum Status: Sendable, Equatable {
        case success
        case timeout
        case error(String)
    }

    enum Action: Sendable {
        case launchCell
        /// Starts the runtime; connections and pipes of an earlier process are done with.
        case startRuntime(process: UInt32, phase: InitPhase)
        case thaw
        case freeze
        /// Answers the poll with the event. `deadline` is on the monotonic clock.
        case deliver(PollID, Invocation, deadline: UInt64)
        /// Answers the caller and reports.
        case finish(Finish)
        /// Answers the caller: the environment could not be made, or was lost with the event in the function's hands.
        case fail(any Error)
        /// The environment was lost before the function had the event: another environment can have it.
        case giveBack(any Error)
        case reportInit(InitReport)
        case killAll
        case destroyCell
        case tellIdle
        case tellEnded
    }

    /// The end of one invocation.
    struct Finish: Sendable {
        var requestID: String
        var payload: ByteBuffer
        /// Whether the caller is told of a function error.
        var isError: Bool
        /// Whether the runtime itself reported the error, and is well; REPORT is silent about those.
        var isHandled = false
        var status: Status
        var duration: UInt64
        /// Of the init that came before this invocation; only on the first.
        var initDuration: UInt64?
    }

    struct InitReport: Sendable, Equatable {
        var phase: InitPhase
        var status: Status
        var duration: UInt64
    }

    struct Waiting: Sendable {
        var invocation: Invocation
        /// Set when init runs inside this invocation.
        var startedAt: UInt64?
    }

    struct Initializing: Sendable {
        var startedAt: UInt64
        var phase: InitPhase
        var waiting: Waiting?
    }

    struct Running: Sendable {
        enum Stage: Sendable { case undelivered, delivered, streaming, responded }
        var invocation: Invocation
        var startedAt: UInt64
        var deadline: UInt64
        var stage: Stage
        /// Came after the answer and before the runtime asked again; delivered when it asks.
        var following: Invocation?
    }

    struct Idle: Sendable {
        var since: UInt64
        var frozen: Bool
    }

    /// How the environment ended, which answers whoever comes too late.
    enum Ending: Sendable {
        case shutDown
        /// It could not be made.
        case failed(any Error)
        /// It was there, and its cell is gone.
        case lost(any Error)
        /// The function cannot run at all; not Martlet's fault.
        case function(FunctionFailure)
    }

    enum State: Sendable {
        case created
        case starting(Waiting?)
        case initializing(Initializing)
        case idle(Idle)
        case running(Running)
        /// Every process is being killed; `owed` is a failure that happened while nobody was waiting.
        case resetting(since: UInt64, waiting: Waiting?, owed: FunctionFailure?)
        case dormant(owed: FunctionFailure?)
        case destroying(Ending)
        case ended(Ending)
    }

    var state = State.created
    let settings: Settings
    /// Of the current runtime process; earlier ones are forgotten.
    private(set) var process: UInt32 = 0
    var polls: [PollID] = []
    var isShuttingDown = false
    /// Whether the owner was told that an invocation may come, and none has since.
    private var isAnnounced = false
    /// Of the init that no report has shown yet.
    var initDuration: UInt64?

    init(settings: Settings) { self.settings = settings }

    /// When `tick` has something to do, if nothing else happens before. A later or earlier call does no harm.
    var wakeAt: UInt64? {
        switch state {
        case .initializing(let phase):
            if let started = phase.waiting?.startedAt { return started &+ settings.timeout }
            return phase.startedAt &+ settings.initLimit
        case .idle(let idle):
            guard let delay = settings.freezeDelay, !idle.frozen else { return nil }
            return idle.since &+ delay
        case .running(let running): return running.deadline
        case .resetting(let since, _, _): return since &+ settings.resetLimit
        default: return nil
        }
    }

    enum Activity: Sendable { case busy, idle, none }

    /// Whether processes may write something.
    var activity: Activity {
        switch state {
        case .initializing, .running: .busy
        case .idle(let idle): idle.frozen ? .none : .idle
        default: .none
        }
    }

    // MARK: The cell

    mutating func start() -> [Action] {
        guard case .created = state else { return [] }
        state = .starting(nil)
        return [.launchCell]
    }

    mutating func cellReady(now: UInt64) -> [Action] {
        guard case .starting(let waiting) = state else { return [] }
        if isShuttingDown, waiting == nil { return destroy(.shutDown) }
        return startRuntime(phase: .initial, waiting: waiting, now: now)
    }

    /// There will be no cell: Martlet's failure, or a function that cannot run whatever the cell.
    mutating func cannotStart(_ ending: Ending) -> [Action] {
        guard case .starting(let waiting) = state else { return [] }
        state = .ended(ending)
        guard let waiting else { return [.tellEnded] }
        switch ending {
        case .function(let failure): return [finish(waiting.invocation, failure, duration: 0), .tellEnded]
        case .failed(let error): return [.fail(error), .tellEnded]
        case .lost(let error): return [.giveBack(error), .tellEnded]
        case .shutDown: return [.giveBack(Self.gone), .tellEnded]
        }
    }

    /// The cell is lost: its helper died, or does not answer.
    mutating func cellGone(_ error: any Error) -> [Action] {
        switch state {
        // While it starts, launching answers: cellReady or cannotStart.
        case .created, .starting, .destroying, .ended: return []
        case .initializing(let phase):
            return (phase.waiting == nil ? [] : [.giveBack(error)]) + destroy(.lost(error))
        case .running(let running):
            switch running.stage {
            case .undelivered: return [.giveBack(error)] + destroy(.lost(error))
            case .delivered, .streaming: return [.fail(error)] + destroy(.lost(error))
            case .responded: return (running.following == nil ? [] : [.giveBack(error)]) + destroy(.lost(error))
            }
        case .resetting(_, let waiting, _):
            return (waiting == nil ? [] : [.giveBack(error)]) + destroy(.lost(error))
        case .idle, .dormant: return destroy(.lost(error))
        }
    }

    /// Every resource of the cell is released.
    mutating func cellDestroyed() -> [Action] {
        guard case .destroying(let ending) = state else { return [] }
        state = .ended(ending)
        return [.tellEnded]
    }

    // MARK: Processes

    /// The runtime could not be executed. A nil failure is not the function's own fault.
    mutating func startFailed(process: UInt32, _ failure: FunctionFailure, now: UInt64) -> [Action] {
        guard process == self.process, case .initializing = state else { return [] }
        return runtimeEnded(failure, now: now)
    }

    mutating func processExited(process: UInt32, _ end: ProcessEnd, now: UInt64) -> [Action] {
        guard process == self.process else { return [] }
        return runtimeEnded(.exited(end), now: now)
    }

    /// The processes hold more memory than the function may have; the kernel does not know of that limit, because its own
    /// includes `/tmp`.
    mutating func memoryExceeded(process: UInt32, now: UInt64) -> [Action] {
        guard process == self.process else { return [] }
        let failure = FunctionFailure.exited(.outOfMemory)
        switch state {
        case .running(let running) where running.stage == .responded:
            // Seen only after the answer: the next caller is told, or nobody would ever be.
            if let following = running.following {
                return [finish(following, failure, duration: 0)] + reset(waiting: nil, owed: nil, now: now)
            }
            return reset(waiting: nil, owed: failure, now: now)
        case .initializing, .running, .idle: return runtimeEnded(failure, now: now)
        default: return []
        }
    }

    private mutating func runtimeEnded(_ failure: FunctionFailure, now: UInt64) -> [Action] {
        switch state {
        case .initializing(let phase):
            return initFailed(phase, status: .error(failure.reportedType), now: now) {
                failure.payload(requestID: $0)
            }
        case .idle:
            // Nobody waits: the next caller is told (3.4).
            return reset(waiting: nil, owed: failure, now: now)
        case .running(let running):
            var actions: [Action] = []
            if running.stage != .responded {
                actions.append(finish(running.invocation, failure, duration: elapsed(running, now)))
            }
            return actions + reset(waiting: running.followingWaiting, owed: nil, now: now)
        default: return []
        }
    }

    /// Every process of the cell but its init is dead and reaped.
    mutating func allKilled(now: UInt64) -> [Action] {
        guard case .resetting(_, let waiting, let owed) = state else { return [] }
        if let waiting { return startRuntime(phase: .invoke, waiting: waiting, now: now) }
        if isShuttingDown { return destroy(.shutDown) }
        state = .dormant(owed: owed)
        return announce()
    }

    private mutating func startRuntime(phase: InitPhase, waiting: Waiting?, now: UInt64) -> [Action] {
        var waiting = waiting
        if phase == .invoke { waiting?.startedAt = now }
        process &+= 1
        polls.removeAll()
        state = .initializing(Initializing(startedAt: now, phase: phase, waiting: waiting))
        return [.startRuntime(process: process, phase: phase)]
    }

    mutating func reset(waiting: Waiting?, owed: FunctionFailure?, now: UInt64) -> [Action] {
        initDuration = nil
        if isShuttingDown, waiting == nil { return destroy(.shutDown) }
        var actions: [Action] = []
        if case .idle(let idle) = state, idle.frozen { actions.append(.thaw) }
        polls.removeAll()
        state = .resetting(since: now, waiting: waiting, owed: owed)
        actions.append(.killAll)
        return actions
    }

    mutating func destroy(_ ending: Ending) -> [Action] {
        var actions: [Action] = []
        if case .idle(let idle) = state, idle.frozen { actions.append(.thaw) }
        polls.removeAll()
        state = .destroying(ending)
        actions.append(.destroyCell)
        return actions
    }

    // MARK: Invocations

    /// A caller wants to run the function. The error, when there is one, is the answer.
    mutating func invocationArrived(_ invocation: Invocation, now: UInt64) -> (refusal: (any Error)?, [Action]) {
        let wasAnnounced = isAnnounced
        isAnnounced = false
        switch state {
        case .ended(.function(let failure)):
            return (nil, [finish(invocation, failure, duration: 0)])
        case .ended(.failed(let error)), .destroying(.failed(let error)):
            return (error, [])
        case .ended(.lost(let error)), .destroying(.lost(let error)):
            return (NotDelivered(cause: error), [])
        case _ where isShuttingDown: break
        case .starting(nil):
            state = .starting(Waiting(invocation: invocation))
            return (nil, [])
        case .initializing(var phase) where phase.waiting == nil:
            phase.waiting = Waiting(invocation: invocation, startedAt: phase.phase == .invoke ? now : nil)
            state = .initializing(phase)
            return (nil, [])
        case .idle(let idle):
            let thaw: [Action] = idle.frozen ? [.thaw] : []
            return (nil, thaw + run(invocation, startedAt: now))
        case .running(var running) where running.stage == .responded && running.following == nil:
            running.following = invocation
            state = .running(running)
            return (nil, [])
        case .resetting(let since, nil, let owed):
            if let owed {
                state = .resetting(since: since, waiting: nil, owed: nil)
                return (nil, [finish(invocation, owed, duration: 0)])
            }
            state = .resetting(since: since, waiting: Waiting(invocation: invocation), owed: nil)
            return (nil, [])
        case .dormant(let owed?):
            state = .dormant(owed: nil)
            return (nil, [finish(invocation, owed, duration: 0)] + announce())
        case .dormant(nil):
            return (nil, startRuntime(phase: .invoke, waiting: Waiting(invocation: invocation), now: now))
        default:
            isAnnounced = wasAnnounced
            return (Failure(.bug, "the environment was given an invocation while it was busy"), [])
        }
        return (NotDelivered(cause: Self.gone), [])
    }

    /// Runs an invocation now: delivers it when the runtime has asked for one.
    mutating func run(_ invocation: Invocation, startedAt: UInt64) -> [Action] {
        let deadline = startedAt &+ settings.timeout
        var running = Running(
            invocation: invocation, startedAt: startedAt, deadline: deadline, stage: .undelivered)
        var actions: [Action] = []
        if !polls.isEmpty {
            running.stage = .delivered
            actions.append(.deliver(polls.removeFirst(), invocation, deadline: deadline))
        }
        state = .running(running)
        return actions
    }

    mutating func finish(_ invocation: Invocation, _ failure: FunctionFailure, duration: UInt64) -> Action {
        finish(
            invocation, payload: failure.payload(requestID: invocation.requestID), isError: true,
            status: .error(failure.reportedType), duration: duration)
    }

    mutating func finish(
        _ invocation: Invocation, payload: ByteBuffer, isError: Bool, isHandled: Bool = false, status: Status,
        duration: UInt64
    ) -> Action {
        defer { initDuration = nil }
        return .finish(
            Finish(
                requestID: invocation.requestID, payload: payload, isError: isError, isHandled: isHandled,
                status: status, duration: duration, initDuration: initDuration))
    }

    func elapsed(_ running: Running, _ now: UInt64) -> UInt64 {
        now > running.startedAt ? now - running.startedAt : 0
    }

    mutating func announce() -> [Action] {
        if isAnnounced { return [] }
        isAnnounced = true
        return [.tellIdle]
    }

    // MARK: Time and the end

    mutating func tick(now: UInt64) -> [Action] {
        guard let due = wakeAt, now >= due else { return [] }
        switch state {
        case .initializing(let phase):
            guard phase.phase == .invoke || phase.waiting?.startedAt != nil, let waiting = phase.waiting else {
                let report = InitReport(phase: phase.phase, status: .timeout, duration: now &- phase.startedAt)
                return [.reportInit(report)] + reset(waiting: phase.waiting, owed: nil, now: now)
            }
            let report = InitReport(phase: .invoke, status: .timeout, duration: now &- phase.startedAt)
            return [.reportInit(report), timedOut(waiting.invocation)] + reset(waiting: nil, owed: nil, now: now)
        case .idle(var idle):
            idle.frozen = true
            state = .idle(idle)
            return [.freeze]
        case .running(let running):
            // A runtime that has answered and does not come back is reset silently.
            let answer = running.stage == .responded ? [] : [timedOut(running.invocation)]
            return answer + reset(waiting: running.followingWaiting, owed: nil, now: now)
        case .resetting:
            return cellGone(Failure(.sandbox, "the processes of an environment could not be killed in time"))
        default: return []
        }
    }

    private mutating func timedOut(_ invocation: Invocation) -> Action {
        let failure = FunctionFailure.timedOut(seconds: settings.timeoutSeconds)
        return finish(
            invocation, payload: failure.payload(requestID: invocation.requestID), isError: true, status: .timeout,
            duration: settings.timeout)
    }

    /// No further invocations; the environment ends when the one that runs or waits is answered.
    mutating func shutdown(now: UInt64) -> [Action] {
        guard !isShuttingDown else { return [] }
        isShuttingDown = true
        switch state {
        case .created:
            state = .ended(.shutDown)
            return [.tellEnded]
        case .initializing(let phase) where phase.waiting == nil: return destroy(.shutDown)
        case .idle: return destroy(.shutDown)
        case .running(let running) where !running.isOwed: return destroy(.shutDown)
        case .resetting(_, nil, _), .dormant: return destroy(.shutDown)
        default: return []
        }
    }

    private static let gone = Failure(.unavailable, "the execution environment is shutting down")
}

extension EnvironmentMachine.Running {
    /// Whether some caller still waits for an answer.
    var isOwed: Bool { stage != .responded || following != nil }

    var followingWaiting: EnvironmentMachine.Waiting? { following.map { EnvironmentMachine.Waiting(invocation: $0) } }
}
