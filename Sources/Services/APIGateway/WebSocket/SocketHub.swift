import Contracts
import Platform
import Synchronization

/// The open connections of all WebSocket APIs, by id. They live in memory: a connection dies with its server.
final class SocketHub: Sendable {
    private struct Entry {
        var connection: SocketConnection
        /// When it is looked at again.
        var deadline: UInt64?
    }
    private let connections = Mutex<[String: Entry]>([:])
    private let deadlines: Deadlines
    private let time: any TimeSource

    init(time: any TimeSource) {
        self.time = time
        // Of its own: connections wait for hours, integrations for seconds.
        deadlines = Deadlines(time: time)
    }

    var count: Int { connections.withLock { $0.count } }

    func add(_ connection: SocketConnection) {
        connections.withLock { $0[connection.id] = Entry(connection: connection) }
        watch(connection)
    }

    func remove(_ connection: SocketConnection) {
        let entry = connections.withLock { $0.removeValue(forKey: connection.id) }
        if let deadline = entry?.deadline { deadlines.cancel(deadline) }
    }

    /// A connection of this API and stage.
    func find(_ id: String, api: String, stage: String) -> SocketConnection? {
        guard let found = connections.withLock({ $0[id]?.connection }), found.apiID == api, found.stageName == stage
        else { return nil }
        return found
    }

    /// Closes all connections of an API, or of one of its stages.
    func close(api: String, stage: String?) {
        let gone = connections.withLock { connections in
            connections.values.map(\.connection).filter {
                $0.apiID == api && (stage == nil || $0.stageName == stage)
            }
        }
        for connection in gone { connection.close(Self.goingAway) }
    }

    /// "Going away", as API Gateway closes connections that were silent or open for too long.
    static let goingAway = WebSocketClose(code: 1001, reason: "Going away")

    private func watch(_ connection: SocketConnection) {
        let now = time.now()
        switch connection.check(now: now) {
        case .over: break
        case .close: connection.close(Self.goingAway)
        case .wait(let until):
            let deadline = deadlines.add(after: until - now) { [weak self, weak connection] in
                guard let self, let connection else { return }
                watch(connection)
            }
            let isThere = connections.withLock { connections in
                connections[connection.id]?.deadline = deadline
                return connections[connection.id] != nil
            }
            if !isThere { deadlines.cancel(deadline) }
        }
    }
}
