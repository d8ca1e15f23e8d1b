import Contracts
import Logging
import NIOCore
import Platform
import Synchronization

/// One mapping at work, whatever its source is.
protocol RunningMapping: AnyObject, Sendable {
    /// `begun` is called once, when what the mapping begins with is settled.
    func start(_ begun: @escaping @Sendable () -> Void)
    func change(_ mapping: EventSourceMapping)
    /// Finishes what runs, and then calls `stopped`. Without a mapping the server stops.
    func stop(_ mapping: EventSourceMapping?, _ stopped: @escaping @Sendable () -> Void)
    /// After `stop`: what runs is not waited for any longer.
    func abandon()
    /// Lets go of what waits, for the memory that it takes.
    func relieve()
    /// The room has let go of it: no more wake-ups.
    func close()
}

/// A timer for whoever asks what is due first: armed anew only for an earlier time, since one that is early costs a look, and
/// arming one for each batch would cost more. Without anything due it is nothing.
final class EarliestTimer: Sendable {
    private struct State {
        var due: Instant?
        /// Of several that are armed at the same time, the last is the earliest and counts.
        var number: UInt64 = 0
        var call: ScheduledCall?
    }

    private let time: any TimeSource
    private let state = Mutex(State())

    init(_ time: any TimeSource) { self.time = time }

    /// Calls `body` at `due`, unless something earlier is due: then that call comes, and `body` does not.
    func want(_ due: Instant, _ body: @escaping @Sendable () -> Void) {
        let number = state.withLock { state -> UInt64? in
            if let armed = state.due, armed <= due { return nil }
            state.due = due
            state.number += 1
            return state.number
        }
        guard let number else { return }
        let call = time.schedule(at: due) { [weak self] in
            self?.state.withLock { state in if state.number == number { state.due = nil } }
            body()
        }
        let surplus = state.withLock { state -> ScheduledCall? in
            // An earlier one was asked for meanwhile.
            guard state.number == number else { return call }
            defer { state.call = call }
            return state.call
        }
        surplus?.cancel()
    }

    func cancel() {
        let call = state.withLock { state in
            defer { state = State(due: nil, number: state.number + 1, call: nil) }
            return state.call
        }
        call?.cancel()
    }
}

/// What is shown of a mapping's last result (`LastProcessingResult`): written down when it changes, the newest last.
final class MappingReporter: Sendable {
    private struct State {
        var mapping: EventSourceMapping
        /// What was shown last; nil when nothing was in this run, and what an earlier one showed may still stand there.
        var shown: String??
        var isWriting = false
    }

    private let room: EventSourceRoom
    private let state: Mutex<State>

    init(_ mapping: EventSourceMapping, room: EventSourceRoom) {
        self.room = room
        state = Mutex(State(mapping: mapping))
    }

    func change(_ mapping: EventSourceMapping) { state.withLock { $0.mapping = mapping } }

    /// What is shown now, if this run has shown anything.
    var shown: String? { state.withLock { $0.shown ?? nil } }

    func report(_ result: String?, cause: (any Error)? = nil) {
        let (mapping, mustWrite) = state.withLock { state -> (EventSourceMapping?, Bool) in
            if let shown = state.shown, shown == result { return (nil, false) }
            state.shown = .some(result)
            defer { state.isWriting = true }
            return (state.mapping, !state.isWriting)
        }
        guard let mapping else { return }
        if let result, result.hasPrefix("PROBLEM") {
            room.logger.warning(
                "an event source mapping is held up",
                metadata: [
                    "mapping": "\(mapping.id)", "function": "\(mapping.functionARN)", "source": "\(mapping.sourceARN)",
                    "reason": "\(result)", "cause": "\(cause.map { "\($0)" } ?? "")",
                ])
        }
        if mustWrite { Task { [self] in await write() } }
    }

    private func write() async {
        var written: String??
        while true {
            let next = state.withLock { state -> (EventSourceMapping, String?)? in
                if let written, let shown = state.shown, written == shown {
                    state.isWriting = false
                    return nil
                }
                return (state.mapping, state.shown ?? nil)
            }
            guard let (mapping, result) = next else { return }
            do {
                try await room.mappings.report(result, of: mapping)
            } catch {
                room.logger.error(
                    "a mapping's result cannot be stored",
                    metadata: ["mapping": "\(mapping.id)", "error": "\(error)"])
            }
            written = .some(result)
        }
    }
}

/// So many at a time; the others wait in their order.
final class Slots: Sendable {
    typealias Body = @Sendable (_ leave: @escaping @Sendable () -> Void) -> Void

    private struct State {
        var limit: Int
        var taken = 0
        var waiting = NumberedQueue<Body>()
    }

    private let state: Mutex<State>

    init(_ limit: Int) { state = Mutex(State(limit: max(1, limit))) }

    /// Runs `body` now or when there is room; it must call what it is given once.
    func enter(_ body: @escaping Body) {
        let isFree = state.withLock { state in
            guard state.taken < state.limit else {
                state.waiting.append(body)
                return false
            }
            state.taken += 1
            return true
        }
        if isFree { body { [self] in leave() } }
    }

    func change(_ limit: Int) {
        state.withLock { $0.limit = max(1, limit) }
        admit()
    }

    private func leave() {
        state.withLock { $0.taken -= 1 }
        admit()
    }

    private func admit() {
        while true {
            let body = state.withLock { state -> Body? in
                guard state.taken < state.limit, !state.waiting.isEmpty else { return nil }
                state.taken += 1
                defer { state.waiting.removeFirst(1) }
                return state.waiting[state.waiting.first]
            }
            guard let body else { return }
            body { [self] in leave() }
        }
    }
}

extension EventSourceRoom {
    /// The function of the mapping as it is now. Throws `AWSError`.
    func resolve(_ mapping: EventSourceMapping) async throws -> FunctionVersion {
        try await directory.resolve(
            scope: mapping.scope, function: mapping.function, qualifier: mapping.qualifier)
    }

    /// A role's session as the mapping's function has it.
    static func principal(_ role: String, _ mapping: EventSourceMapping) -> Principal {
        .roleSession(roleARN: role, sessionName: mapping.function, account: mapping.scope.account)
    }

    /// Runs the function with an event, which counts as held until the answer is there: beside its records, which are kept for
    /// another try. `cause`: the trace header of what caused it, this invocation in its lineage.
    func invoke(
        _ function: FunctionVersion, _ event: [UInt8], requestID: String, for mapping: EventSourceMapping,
        cause: String?, completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        let size = event.count
        memory.take(size)
        counters.invocations.add(1)
        let header =
            cause ?? TraceHeader.passing(function.functionARN, TraceHeader.generate(now: time.now())).header
        let invocation = Invocation(
            requestID: requestID, payload: ByteBuffer(bytes: event), invokedFunctionARN: mapping.functionARN,
            traceID: header)
        invoker.invoke(function, invocation) { [self] result in
            memory.give(size)
            completion(result)
        }
    }
}
