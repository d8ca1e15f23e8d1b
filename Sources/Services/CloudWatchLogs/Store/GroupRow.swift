import Contracts
import Platform
import Storage
import Wire

/// The row of a log group.
struct GroupRow: Sendable {
    var id: Int64
    var scope: AccountRegion
    var name: String
    var created: Int64
    var retention: Int64?
    var logClass: String
    var tags: Fields
    var bytes: Int64
    var kmsKey: String?
    /// Filters that it has, and which state of them.
    var subscriptions: Int64
    var metricFilters: Int64
    var filtersVersion: Int64

    static let columns = """
        id, account, region, name, created, retention, class, tags, bytes, kms_key, subscriptions, metric_filters, \
        filters_version
        """

    init(_ row: any Row) throws {
        id = row.int(0)
        scope = AccountRegion(account: row.text(1), region: row.text(2))
        name = row.text(3)
        created = row.int(4)
        retention = row.optionalInt(5)
        logClass = row.text(6)
        tags = try JSON.parse(row.blob(7)).fields ?? Fields()
        bytes = row.int(8)
        kmsKey = row.optionalText(9)
        subscriptions = row.int(10)
        metricFilters = row.int(11)
        filtersVersion = row.int(12)
    }

    /// `arn:aws:logs:REGION:ACCOUNT:log-group:NAME`, which describes append `:*` to.
    var arn: String { "arn:aws:logs:\(scope.region):\(scope.account):log-group:\(name)" }

    static func find(_ name: String, _ scope: AccountRegion, in transaction: any ReadTransaction) throws -> GroupRow? {
        try transaction.first(
            "SELECT \(columns) FROM logs_group WHERE account = ? AND region = ? AND name = ?",
            [.text(scope.account), .text(scope.region), .text(name)], GroupRow.init)
    }

    /// Nil also for a group that was deleted and is on its way out.
    static func find(id: Int64, in transaction: any ReadTransaction) throws -> GroupRow? {
        try transaction.first(
            "SELECT \(columns) FROM logs_group WHERE id = ? AND account <> ''", [.int(id)], GroupRow.init)
    }

    static func require(_ name: String, _ scope: AccountRegion, in transaction: any ReadTransaction) throws -> GroupRow
    {
        guard let group = try find(name, scope, in: transaction) else { throw LogsError.noGroup }
        return group
    }

