import Platform
import Synchronization

/// Which consumer reads which shard; a value that is told the time.
struct SubscriptionMachine: Sendable {
    struct Key: Sendable, Hashable {
        var consumer: Int64
        var shard: Int64
    }
    private struct Entry {
        var number: UInt64
        var since: Instant
    }
    private var entries: [Key: Entry] = [:]
    private var next: UInt64 = 0

    enum Decision: Sendable, Equatable {
        /// The consumer subscribed to the shard a moment ago.
        case inUse
        case tooMany
        /// It may; `replaced` is the subscription that ends for it.
        case started(number: UInt64, replaced: UInt64?)
    }

    mutating func subscribe(_ key: Key, now: Instant) -> Decision {
        let old = entries[key]
        if let old, now - old.since < .seconds(Limits.resubscribeSeconds) { return .inUse }
        guard old != nil || entries.count < Limits.subscriptions else { return .tooMany }
        next += 1
        entries[key] = Entry(number: next, since: now)
        return .started(number: next, replaced: old?.number)
    }

    /// Ended by itself, or its client went away.
    mutating func ended(_ key: Key, number: UInt64) {
        if entries[key]?.number == number { entries[key] = nil }
    }

    func numbers(of consumer: Int64) -> [UInt64] {
        entries.filter { $0.key.consumer == consumer }.map(\.value.number)
    }
}

/// Why a subscription ends before its time.
enum SubscriptionEnd: Sendable {
    /// Another call of the same consumer took over.
    case replaced
    case deregistered
    case stopping
    case timedOut
}

/// Wakes one subscription: there may be something to read, or it is to end. Nothing is lost between two waits.
final class SubscriptionSignal: Sendable {
    private struct State {
        var isWoken = false
        var end: SubscriptionEnd?
        var waiting: CheckedContinuation<Void, Never>?
    }
    private let state = Mutex(State())

    func wake() { notify { $0.isWoken = true } }

    func end(_ reason: SubscriptionEnd) { notify { $0.end = $0.end ?? reason } }

    var ended: SubscriptionEnd? { state.withLock { $0.end } }

    private func notify(_ change: (inout State) -> Void) {
        let waiting = state.withLock { state in
            change(&state)
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume()
    }

    /// Returns when it was woken since the last wait, or is to end. One waits at a time.
    func wait() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isReady = state.withLock { state in
                if state.isWoken || state.end != nil { return true }
                state.waiting = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
        state.withLock { $0.isWoken = false }
    }
}

/// The subscriptions that run, in memory: a restart ends them, and clients subscribe again.
final class Subscriptions: Sendable {
    private struct State {
        var machine = SubscriptionMachine()
        var signals: [UInt64: SubscriptionSignal] = [:]
        var isStopped = false
    }
    private let state = Mutex(State())

    enum Start: Sendable {
        case refused(SubscriptionMachine.Decision)
        case started(number: UInt64, SubscriptionSignal)
    }

    func start(_ key: SubscriptionMachine.Key, now: Instant) -> Start {
        let (start, replaced) = state.withLock { state -> (Start, SubscriptionSignal?) in
            let decision = state.machine.subscribe(key, now: now)
            guard case .started(let number, let old) = decision else { return (.refused(decision), nil) }
            let signal = SubscriptionSignal()
            if state.isStopped { signal.end(.stopping) }
            state.signals[number] = signal
            return (.started(number: number, signal), old.flatMap { state.signals[$0] })
        }
        replaced?.end(.replaced)
        return start
    }

    func ended(_ key: SubscriptionMachine.Key, number: UInt64) {
        state.withLock { state in
            state.machine.ended(key, number: number)
            state.signals[number] = nil
        }
    }

    func end(consumer: Int64) {
        let signals = state.withLock { state in
            state.machine.numbers(of: consumer).compactMap { state.signals[$0] }
        }
        for signal in signals { signal.end(.deregistered) }
    }

    func stop() {
        let signals = state.withLock { state in
            state.isStopped = true
            return Array(state.signals.values)
        }
        for signal in signals { signal.end(.stopping) }
    }
}
