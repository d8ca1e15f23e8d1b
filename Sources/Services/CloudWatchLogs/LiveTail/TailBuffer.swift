import Platform

/// Events of a live tail since its last update: bounded, and it knows when it had to leave some out.
struct TailBuffer: Sendable {
    struct Entry: Sendable, Equatable {
        var groupARN: String
        var stream: String
        var message: String
        /// Milliseconds.
        var timestamp: Int64
        var ingested: Int64
    }

    private var entries: [Entry] = []
    private var bytes = 0
    private var isSampled = false

    mutating func append(_ entry: Entry) {
        guard entries.count < Limits.tailEvents, bytes + entry.message.utf8.count <= Limits.tailBytes || entries.isEmpty
        else {
            isSampled = true
            return
        }
        entries.append(entry)
        bytes += entry.message.utf8.count
    }

    mutating func take() -> (entries: [Entry], isSampled: Bool) {
        defer { self = TailBuffer() }
        return (entries, isSampled)
    }
}
