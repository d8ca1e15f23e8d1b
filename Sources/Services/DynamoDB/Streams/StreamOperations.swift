import Contracts
import Platform
import Policies
import Storage
import Wire

/// DynamoDB Streams: ListStreams, DescribeStream, GetShardIterator and GetRecords.
struct StreamOperations: Sendable {
    let desk: Desk

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = StreamsModel.ListStreamsInput(request.input)
        let context = request.context
        let limit = min(max(input.limit ?? Limits.streamsPage, 1), Limits.streamsPage)
        let table = try input.tableName.map { name throws(AWSError) in try TableAddress(name, context.scope) }
        var after = (table: "", label: "")
        if let start = input.exclusiveStartStreamArn {
            guard let parsed = Self.parts(start) else { throw AWSError.validation("Invalid StreamArn") }
            after = parsed
        }
        let streams = try await desk.database.read { [after] transaction in
            let scope = table?.scope ?? context.scope
            let arn = table.map { Table.arn($0.scope, $0.name) + "/stream/*" } ?? Table.arn(scope, "*") + "/stream/*"
            try desk.access.check(
                context, "ListStreams", resource: arn, account: scope.account, in: transaction)
            return try StreamStore.list(scope, table: table?.name, after: after, limit: limit + 1, in: transaction)
        }
        let page = streams.prefix(limit)
        var output: Fields = [
            "Streams": .list(
                page.map {
                    [
                        "StreamArn": .string($0.arn), "TableName": .string($0.table), "StreamLabel": .string($0.label),
                    ]
                })
        ]
        if streams.count > limit { output["LastEvaluatedStreamArn"] = page.last.map { .string($0.arn) } }
        return Answer.of(.map(output))
    }

    private static func parts(_ arn: String) -> (table: String, label: String)? {
        guard let parsed = ARN(arn) else { return nil }
        let parts = parsed.resource.split(separator: "/", maxSplits: 3)
        guard parts.count == 4, parts[0] == "table", parts[2] == "stream" else { return nil }
        return (String(parts[1]), String(parts[3]))
    }

    func describe(_ request: OperationRequest) async throws -> OperationResponse {
        let input = StreamsModel.DescribeStreamInput(request.input)
        let arn = input.streamArn ?? ""
        let limit = min(max(input.limit ?? Limits.shardsPage, 1), Limits.shardsPage)
        var after: Int64 = 0
        if let name = input.exclusiveStartShardId {
            guard let row = ShardRow.row(of: name) else { throw AWSError.validation("Invalid ShardId") }
            after = row
        }
        let context = request.context
        let parent = try Self.parent(input.shardFilter)
        let (stream, shards) = try await desk.database.read { [after] transaction in
            let stream = try desk.stream(arn, context, "DescribeStream", in: transaction)
            let shards = try StreamStore.shards(
                stream.id, after: after, parent: parent, limit: limit + 1, in: transaction)
            return (stream, shards)
        }
        let page = shards.prefix(limit)
        var description: Fields = [
            "StreamArn": .string(stream.arn), "StreamLabel": .string(stream.label),
            "StreamStatus": stream.ended == nil ? "ENABLED" : "DISABLED",
            "StreamViewType": .string(stream.view.rawValue), "CreationRequestDateTime": .timestamp(stream.created),
            "TableName": .string(stream.table),
            "KeySchema": .list(
                stream.key.enumerated().map { position, name in
                    ["AttributeName": .string(name), "KeyType": position == 0 ? "HASH" : "RANGE"]
                }),
            "Shards": .list(page.map(Self.shard)),
        ]
        if shards.count > limit { description["LastEvaluatedShardId"] = page.last.map { .string($0.name) } }
        return Answer.of(["StreamDescription": .map(description)])
    }

    private static func parent(_ filter: StreamsModel.ShardFilter?) throws(AWSError) -> String? {
        guard let filter else { return nil }
        guard filter.type == "CHILD_SHARDS", let parent = filter.shardId else {
            throw .validation("ShardFilter needs the Type CHILD_SHARDS and a ShardId")
        }
        return parent
    }

    private static func shard(_ shard: ShardRow) -> Value {
        var range: Fields = ["StartingSequenceNumber": .string(SequenceNumber.text(shard.first))]
        if let last = shard.last { range["EndingSequenceNumber"] = .string(SequenceNumber.text(last)) }
        var fields: Fields = ["ShardId": .string(shard.name), "SequenceNumberRange": .map(range)]
        fields["ParentShardId"] = shard.parent.map { .string($0) }
        return .map(fields)
    }

    // MARK: Iterators and records

    func iterator(_ request: OperationRequest) async throws -> OperationResponse {
        let input = StreamsModel.GetShardIteratorInput(request.input)
        let arn = input.streamArn ?? ""
        let name = input.shardId ?? ""
        let context = request.context
        let iterator = try await desk.database.read { transaction in
            let stream = try desk.stream(arn, context, "GetShardIterator", in: transaction)
            guard let shard = try StreamStore.shard(name, of: stream.id, in: transaction) else {
                throw AWSError(
                    "ResourceNotFoundException",
                    "Requested resource not found: Shard does not exist: \(name.prefix(128))")
            }
            let now = desk.time.now()
            var iterator = ShardIterator(shard: shard.row, after: 0, issued: now)
            switch input.shardIteratorType {
            case "TRIM_HORIZON": break
            case "LATEST":
                iterator.after = try StreamStore.newest(shard.row, in: transaction) ?? 0
            default:
                guard let number = input.sequenceNumber else {
                    throw AWSError.validation(
                        "SequenceNumber must be provided when ShardIteratorType is AT_SEQUENCE_NUMBER or "
                            + "AFTER_SEQUENCE_NUMBER")
                }
                guard let id = SequenceNumber.id(number), id >= shard.first, id <= shard.last ?? .max else {
                    throw AWSError.validation(
                        "Invalid SequenceNumber: \(number.prefix(64)) is not in the range of the shard \(name)")
                }
                let horizon = now - .seconds(Limits.streamSeconds)
                if try StreamStore.isTrimmed(id, shard, horizon: horizon, in: transaction) {
                    throw AWSError(
                        "TrimmedDataAccessException",
                        "The operation attempted to read past the oldest stream record in a shard.")
                }
                iterator.after = input.shardIteratorType == "AT_SEQUENCE_NUMBER" ? id - 1 : id
            }
            return iterator
        }
        return Answer.of(["ShardIterator": .string(desk.iterators.text(iterator, stream: arn))])
    }

    func records(_ request: OperationRequest) async throws -> OperationResponse {
        let input = StreamsModel.GetRecordsInput(request.input)
        guard let (iterator, arn) = desk.iterators.read(input.shardIterator ?? "") else {
            throw AWSError.validation("Invalid ShardIterator")
        }
        let limit = min(max(input.limit ?? Limits.recordsPage, 1), Limits.recordsPage)
        let now = desk.time.now()
        guard now < iterator.issued + .seconds(Limits.iteratorSeconds) else {
            throw AWSError(
                "ExpiredIteratorException", "The provided iterator has expired. Please get a new one and try again.")
        }
        let context = request.context
        let (stream, shard, page) = try await desk.database.read { transaction in
            let stream = try desk.stream(arn, context, "GetRecords", in: transaction)
            guard let shard = try StreamStore.shard(row: iterator.shard, in: transaction), shard.stream == stream.id
            else { throw AWSError("TrimmedDataAccessException", "The requested shard has been trimmed.") }
            let page = try StreamStore.records(
                shard: shard.row, after: iterator.after, limit: limit, bytes: Limits.recordsBytes,
                since: now - .seconds(Limits.streamSeconds), in: transaction)
            return (stream, shard, page)
        }
        var output: Fields = ["Records": .list(page.records.map { StreamRecords.value($0, of: stream) })]
        if page.hasMore || shard.closed == nil {
            let next = ShardIterator(
                shard: shard.row, after: page.records.last?.id ?? iterator.after, issued: now)
            output["NextShardIterator"] = .string(desk.iterators.text(next, stream: arn))
        }
        return Answer.of(.map(output))
    }
}

