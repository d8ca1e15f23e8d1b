import Contracts
import NIOCore

// What the runtime asks and answers.
extension EnvironmentMachine {
    /// The runtime asks for an invocation.
    mutating func runtimeNext(_ poll: PollID, now: UInt64) -> [Action] {
        switch state {
        case .initializing(let phase):
            polls.append(poll)
            return initDone(phase, now: now)
        case .idle:
            polls.append(poll)
            return []
        case .running(var running):
            if running.stage == .responded {
                polls.append(poll)
                if let following = running.following { return run(following, startedAt: now) }
                if isShuttingDown { return destroy(.shutDown) }
                state = .idle(Idle(since: now, frozen: false))
                return announce()
            }
            if running.stage == .streaming {
                // Half an answer is all that there will be.
                let truncated = finish(running.invocation, .truncatedResponse, duration: elapsed(running, now))
                running.stage = .responded
                state = .running(running)
                return [truncated] + runtimeNext(poll, now: now)
            }
            // Asking again without having answered gives the same event again.
            running.stage = .delivered
            state = .running(running)
            return [.deliver(poll, running.invocation, deadline: running.deadline)]
        default: return []
        }
    }

    private mutating func initDone(_ phase: Initializing, now: UInt64) -> [Action] {
        let duration = now > phase.startedAt ? now - phase.startedAt : 0
        let report = Action.reportInit(InitReport(phase: phase.phase, status: .success, duration: duration))
        // Suppressed init is part of the invocation's own duration.
        initDuration = phase.phase == .initial ? duration : nil
        if let waiting = phase.waiting {
            return [report] + run(waiting.invocation, startedAt: waiting.startedAt ?? now)
        }
        if isShuttingDown { return [report] + destroy(.shutDown) }
        state = .idle(Idle(since: now, frozen: false))
        return [report] + announce()
    }

    /// The connection of a parked poll is gone.
    mutating func pollClosed(_ poll: PollID) { polls.removeAll { $0 == poll } }

    /// The runtime answers an invocation.
    mutating func runtimeResponse(requestID: String, _ body: RuntimeBody, now: UInt64) -> (RuntimeReply, [Action]) {
        let target = body.isError ? "InvocationErrorResponse" : "InvocationResponse"
        guard case .running(let running) = state, running.stage != .undelivered,
            running.invocation.requestID == requestID
        else { return (.invalidRequestID, []) }
        // A response that streams ends by `streamEnded` alone.
        guard running.stage == .delivered else { return (.wrongOrder(from: stateName, to: target), []) }
        return finishResponse(running, body, now: now)
    }

    /// The runtime begins to answer an invocation piece by piece. False when the invocation's caller wants it whole, or it is
    /// none that runs: then the request is to be collected and judged at its end.
    mutating func streamBegan(requestID: String) -> Bool {
        guard case .running(var running) = state, running.stage == .delivered,
            running.invocation.requestID == requestID, running.invocation.stream != nil
        else { return false }
        running.stage = .streaming
        state = .running(running)
        return true
    }

    /// Where the pieces go; nil when the invocation is over (timeout, exit), and they go nowhere.
    func stream(of requestID: String) -> ResponseStream? {
        guard case .running(let running) = state, running.stage == .streaming,
            running.invocation.requestID == requestID
        else { return nil }
        return running.invocation.stream
    }

    /// The response has come to its end; `.result` with no bytes when all is well.
    mutating func streamEnded(requestID: String, _ body: RuntimeBody, now: UInt64) -> (RuntimeReply, [Action]) {
        guard case .running(let running) = state, running.stage == .streaming,
            running.invocation.requestID == requestID
        else { return (.invalidRequestID, []) }
        return finishResponse(running, body, now: now)
    }

    private mutating func finishResponse(
        _ given: Running, _ body: RuntimeBody, now: UInt64
    ) -> (RuntimeReply, [Action]) {
        var running = given
        let duration = elapsed(running, now)
        running.stage = .responded
        state = .running(running)
        var actions: [Action]
        var reply = RuntimeReply.accepted
        switch body {
        case .result(let payload):
            actions = [
                finish(running.invocation, payload: payload, isError: false, status: .success, duration: duration)
            ]
        case .error(let payload, let type):
            actions = [
                finish(
                    running.invocation, payload: payload, isError: true, isHandled: true, status: .error(type),
                    duration: duration)
            ]
        case .tooLarge:
            reply = .tooLarge
            actions = [finish(running.invocation, .responseTooLarge, duration: duration)]
        case .invalidMode:
            reply = .invalidResponseMode
            actions = [finish(running.invocation, .invalidResponseMode, duration: duration)]
        case .streamTooLarge:
            reply = .streamTooLarge
            actions = [finish(running.invocation, .streamTooLarge, duration: duration)]
        case .truncated:
            reply = .truncated
            actions = [finish(running.invocation, .truncatedResponse, duration: duration)]
        }
        if isShuttingDown { actions += destroy(.shutDown) }
        return (reply, actions)
    }

    /// The runtime cannot initialise the function.
    mutating func runtimeInitError(payload: ByteBuffer, type: String, now: UInt64) -> (RuntimeReply, [Action]) {
        guard case .initializing(let phase) = state else {
            return (.wrongOrder(from: stateName, to: "InitError"), [])
        }
        return (.accepted, initFailed(phase, status: .error(type), now: now) { _ in payload })
    }

    /// A first init that fails is run once more inside the invocation that waits, and under its timeout ("suppressed
    /// init", 2.7); what fails then is the caller's answer.
    mutating func initFailed(
        _ phase: Initializing, status: Status, now: UInt64, payload: (String) -> ByteBuffer
    ) -> [Action] {
        let duration = now > phase.startedAt ? now - phase.startedAt : 0
        var actions: [Action] = [
            .reportInit(InitReport(phase: phase.phase, status: status, duration: duration))
        ]
        if phase.phase == .initial { return actions + reset(waiting: phase.waiting, owed: nil, now: now) }
        if let waiting = phase.waiting {
            let inside = waiting.startedAt.map { now > $0 ? now - $0 : 0 } ?? 0
            actions.append(
                finish(
                    waiting.invocation, payload: payload(waiting.invocation.requestID), isError: true, status: status,
                    duration: inside))
        }
        return actions + reset(waiting: nil, owed: nil, now: now)
    }

    /// The runtime's state as AWS's error text names it.
    private var stateName: String {
        switch state {
        case .initializing, .created, .starting, .dormant: "Started"
        case .idle: "Ready"
        case .running(let running): running.stage == .responded ? "ResponseSent" : "Running"
        default: "InitError"
        }
    }
}

/// What a runtime posts for an invocation.
enum RuntimeBody: Sendable {
    case result(ByteBuffer)
    /// `type` as REPORT shows it.
    case error(ByteBuffer, type: String)
    case tooLarge
    case invalidMode
    /// A streamed response went over its limit.
    case streamTooLarge
    /// A streamed response broke off.
    case truncated

    var isError: Bool { if case .error = self { true } else { false } }
}

/// What a runtime is told.
enum RuntimeReply: Sendable, Equatable {
    case accepted
    case invalidRequestID
    case wrongOrder(from: String, to: String)
    case tooLarge
    case invalidResponseMode
    case streamTooLarge
    case truncated
}