    @discardableResult
    static func insert(
        _ name: String, _ scope: AccountRegion, created: Int64, logClass: String = "STANDARD", tags: Fields = [:],
        kmsKey: String? = nil, in transaction: any WriteTransaction
    ) throws -> GroupRow {
        try transaction.execute(
            """
            INSERT INTO logs_group (account, region, name, created, class, tags, kms_key) VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(scope.account), .text(scope.region), .text(name), .int(created), .text(logClass),
                .blob(JSON.encode(.map(tags))), .optional(kmsKey),
            ])
        guard let row = try find(name, scope, in: transaction) else {
            throw Failure(.bug, "a log group is not there after it was written")
        }
        return row
    }
}

/// The row of a log stream.
struct StreamRow: Sendable {
    var id: Int64
    var name: String
    var created: Int64
    var firstEvent: Int64?
    var lastEvent: Int64?
    var lastIngestion: Int64?

    static let columns = "id, name, created, first_event, last_event, last_ingestion"

    init(_ row: any Row) {
        id = row.int(0)
        name = row.text(1)
        created = row.int(2)
        firstEvent = row.optionalInt(3)
        lastEvent = row.int(4) < 0 ? nil : row.int(4)
        lastIngestion = row.optionalInt(5)
    }

    static func find(_ name: String, group: Int64, in transaction: any ReadTransaction) throws -> StreamRow? {
        try transaction.first(
            "SELECT \(columns) FROM logs_stream WHERE group_id = ? AND name = ?", [.int(group), .text(name)],
            StreamRow.init)
    }

    /// Nil when it is gone from its group.
    static func name(_ id: Int64, group: Int64, in transaction: any ReadTransaction) throws -> String? {
        try transaction.first(
            "SELECT name FROM logs_stream WHERE id = ? AND group_id = ?", [.int(id), .int(group)], { $0.text(0) })
    }

    @discardableResult
    static func insert(
        _ name: String, group: Int64, created: Int64, isOwn: Bool = false, in transaction: any WriteTransaction
    ) throws -> Int64 {
        try transaction.execute(
            "INSERT INTO logs_stream (group_id, name, created, is_own) VALUES (?, ?, ?, ?)",
            [.int(group), .text(name), .int(created), .bool(isOwn)])
        return transaction.lastInsertedRowID
    }
}

/// One stored event. Its place in time is (timestamp, id): ids grow with every append.
struct EventRow: Sendable {
    var id: Int64
    var stream: Int64
    var timestamp: Int64
    var ingested: Int64
    var message: String

    static let columns = "id, stream_id, timestamp, ingested, message"

    init(id: Int64, stream: Int64, timestamp: Int64, ingested: Int64, message: String) {
        self.id = id
        self.stream = stream
        self.timestamp = timestamp
        self.ingested = ingested
        self.message = message
    }

    init(_ row: any Row) {
        id = row.int(0)
        stream = row.int(1)
        timestamp = row.int(2)
        ingested = row.int(3)
        message = row.text(4)
    }

    var position: Position { Position(timestamp: timestamp, id: id) }

    private static let insertOne = insert(1)
    private static let insertMany = insert(Limits.eventsPerStatement)

    private static func insert(_ rows: Int) -> String {
        "INSERT INTO logs_event (group_id, stream_id, timestamp, ingested, message) VALUES "
            + Array(repeating: "(?, ?, ?, ?, ?)", count: rows).joined(separator: ", ")
    }

    /// Writes events of one stream and moves the stream's and group's figures. Answers the id of the first; those of the others
    /// follow it, since nobody writes in between.
    @discardableResult
    static func append(
        _ events: [NewEvent], stream: Int64, group: Int64, ingested: Int64, in transaction: any WriteTransaction
    ) throws -> Int64 {
        guard !events.isEmpty else { return 0 }
        var bytes = 0
        var (first, last) = (Int64.max, Int64.min)
        var rest = events[...]
        while !rest.isEmpty {
            // As many as one statement takes, then one by one: two texts, which stay prepared.
            let count = rest.count >= Limits.eventsPerStatement ? Limits.eventsPerStatement : 1
            try transaction.execute(
                count == 1 ? insertOne : insertMany,
                rest.prefix(count).flatMap { event in
                    [.int(group), .int(stream), .int(event.timestamp), .int(ingested), .text(event.message)]
                })
            rest = rest.dropFirst(count)
        }
        let id = transaction.lastInsertedRowID
        for event in events {
            bytes += event.message.utf8.count + Limits.overheadPerEvent
            first = min(first, event.timestamp)
            last = max(last, event.timestamp)
        }
        try transaction.execute(
            """
            UPDATE logs_stream SET first_event = CASE WHEN first_event < ? THEN first_event ELSE ? END,
                last_event = CASE WHEN last_event > ? THEN last_event ELSE ? END, last_ingestion = ? WHERE id = ?
            """, [.int(first), .int(first), .int(last), .int(last), .int(ingested), .int(stream)])
        try transaction.execute(
            "UPDATE logs_group SET bytes = bytes + ? WHERE id = ?", [.int(Int64(bytes)), .int(group)])
        return id - Int64(events.count) + 1
    }
}

/// An event to be written.
struct NewEvent: Sendable {
    /// Milliseconds.
    var timestamp: Int64
    var message: String
    /// Of the invocation that wrote it.
    var lineage: String?
}

/// A place in a stream or group, written as the 56 digits that AWS's event ids and tokens have; digits sort as places do.
struct Position: Equatable, Sendable {
    var timestamp: Int64
    var id: Int64

    static let start = Position(timestamp: 0, id: 0)
    static let end = Position(timestamp: .max, id: .max)

    var digits: String { pad(Int(max(timestamp, 0)), 20) + pad(Int(max(id, 0)), 36) }

    init(timestamp: Int64, id: Int64) {
        self.timestamp = timestamp
        self.id = id
    }

    init?(digits: some StringProtocol) {
        guard digits.utf8.count == 56, let timestamp = Int64(digits.prefix(20)), let id = Int64(digits.dropFirst(20)),
            timestamp >= 0, id >= 0
        else { return nil }
        self.init(timestamp: timestamp, id: id)
    }
}

enum LogsError {
    static let noGroup = AWSError("ResourceNotFoundException", "The specified log group does not exist.")
    static let noStream = AWSError("ResourceNotFoundException", "The specified log stream does not exist.")
    static let badToken = invalid("The specified nextToken is invalid.")
    static func invalid(_ message: String) -> AWSError { AWSError("InvalidParameterException", message) }

    /// The group that a request names: by name, or by name or ARN as identifier. Never both.
    static func groupName(
        name: String?, identifier: String?, _ context: OperationContext
    ) throws(AWSError) -> String {
        switch (name, identifier) {
        case (.some, .some):
            throw AWSError("ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters.")
        case (let name?, nil): return name
        case (nil, let identifier?): return try groupName(ofIdentifier: identifier, context)
        case (nil, nil): throw invalid("Either logGroupName or logGroupIdentifier must be given.")
        }
    }

    /// The name that an ARN has in it, or the text itself. Throws for an ARN of another account or Region: a group of the
    /// same name here is not what was meant.
    static func groupName(
        ofIdentifier identifier: String, _ context: OperationContext
    ) throws(AWSError) -> String {
        guard let arn = ARN(identifier), arn.resource.hasPrefix("log-group:") else { return identifier }
        guard arn.account == context.scope.account else {
            let action = "logs:\(context.operation)"
            throw AWSError(
                "AccessDeniedException",
                "User: \(context.principal.arn) is not authorized to perform: \(action) on resource: \(identifier) "
                    + "because no resource-based policy allows the \(action) action")
        }
        guard arn.region == context.scope.region else { throw noGroup }
        let name = arn.resource.dropFirst("log-group:".count)
        return String(name.hasSuffix(":*") ? name.dropLast(2) : name)
    }
}
