import Contracts
import Platform
import Storage
import Wire

struct EventOperations: Sendable {
    let database: any Database
    let ingestion: Ingestion

    // MARK: PutLogEvents

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutLogEventsRequest(request.input)
        let events = (input.logEvents ?? []).map {
            NewEvent(timestamp: Int64($0.timestamp ?? 0), message: $0.message ?? "")
        }
        try Self.check(events)
        let (group, stream, scope) = (input.logGroupName ?? "", input.logStreamName ?? "", request.context.scope)
        let now = request.context.now.milliseconds
        let hasMetrics = EmbeddedMetrics.areIn(events)
        let sorting = try await database.write { [ingestion] transaction in
            let group = try GroupRow.require(group, scope, in: transaction)
            guard let stream = try StreamRow.find(stream, group: group.id, in: transaction) else {
                throw LogsError.noStream
            }
            let sorting = Sorting(timestamps: events.map(\.timestamp), now: now, retentionDays: group.retention)
            try ingestion.append(
                Array(events[sorting.accepted]), to: group, stream: (stream.id, stream.name), now: now,
                hasMetrics: hasMetrics, in: transaction)
            return sorting
        }
        var output = Model.PutLogEventsResponse()
        output.nextSequenceToken = SequenceToken.any
        output.rejectedLogEventsInfo = sorting.rejected
        return OperationResponse(output.value)
    }

    private static func check(_ events: [NewEvent]) throws(AWSError) {
        guard zip(events, events.dropFirst()).allSatisfy({ $0.timestamp <= $1.timestamp }) else {
            throw LogsError.invalid("Log events in a single PutLogEvents request must be in chronological order.")
        }
        if let first = events.first, let last = events.last, last.timestamp - first.timestamp > Limits.putSpan {
            throw LogsError.invalid(
                "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
        }
        let bytes = events.reduce(0) { $0 + $1.message.utf8.count + Limits.overheadPerEvent }
        guard bytes <= Limits.bytesPerPut else {
            throw LogsError.invalid("Upload too large: \(bytes) bytes exceeds limit of \(Limits.bytesPerPut)")
        }
    }

    /// Which events of a chronological batch are taken: those neither too old, nor past retention, nor too new.
    struct Sorting: Sendable {
        var accepted: Range<Int>
        private var tooOld: Int
        private var expired: Int
        private var tooNew: Int?

        init(timestamps: [Int64], now: Int64, retentionDays: Int64?) {
            let count = timestamps.count
            tooOld = timestamps.firstIndex { $0 >= now - Limits.oldest } ?? count
            let keep = retentionDays.map { $0 * 86_400_000 } ?? .max
            expired = timestamps.firstIndex { keep == .max || $0 >= now - keep } ?? count
            let new = timestamps.firstIndex { $0 > now + Limits.newest }
            tooNew = new
            let start = max(tooOld, expired)
            accepted = start..<max(start, new ?? count)
        }

        var rejected: Model.RejectedLogEventsInfo? {
            guard tooOld > 0 || expired > 0 || tooNew != nil else { return nil }
            var info = Model.RejectedLogEventsInfo()
            if tooOld > 0 { info.tooOldLogEventEndIndex = tooOld }
            if expired > tooOld { info.expiredLogEventEndIndex = expired }
            info.tooNewLogEventStartIndex = tooNew
            return info
        }
    }

    // MARK: GetLogEvents

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetLogEventsRequest(request.input)
        let name = try LogsError.groupName(
            name: input.logGroupName, identifier: input.logGroupIdentifier, request.context)
        let streamName = input.logStreamName ?? ""
        let cursor = try Cursor(token: input.nextToken, startFromHead: input.startFromHead ?? false)
        let window = Window(start: input.startTime, end: input.endTime, includesEnd: false)
        let limit = min(input.limit ?? Limits.eventsPerPage, Limits.eventsPerPage)
        let scope = request.context.scope
        let events = try await database.read { transaction -> [EventRow] in
            let group = try GroupRow.require(name, scope, in: transaction)
            guard let stream = try StreamRow.find(streamName, group: group.id, in: transaction) else {
                throw LogsError.noStream
            }
            return try Self.page(of: stream.id, cursor, window, limit, in: transaction)
        }
        var output = Model.GetLogEventsResponse()
        output.events = events.map { row in
            var event = Model.OutputLogEvent()
            event.timestamp = Int(row.timestamp)
            event.message = row.message
            event.ingestionTime = Int(row.ingested)
            return event
        }
        let tokens = cursor.tokens(first: events.first?.position, last: events.last?.position)
        output.nextForwardToken = tokens.forward
        output.nextBackwardToken = tokens.backward
        return OperationResponse(output.value)
    }

    /// A page in time order, whichever way the cursor goes; bounded by number and bytes.
    private static func page(
        of stream: Int64, _ cursor: Cursor, _ window: Window, _ limit: Int, in transaction: any ReadTransaction
    ) throws -> [EventRow] {
        let (beyond, order) = cursor.isForward ? (">", "ASC") : ("<", "DESC")
        var bytes = 0
        let rows = try transaction.query(
            """
            SELECT \(EventRow.columns) FROM logs_event WHERE stream_id = ? AND timestamp >= ? AND timestamp <= ?
            AND (timestamp, id) \(beyond) (?, ?) ORDER BY timestamp \(order), id \(order) LIMIT ?
            """,
            [
                .int(stream), .int(window.first), .int(window.last), .int(cursor.place.timestamp),
                .int(cursor.place.id),
                .int(Int64(limit)),
            ], EventRow.init)
        let fitting = rows.prefix { row in
            bytes += row.message.utf8.count + Limits.overheadPerEvent
            return bytes <= Limits.bytesPerPage || bytes == row.message.utf8.count + Limits.overheadPerEvent
        }
        return cursor.isForward ? Array(fitting) : fitting.reversed()
    }

    /// Where GetLogEvents reads and in which direction: `f/56 digits` after a place, `b/56 digits` before it.
    struct Cursor: Equatable {
        var isForward: Bool
        var place: Position

        init(token: String?, startFromHead: Bool) throws(AWSError) {
            guard let token else {
                isForward = startFromHead
                place = startFromHead ? .start : .end
                return
            }
            guard token.hasPrefix("f/") || token.hasPrefix("b/"), let position = Position(digits: token.dropFirst(2))
            else {
                throw LogsError.badToken
            }
            isForward = token.hasPrefix("f/")
            place = position
        }

        /// Without events, the token that was given comes back: that is how clients know the end.
        func tokens(first: Position?, last: Position?) -> (forward: String, backward: String) {
            // An open end in the future is no place to go on from: events that come later must still be found.
            let here = place == .end ? Position.start : place
            return ("f/" + (last ?? here).digits, "b/" + (first ?? here).digits)
        }
    }

    /// Times in milliseconds, both ends included.
    struct Window {
        var first: Int64
        var last: Int64

        init(start: Int?, end: Int?, includesEnd: Bool) {
            first = Int64(start ?? 0)
            last = end.map { includesEnd ? Int64($0) : Int64($0) - 1 } ?? .max
        }
    }

    // MARK: FilterLogEvents

    func filter(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.FilterLogEventsRequest(request.input)
        let name = try LogsError.groupName(
            name: input.logGroupName, identifier: input.logGroupIdentifier, request.context)
        let names = input.logStreamNames
        guard names == nil || input.logStreamNamePrefix == nil else {
            throw LogsError.invalid("logStreamNamePrefix and logStreamNames are mutually exclusive parameters.")
        }
        let pattern = try FilterPattern(input.filterPattern ?? "")
        let start = try Self.place(input.nextToken)
        let window = Window(start: input.startTime, end: input.endTime, includesEnd: true)
        let limit = min(input.limit ?? Limits.eventsPerPage, Limits.eventsPerPage)
        let prefix = input.logStreamNamePrefix
        let scope = request.context.scope
        let page = try await database.read { transaction in
            let group = try GroupRow.require(name, scope, in: transaction)
            var reader = FilterReader(
                group: group.id, names: names.map(Set.init), prefix: prefix, pattern: pattern, limit: limit)
            try reader.read(from: start, window, in: transaction)
            return reader
        }
        var output = Model.FilterLogEventsResponse()
        output.events = page.found.map { row, stream in
            var event = Model.FilteredLogEvent()
            event.logStreamName = stream
            event.timestamp = Int(row.timestamp)
            event.message = row.message
            event.ingestionTime = Int(row.ingested)
            event.eventId = row.position.digits
            return event
        }
        output.searchedLogStreams = []
        output.nextToken = page.next.map { PageToken.encode($0.digits) }
        return OperationResponse(output.value)
    }

    private static func place(_ token: String?) throws(AWSError) -> Position {
        guard let text = try PageToken.read(token) else { return .start }
        guard let position = Position(digits: text) else { throw LogsError.badToken }
        return position
    }
}

