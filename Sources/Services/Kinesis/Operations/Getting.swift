import Contracts
import Platform
import Storage
import Wire

/// GetShardIterator and GetRecords.
struct Getting: Sendable {
    let desk: Desk

    func iterator(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetShardIteratorInput(request.input)
        let target = try StreamTarget(
            name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
        let start = try StartingPoint(
            input.shardIteratorType, sequenceNumber: input.startingSequenceNumber, timestamp: input.timestamp,
            operation: "GetShardIterator")
        let shardID = input.shardId ?? ""
        let isDryRun = input.dryRun == true
        let text = try await desk.read(request, target) { [tokens = desk.tokens] stream, now, transaction in
            guard let shard = stream.readableShard(shardID, now: now) else {
                throw AWSError.noShard(shardID, stream)
            }
            let from = try start.position(in: shard, of: stream, now: now, transaction)
            if isDryRun { throw AWSError.dryRun }
            return tokens.text(ShardIterator(stream: stream.id, shard: shard.number, from: from, created: now))
        }
        var output = Model.GetShardIteratorOutput()
        output.shardIterator = text
        return OperationResponse(output.value)
    }

    func records(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetRecordsInput(request.input)
        guard let iterator = input.shardIterator.flatMap({ desk.tokens.iterator($0) }) else {
            throw AWSError.invalidIterator
        }
        let (limit, arn, isDryRun) = (input.limit ?? Limits.recordsPerGet, input.streamARN, input.dryRun == true)
        let context = request.context
        let answer = try await desk.database.read { [desk] transaction in
            let now = desk.time.now()
            guard let stream = try desk.directory.find(id: iterator.stream, in: transaction) else {
                throw arn.map { AWSError.noStream(arn: $0) }
                    ?? AWSError("ResourceNotFoundException", "The stream of this ShardIterator is not found.")
            }
            try desk.access.check(request, context.operation, on: stream, in: transaction)
            if let arn, arn != stream.arn { throw AWSError.invalidIterator }
            guard now - iterator.created <= .seconds(Limits.iteratorSeconds) else {
                throw AWSError.expiredIterator(created: iterator.created, now: now)
            }
            guard let shard = stream.shards.find(iterator.shard) else {
                throw AWSError.noShard(Shard.name(iterator.shard), stream)
            }
            if isDryRun { throw AWSError.dryRun }
            return try self.records(shard, stream, iterator, limit: limit, now: now, transaction)
        }
        return OperationResponse(answer)
    }

    private func records(
        _ shard: Shard, _ stream: Stream, _ iterator: ShardIterator, limit: Int, now: Instant,
        _ transaction: any ReadTransaction
    ) throws -> Value {
        if let throughput = desk.throughput, !throughput.read(shard: shard.id, now: now) {
            throw AWSError.rateExceeded(shard, stream)
        }
        let page = try ShardReader.page(
            of: shard, in: stream, from: iterator.from, limit: min(limit, Limits.recordsPerGet),
            byteLimit: Limits.getBytes, now: now, transaction)
        desk.throughput?.gave(page.records.reduce(0) { $0 + $1.size }, shard: shard.id, now: now)
        var output = Model.GetRecordsOutput()
        output.value["Records"] = .list(page.records.map { $0.value(in: shard, of: stream) })
        if page.isEnd {
            output.childShards = stream.childShards(of: shard)
        } else {
            output.nextShardIterator = desk.tokens.text(
                ShardIterator(stream: stream.id, shard: shard.number, from: page.next, created: now))
        }
        output.millisBehindLatest = page.behindMilliseconds
        return output.value
    }
}

extension ShardReader.Page {
    var behindMilliseconds: Int { Int(clamping: behind.clampedNanoseconds / 1_000_000) }
}

/// Where reading of a shard begins, as GetShardIterator and SubscribeToShard take it.
enum StartingPoint: Sendable {
    case at(String)
    case after(String)
    case trimHorizon
    case latest
    case timestamp(Instant)