extension Desk {
    /// The stream of an ARN, which the caller may do `action` to. Throws ResourceNotFoundException.
    func stream(
        _ arn: String, _ caller: some Caller, _ action: String, in transaction: any ReadTransaction
    ) throws -> StreamRow {
        let stream = try StreamStore.find(arn: arn, in: transaction)
        let account = stream?.scope.account ?? ARN(arn)?.account ?? ""
        try access.check(caller, action, resource: arn, account: account, in: transaction)
        guard let stream, stream.ended.map({ time.now() < $0 + .seconds(Limits.streamSeconds) }) ?? true else {
            throw AWSError.noStream(arn)
        }
        return stream
    }
}

/// Records as GetRecords and functions see them.
enum StreamRecords {
    static func value(_ stored: StoredRecord, of stream: StreamRow) -> Value {
        var fields: Fields = [
            "eventID": .string(eventID(stored.id, stream)), "eventName": .string(stored.record.event.name),
            "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": .string(stream.scope.region),
            "dynamodb": change(stored, stream),
        ]
        if stored.record.byService {
            fields["userIdentity"] = ["PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"]
        }
        return .map(fields)
    }

    private static func change(_ stored: StoredRecord, _ stream: StreamRow) -> Value {
        let record = stored.record
        var fields: Fields = [
            "ApproximateCreationDateTime": .int(stored.created.seconds), "Keys": record.keys.wire,
        ]
        fields["NewImage"] = record.new?.wire
        fields["OldImage"] = record.old?.wire
        fields["SequenceNumber"] = .string(SequenceNumber.text(stored.id))
        fields["SizeBytes"] = .int(Int64(record.size))
        fields["StreamViewType"] = .string(stream.view.rawValue)
        return .map(fields)
    }

    /// The member `dynamodb` of a function's event, in the order that AWS writes it.
    static func json(_ stored: StoredRecord, of stream: StreamRow) -> [UInt8] { JSON.encode(change(stored, stream)) }

    /// The same for the same record always: a hash of stream and number.
    static func eventID(_ id: Int64, _ stream: StreamRow) -> String {
        var high: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in stream.arn.utf8 { high = (high ^ UInt64(byte)) &* 0x100_0000_01b3 }
        func mix(_ value: UInt64) -> UInt64 {
            var value = value &+ 0x9e37_79b9_7f4a_7c15
            value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
            value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
            return value ^ value >> 31
        }
        let low = mix(high ^ UInt64(bitPattern: id))
        return [mix(high &+ UInt64(bitPattern: id)), low].map { word in
            let text = String(word, radix: 16)
            return String(repeating: "0", count: 16 - text.utf8.count) + text
        }.joined()
    }
}
