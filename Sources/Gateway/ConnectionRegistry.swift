import NIOCore
import Synchronization

/// All open connections, so that they can be counted, limited and drained.
final class ConnectionRegistry: Sendable {
    /// One listener's share of connections and of memory for bodies.
    final class Listener: Sendable {
        let limit: Int
        let isCell: Bool
        let bodies: BodyBudget

        init(limit: Int, isCell: Bool = false, bodies: BodyBudget) {
            self.limit = limit
            self.isCell = isCell
            self.bodies = bodies
        }
    }

    enum Admission: Equatable {
        case accepted(isDraining: Bool)
        case refused
    }

    private struct Entry {
        var channel: any Channel
        /// Kept alive: its identity is a key of `counts`.
        var listener: Listener
    }

    private struct State {
        var entries: [ObjectIdentifier: Entry] = [:]
        var counts: [ObjectIdentifier: Int] = [:]
        var ofCells = 0
        var isDraining = false
        var whenEmpty: [EventLoopPromise<Void>] = []
    }

    private let state = Mutex(State())
    private let limit: Int
    private let cellsLimit: Int

    init(limit: Int, cellsLimit: Int? = nil) {
        self.limit = limit
        self.cellsLimit = min(cellsLimit ?? limit, limit)
    }

    var count: Int { state.withLock { $0.entries.count } }
    var isDraining: Bool { state.withLock { $0.isDraining } }

    func admit(_ channel: any Channel, from listener: Listener) -> Admission {
        state.withLock { state in
            let key = ObjectIdentifier(listener)
            let mine = state.counts[key, default: 0]
            guard state.entries.count < limit, mine < listener.limit else { return .refused }
            if listener.isCell {
                // No cell takes more than it leaves, so that there is always something for the next one.
                guard mine < cellsLimit - state.ofCells else { return .refused }
                state.ofCells += 1
            }
            state.counts[key] = mine + 1
            state.entries[ObjectIdentifier(channel)] = Entry(channel: channel, listener: listener)
            return .accepted(isDraining: state.isDraining)
        }
    }

    func remove(_ channel: any Channel) {
        let empty: [EventLoopPromise<Void>] = state.withLock { state in
            guard let entry = state.entries.removeValue(forKey: ObjectIdentifier(channel)) else { return [] }
            let key = ObjectIdentifier(entry.listener)
            let left = state.counts[key, default: 1] - 1
            state.counts[key] = left > 0 ? left : nil
            if entry.listener.isCell { state.ofCells -= 1 }
            guard state.entries.isEmpty else { return [] }
            defer { state.whenEmpty = [] }
            return state.whenEmpty
        }
        for promise in empty { promise.succeed(()) }
    }

    func channels(of listener: Listener? = nil) -> [any Channel] {
        state.withLock { state in
            state.entries.values.filter { listener == nil || $0.listener === listener }.map(\.channel)
        }
    }

    /// From now on connections end with their request. The promise is kept when the last one is gone.
    func drain(_ promise: EventLoopPromise<Void>) {
        let (channels, isEmpty) = state.withLock { state in
            state.isDraining = true
            let isEmpty = state.entries.isEmpty
            if !isEmpty { state.whenEmpty.append(promise) }
            return (state.entries.values.map(\.channel), isEmpty)
        }
        if isEmpty { promise.succeed(()) }
        for channel in channels { channel.pipeline.fireUserInboundEventTriggered(HTTPConnection.Drain()) }
    }
}
