import Contracts
import Platform
import Storage
import Wire

struct StreamOperations: Sendable {
    let database: any Database
    let sweeper: Sweeper

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateLogStreamRequest(request.input)
        let (group, name, scope) = (input.logGroupName ?? "", input.logStreamName ?? "", request.context.scope)
        let now = request.context.now.milliseconds
        try await database.write { transaction in
            let group = try GroupRow.require(group, scope, in: transaction)
            guard try StreamRow.find(name, group: group.id, in: transaction) == nil else {
                throw AWSError("ResourceAlreadyExistsException", "The specified log stream already exists")
            }
            try StreamRow.insert(name, group: group.id, created: now, in: transaction)
        }
        return OperationResponse()
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteLogStreamRequest(request.input)
        let (group, name, scope) = (input.logGroupName ?? "", input.logStreamName ?? "", request.context.scope)
        try await database.write { transaction in
            let group = try GroupRow.require(group, scope, in: transaction)
            guard let stream = try StreamRow.find(name, group: group.id, in: transaction) else {
                throw LogsError.noStream
            }
            try Removal.hide(stream, in: transaction)
        }
        sweeper.removeDeletedSoon()
        return OperationResponse()
    }

    func describe(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DescribeLogStreamsRequest(request.input)
        let group = try LogsError.groupName(
            name: input.logGroupName, identifier: input.logGroupIdentifier, request.context)
        let byTime = input.orderBy == "LastEventTime"
        let prefix = input.logStreamNamePrefix ?? ""
        guard !byTime || input.logStreamNamePrefix == nil else {
            throw LogsError.invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        }
        let limit = min(input.limit ?? Limits.describePage, Limits.describePage)
        let place = try Place(token: input.nextToken)
        let descending = input.descending ?? false
        let scope = request.context.scope
        let (row, streams) = try await database.read { transaction in
            let row = try GroupRow.require(group, scope, in: transaction)
            let query = Self.query(byTime: byTime, descending: descending, from: place)
            var parameters: [SQLValue] = [.int(row.id)]
            if !byTime { parameters += [.text(prefix), .text(prefix), .text(prefix)] }
            if let place {
                if byTime {
                    parameters += [.int(place.time), .int(place.time), .text(place.name)]
                } else {
                    parameters.append(.text(place.name))
                }
            }
            parameters.append(.int(Int64(limit + 1)))
            return (row, try transaction.query(query, parameters, StreamRow.init))
        }
        var output = Model.DescribeLogStreamsResponse()
        output.logStreams = streams.prefix(limit).map { Self.shape($0, group: row) }
        if streams.count > limit, let last = streams.prefix(limit).last {
            output.nextToken = Place(time: last.lastEvent ?? -1, name: last.name).token
        }
        return OperationResponse(output.value)
    }

    /// One of eight fixed statements: by name or time, up or down, from the start or a place.
    private static func query(byTime: Bool, descending: Bool, from place: Place?) -> String {
        let (order, beyond) = descending ? ("DESC", "<") : ("ASC", ">")
        var sql = "SELECT \(StreamRow.columns) FROM logs_stream WHERE group_id = ? "
        if byTime {
            if place != nil { sql += "AND (last_event \(beyond) ? OR (last_event = ? AND name \(beyond) ?)) " }
            return sql + "ORDER BY last_event \(order), name \(order) LIMIT ?"
        }
        sql += "AND name >= ? AND substr(name, 1, length(?)) = ? "
        if place != nil { sql += "AND name \(beyond) ? " }
        return sql + "ORDER BY name \(order) LIMIT ?"
    }

    private struct Place {
        var time: Int64
        var name: String

        init(time: Int64, name: String) {
            self.time = time
            self.name = name
        }

        init?(token: String?) throws(AWSError) {
            guard let text = try PageToken.read(token) else { return nil }
            guard let colon = text.firstIndex(of: ":"), let time = Int64(text[..<colon]) else {
                throw LogsError.badToken
            }
            self.init(time: time, name: String(text[text.index(after: colon)...]))
        }

        var token: String { PageToken.encode("\(time):\(name)") }
    }

    private static func shape(_ row: StreamRow, group: GroupRow) -> Model.LogStream {
        var stream = Model.LogStream()
        stream.logStreamName = row.name
        stream.creationTime = Int(row.created)
        stream.firstEventTimestamp = row.firstEvent.map { Int($0) }
        stream.lastEventTimestamp = row.lastEvent.map { Int($0) }
        stream.lastIngestionTime = row.lastIngestion.map { Int($0) }
        stream.uploadSequenceToken = SequenceToken.any
        stream.arn = "\(group.arn):log-stream:\(row.name)"
        stream.storedBytes = 0
        return stream
    }
}

/// Sequence tokens are no longer checked by AWS; one is still answered.
enum SequenceToken {
    static let any = String(repeating: "4", count: 56)
}
