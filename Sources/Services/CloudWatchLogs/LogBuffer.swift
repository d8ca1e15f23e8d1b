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
        /// Plan a write at this time.
        case schedule(at: Instant)
        /// Write now: the buffer is half full.
        case writeNow
    }

    private(set) var events: [Key: [Contracts.LogEvent]] = [:]
    private(set) var count = 0
    private(set) var bytes = 0
    /// Lines dropped since the server started.
    private(set) var dropped: UInt64 = 0
    private var isPlanned = false
    private var lastTaken: Instant?
    private var isWriting = false

    mutating func append(_ new: [Contracts.LogEvent], to key: Key, now: Instant) -> Action {
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
        return .schedule(at: due(now))
    }

    /// A line after a pause waits a moment for company; a steady stream is written in larger batches, because each costs a
    /// transaction.
    private func due(_ now: Instant) -> Instant {
        let soon = now + Limits.bufferDelay
        guard let lastTaken else { return soon }
        return min(max(soon, lastTaken + Limits.steadyBufferDelay), now + Limits.steadyBufferDelay)
    }

    /// Takes everything to be written; empty while another write is running.
    mutating func take(now: Instant) -> [Key: [Contracts.LogEvent]] {
        isPlanned = false
        guard !isWriting, count > 0 else { return [:] }
        isWriting = true
        lastTaken = now
        defer {
            events = [:]
            count = 0
            bytes = 0
        }
        return events
    }

    /// The write is over; when more came meanwhile, the answer says when to write that.
    mutating func written(now: Instant) -> Instant? {
        isWriting = false
        guard count > 0, !isPlanned else { return nil }
        isPlanned = true
        return due(now)
    }

    /// Lines that were taken could not be written.
    mutating func lost(_ lines: Int) { dropped += UInt64(max(lines, 0)) }

    var isQuiet: Bool { count == 0 && !isWriting }
}
