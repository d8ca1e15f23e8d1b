import Contracts
import Platform

/// Log lines that wait to be written. A value: bounded in number and bytes, and it counts what it had to drop.
struct LogBuffer: Sendable {
    struct Key: Hashable, Sendable {
        var scope: AccountRegion
        var group: String
        var stream: String
    }

    enum Action: Equatable {
        /// A write is on its way or planned.
        case none
        /// Plan a write after the buffer's delay.
        case schedule
        /// Write now: the buffer is half full.
        case writeNow
    }

    private(set) var events: [Key: [Contracts.LogEvent]] = [:]
    private(set) var count = 0
    private(set) var bytes = 0
    /// Lines dropped since the server started.
    private(set) var dropped: UInt64 = 0
    private var isPlanned = false
    private var isWriting = false

    mutating func append(_ new: [Contracts.LogEvent], to key: Key) -> Action {
        for event in new {
            guard count < Limits.bufferedEvents, bytes + event.message.utf8.count <= Limits.bufferedBytes else {
                dropped += 1
                continue
            }
            events[key, default: []].append(event)
            count += 1
            bytes += event.message.utf8.count
        }
        guard count > 0, !isWriting else { return .none }
        if bytes > Limits.bufferedBytes / 2 || count > Limits.bufferedEvents / 2 { return .writeNow }
        guard !isPlanned else { return .none }
        isPlanned = true
        return .schedule
    }

    /// Takes everything to be written; empty while another write is running.
    mutating func take() -> [Key: [Contracts.LogEvent]] {
        isPlanned = false
        guard !isWriting, count > 0 else { return [:] }
        isWriting = true
        defer {
            events = [:]
            count = 0
            bytes = 0
        }
        return events
    }

    /// The write is over; true when more came meanwhile.
    mutating func written() -> Bool {
        isWriting = false
        guard count > 0, !isPlanned else { return false }
        isPlanned = true
        return true
    }

    var isQuiet: Bool { count == 0 && !isWriting }
}