    init(_ type: String?, sequenceNumber: String?, timestamp: Instant?, operation: String) throws(AWSError) {
        let type = type ?? ""
        let rule =
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) "
        switch type {
        case "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER":
            guard let sequenceNumber else {
                throw .invalid(
                    rule + "TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified \(type) and no "
                        + "StartingSequenceNumber.")
            }
            self = type == "AT_SEQUENCE_NUMBER" ? .at(sequenceNumber) : .after(sequenceNumber)
        case "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP":
            if sequenceNumber != nil {
                throw .invalid(
                    rule + "TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified \(type) and also a "
                        + "StartingSequenceNumber.")
            }
            if type != "AT_TIMESTAMP" {
                self = type == "LATEST" ? .latest : .trimHorizon
            } else if let timestamp {
                self = .timestamp(timestamp)
            } else {
                throw .invalid("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP.")
            }
        default:
            throw .constraint("shardIteratorType", "Member must satisfy enum value set", value: type)
        }
    }

    /// The first position that is read.
    func position(
        in shard: Shard, of stream: Stream, now: Instant, _ transaction: any ReadTransaction
    ) throws -> Position {
        switch self {
        case .at(let text): return try Self.position(text, in: shard, of: stream)
        case .after(let text): return try Self.position(text, in: shard, of: stream).advanced(by: 1)
        case .trimHorizon: return .start
        case .latest: return try ShardReader.tip(of: shard, in: transaction)
        case .timestamp(let time):
            // Milliseconds are what is compared; clients round.
            guard time.milliseconds <= now.milliseconds else {
                throw AWSError.invalid(
                    "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
                        + "timestampInMillis: \(time.milliseconds), currentTimestampInMillis: \(now.milliseconds)")
            }
            return .first(at: time)
        }
    }

    static func position(_ text: String, in shard: Shard, of stream: Stream) throws(AWSError) -> Position {
        guard let number = SequenceNumber(text) else {
            throw .invalid(
                "StartingSequenceNumber \(text.prefix(128)) used in GetShardIterator on shard \(shard.name) in stream "
                    + "\(stream.name) under account \(stream.scope.account) is invalid.")
        }
        guard number.shard == shard.number else {
            throw .invalid(
                "Invalid StartingSequenceNumber. It encodes \(Shard.name(number.shard)), while it was used in a call to a "
                    + "shard with \(shard.name)")
        }
        guard number.shardCreated == shard.createdSeconds else {
            throw .invalid(
                "StartingSequenceNumber \(text) used in GetShardIterator on shard \(shard.name) in stream \(stream.name) "
                    + "under account \(stream.scope.account) is invalid because it did not come from this stream.")
        }
        return number.position
    }
}

extension Stream {
    /// The shard of this id, if it is open or its records can still be there.
    func readableShard(_ id: String, now: Instant) -> Shard? {
        guard let shard = Shard.number(id).flatMap({ shards.find($0) }), isReadable(shard, now: now) else {
            return nil
        }
        return shard
    }

    func childShards(of shard: Shard) -> [Model.ChildShard] {
        shards.children(of: shard).map { child in
            var model = Model.ChildShard()
            model.shardId = child.name
            model.parentShards = child.parents.map { Shard.name($0) }
            model.hashKeyRange = child.rangeModel
            return model
        }
    }
}

extension Shard {
    var rangeModel: Model.HashKeyRange {
        var model = Model.HashKeyRange()
        model.startingHashKey = String(range.lowerBound)
        model.endingHashKey = String(range.upperBound)
        return model
    }

    var model: Model.Shard {
        var model = Model.Shard()
        model.shardId = name
        model.parentShardId = parent.map { Shard.name($0) }
        model.adjacentParentShardId = adjacentParent.map { Shard.name($0) }
        model.hashKeyRange = rangeModel
        var numbers = Model.SequenceNumberRange()
        numbers.startingSequenceNumber = sequenceNumber(.start)
        numbers.endingSequenceNumber = end.map { sequenceNumber($0.position) }
        model.sequenceNumberRange = numbers
        return model
    }
}

extension StoredRecord {
    func value(in shard: Shard, of stream: Stream) -> Value {
        var fields = Fields()
        fields.reserveCapacity(5)
        fields.append("SequenceNumber", .string(shard.sequenceNumber(position)))
        fields.append("ApproximateArrivalTimestamp", .timestamp(position.arrival))
        fields.append("Data", .blob(data))
        fields.append("PartitionKey", .string(partitionKey))
        if isEncrypted { fields.append("EncryptionType", "KMS") }
        return .map(fields)
    }
}
