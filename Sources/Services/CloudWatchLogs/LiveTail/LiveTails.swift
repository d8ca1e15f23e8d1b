import Platform
import Synchronization

/// What a live tail shows.
struct TailSelection: Sendable {
    var groups: Set<Int64>
    var streams: Set<String>
    var prefixes: [String]
    var pattern: FilterPattern

    func shows(stream: String) -> Bool {
        (streams.isEmpty && prefixes.isEmpty) || streams.contains(stream)
            || prefixes.contains { stream.hasPrefix($0) }
    }
}

/// One live tail that runs.
final class TailSession: Sendable {
    enum End: Sendable {
        case timedOut
        case stopping
    }

    private struct State {
        var buffer = TailBuffer()
        var isDue = false
        /// The last update had nothing to tell: what comes now need not wait for the next.
        var isResting = false
        var end: End?
        var waiting: CheckedContinuation<Void, Never>?
    }

    let number: UInt64
    let selection: TailSelection
    private let state = Mutex(State())

    init(number: UInt64, selection: TailSelection) {
        self.number = number
        self.selection = selection
    }

    func offer(_ batch: TappedBatch) {
        guard selection.groups.contains(batch.group), selection.shows(stream: batch.stream) else { return }
        let entries = batch.events.filter { selection.pattern.matches($0.message) }.map { event in
            TailBuffer.Entry(
                groupARN: batch.groupARN, stream: batch.stream, message: event.message, timestamp: event.timestamp,
                ingested: batch.ingested)
        }
        guard !entries.isEmpty else { return }
        // At once, so that an update says whether something of them was left out.
        notify { state in
            for entry in entries { state.buffer.append(entry) }
            if state.isResting { state.isDue = true }
        }
    }

    /// The next update is due.
    func tick() { notify { $0.isDue = true } }
    func end(_ reason: End) { notify { $0.end = $0.end ?? reason } }

    private func notify(_ change: (inout State) -> Void) {
        let waiting = state.withLock { state in
            change(&state)
            guard state.isDue || state.end != nil else { return nil as CheckedContinuation<Void, Never>? }
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume()
    }

    /// Returns when an update is due (nil) or the session is over. One waits at a time.
    func next() async -> End? {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isReady = state.withLock { state in
                if state.isDue || state.end != nil { return true }
                state.waiting = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
        return state.withLock { state in
            state.isDue = false
            return state.end
        }
    }

    func take() -> (entries: [TailBuffer.Entry], isSampled: Bool) {
        state.withLock { state in
            let taken = state.buffer.take()
            state.isResting = taken.entries.isEmpty
            return taken
        }
    }
}

/// The live tails that run, in memory: a restart ends them.
final class LiveTails: Sendable {
    private struct State {
        var next: UInt64 = 0
        var sessions: [UInt64: TailSession] = [:]
        var scopes: [UInt64: AccountRegion] = [:]
        /// How many sessions watch each group.
        var watched: [Int64: Int] = [:]
        var isStopped = false
    }
    private let state = Mutex(State())

    /// Nil when too many run.
    func start(_ selection: TailSelection, scope: AccountRegion) -> TailSession? {
        state.withLock { state in
            guard state.scopes.values.count(where: { $0 == scope }) < Limits.liveTails else { return nil }
            state.next += 1
            let session = TailSession(number: state.next, selection: selection)
            if state.isStopped { session.end(.stopping) }
            state.sessions[state.next] = session
            state.scopes[state.next] = scope
            for group in selection.groups { state.watched[group, default: 0] += 1 }
            return session
        }
    }

    /// Ended by itself, or its client went away; once or more often.
    func ended(_ session: TailSession) {
        state.withLock { state in
            guard state.sessions.removeValue(forKey: session.number) != nil else { return }
            state.scopes[session.number] = nil
            for group in session.selection.groups {
                let left = (state.watched[group] ?? 1) - 1
                state.watched[group] = left > 0 ? left : nil
            }
        }
    }

    func isWatched(_ group: Int64) -> Bool { state.withLock { $0.watched[group] != nil } }

    func offer(_ batch: TappedBatch) {
        let sessions = state.withLock { state in
            state.watched[batch.group] == nil ? [] : Array(state.sessions.values)
        }
        for session in sessions { session.offer(batch) }
    }

    func stop() {
        let sessions = state.withLock { state in
            state.isStopped = true
            return Array(state.sessions.values)
        }
        for session in sessions { session.end(.stopping) }
    }
}
