import Logging
import Platform
import Storage
import Synchronization

/// Messages that cannot be read, because of a damaged disk or a version that is gone. They stay in the store, away from the
/// queue's others (under its id with the sign turned), where nobody receives them, and go when the queue is deleted.
final class Unreadable: Sendable {
    private let logger: Logger
    private let total = Mutex<UInt64>(0)

    init(logger: Logger) { self.logger = logger }

    /// How many were set aside since the start.
    var count: UInt64 { total.withLock { $0 } }

    /// Takes a message out of its queue's way. A FIFO queue's group goes on with the next one when it is settled.
    func setAside(_ row: MessageRow, of queue: Queue, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE sqs_messages SET queue = ?, lane = NULL WHERE id = ?", [.int(Self.aside(queue.id)), .int(row.id)])
        transaction.afterCommit { [self] in
            total.withLock { $0 += 1 }
            logger.error(
                "a message cannot be read and is set aside",
                metadata: ["queue": "\(queue.arn)", "message": "\(row.id)"])
        }
    }

    /// Where a queue's unreadable messages lie; ids of queues are positive.
    static func aside(_ queue: Int64) -> Int64 { 0 &- queue }
}
