import Platform
import Storage

/// Conversations that are open, by skill and device.
enum SessionTable {
    /// Nil also for one that nobody went on with in time.
    static func get(
        _ skill: String, _ device: String, now: Instant, in transaction: any ReadTransaction
    ) throws -> Session? {
        try transaction.first(
            "SELECT document FROM alexa_session WHERE skill = ? AND device = ? AND used > ?",
            [.text(skill), .text(device), .int((now - Limits.sessionAge).nanoseconds)]
        ) { Session(Documents.read($0.blob(0))) } ?? nil
    }

    /// Keeps or forgets a session, and forgets those that are too old or too many.
    static func set(
        _ session: Session?, _ skill: String, _ device: String, now: Instant, in transaction: any WriteTransaction
    ) throws {
        guard let session else {
            try transaction.execute(
                "DELETE FROM alexa_session WHERE skill = ? AND device = ?", [.text(skill), .text(device)])
            return
        }
        try transaction.execute(
            """
            INSERT INTO alexa_session (skill, device, used, document) VALUES (?, ?, ?, ?)
            ON CONFLICT (skill, device) DO UPDATE SET used = excluded.used, document = excluded.document
            """,
            [.text(skill), .text(device), .int(now.nanoseconds), .blob(JSON.encode(session.value))])
        try transaction.execute(
            "DELETE FROM alexa_session WHERE used <= ?", [.int((now - Limits.sessionAge).nanoseconds)])
        let oldest = try transaction.first(
            "SELECT used FROM alexa_session ORDER BY used DESC LIMIT 1 OFFSET ?", [.int(Int64(Limits.sessions))],
            { $0.int(0) })
        if let oldest { try transaction.execute("DELETE FROM alexa_session WHERE used <= ?", [.int(oldest)]) }
    }
}

struct SimulationRecord: Sendable {
    var id: String
    var skill: String
    var created: Instant
    /// Who runs it: a process that is gone will not end it.
    var process: String
    var status: String
    /// `result`, in the shape of the API's version that asked.
    var result: Value
}

enum SimulationTable {
    static func get(_ id: String, in transaction: any ReadTransaction) throws -> SimulationRecord? {
        try transaction.first(
            "SELECT id, skill, created, process, status, document FROM alexa_simulation WHERE id = ?", [.text(id)]
        ) {
            SimulationRecord(
                id: $0.text(0), skill: $0.text(1), created: Instant(nanoseconds: $0.int(2)), process: $0.text(3),
                status: $0.text(4), result: Documents.read($0.blob(5)))
        }
    }

    /// Adds one, and forgets those that are too old or too many.
    static func add(_ simulation: SimulationRecord, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO alexa_simulation (id, skill, created, process, status, document) VALUES (?, ?, ?, ?, ?, ?)",
            [
                .text(simulation.id), .text(simulation.skill), .int(simulation.created.nanoseconds),
                .text(simulation.process), .text(simulation.status), .blob(JSON.encode(simulation.result)),
            ])
        var oldest = (simulation.created - Limits.simulationAge).nanoseconds
        let excess = try transaction.first(
            "SELECT created FROM alexa_simulation ORDER BY created DESC LIMIT 1 OFFSET ?",
            [.int(Int64(Limits.simulations))], { $0.int(0) })
        if let excess { oldest = max(oldest, excess) }
        try transaction.execute("DELETE FROM alexa_simulation WHERE created <= ?", [.int(oldest)])
    }

    static func finish(_ id: String, status: String, result: Value, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE alexa_simulation SET status = ?, document = ? WHERE id = ?",
            [.text(status), .blob(JSON.encode(result)), .text(id)])
    }
}
