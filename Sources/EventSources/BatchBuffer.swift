import Platform

/// What a poller can put into an event: a record whose JSON is made.
protocol BatchRecord: Sendable {
    /// The record as it stands in the event.
    var json: [UInt8] { get }
}

/// Collects records until a batch is full, too large, or its window ends. A value; for queues and streams alike.
struct BatchBuffer<Record: BatchRecord> {
    private(set) var records: [Record] = []
    /// Of the records that it has, with what separates them.
    private(set) var bytes = 0
    private var closesAt: Instant?

    var isEmpty: Bool { records.isEmpty }
    var count: Int { records.count }
    /// When the open batch closes by its window.
    var deadline: Instant? { records.isEmpty ? nil : closesAt }

    /// Adds a record, with which the batch must close at `latest`, whatever its window says. Answers the batches that closed
    /// by it: one that it no longer fitted into, and one that it filled.
    mutating func add(
        _ record: Record, size: Int, window: Duration, latest: Instant = Instant(nanoseconds: .max), overhead: Int,
        now: Instant
    ) -> [[Record]] {
        var closed: [[Record]] = []
        // A comma for each.
        let cost = record.json.count + 1
        if !records.isEmpty, bytes + cost + overhead > Limits.payloadBytes, let batch = close() { closed.append(batch) }
        if records.isEmpty { closesAt = now + window }
        closesAt = min(closesAt ?? latest, latest)
        records.append(record)
        bytes += cost
        if records.count >= size, let batch = close() { closed.append(batch) }
        return closed
    }

    /// The open batch, if there is one.
    mutating func close() -> [Record]? {
        guard !records.isEmpty else { return nil }
        defer {
            records = []
            bytes = 0
            closesAt = nil
        }
        return records
    }
}