/// Reads a group's events in time order and keeps what matches, up to the limits of one answer.
struct FilterReader: Sendable {
    let group: Int64
    let names: Set<String>?
    let prefix: String?
    let pattern: FilterPattern
    let limit: Int
    var found: [(row: EventRow, stream: String)] = []
    /// Where the next answer goes on; nil when everything was seen.
    var next: Position?

    init(group: Int64, names: Set<String>?, prefix: String?, pattern: FilterPattern, limit: Int) {
        self.group = group
        self.names = names
        self.prefix = prefix
        self.pattern = pattern
        self.limit = limit
    }

    mutating func read(
        from start: Position, _ window: EventOperations.Window, in transaction: any ReadTransaction
    ) throws {
        var streams: [Int64: String?] = [:]
        var place = start
        var (looked, bytes) = (0, 0)
        while looked < Limits.rowsPerFilter {
            let batch = min(1_000, Limits.rowsPerFilter - looked)
            let rows = try transaction.query(
                """
                SELECT \(EventRow.columns) FROM logs_event WHERE group_id = ? AND timestamp >= ? AND timestamp <= ?
                AND (timestamp, id) > (?, ?) ORDER BY timestamp, id LIMIT ?
                """,
                [
                    .int(group), .int(window.first), .int(window.last), .int(place.timestamp), .int(place.id),
                    .int(Int64(batch)),
                ], EventRow.init)
            for row in rows {
                if streams[row.stream] == nil { streams[row.stream] = .some(try wanted(row.stream, in: transaction)) }
                if let stream = streams[row.stream] ?? nil, pattern.matches(row.message) {
                    bytes += row.message.utf8.count + Limits.overheadPerEvent
                    guard found.count < limit, bytes <= Limits.bytesPerPage || found.isEmpty else {
                        next = place
                        return
                    }
                    found.append((row, stream))
                }
                place = row.position
            }
            guard rows.count == batch else { return }
            looked += rows.count
        }
        next = place
    }

    /// The stream's name when it is one of those asked for.
    private func wanted(_ id: Int64, in transaction: any ReadTransaction) throws -> String? {
        // A stream that was deleted has left its group; its events follow.
        let name = try StreamRow.name(id, group: group, in: transaction)
        guard let name, names?.contains(name) ?? true, prefix.map({ name.hasPrefix($0) }) ?? true else { return nil }
        return name
    }
}
