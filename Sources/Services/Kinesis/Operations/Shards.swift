import Contracts
import Platform
import Storage
import Wire

/// Listing, splitting and merging shards. Changes are in effect when they are answered: a stream is always ACTIVE.
struct Shards: Sendable {
    let desk: Desk

    // MARK: ListShards

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListShardsInput(request.input)
        let context = request.context
        let limit = min(input.maxResults ?? Limits.defaultShardsPerList, Limits.shardsPerList)
        var token: ShardListToken?
        var target: StreamTarget?
        if let text = input.nextToken {
            guard input.streamName == nil, input.streamARN == nil, input.streamCreationTimestamp == nil,
                input.exclusiveStartShardId == nil
            else {
                throw AWSError.invalid("NextToken and StreamName cannot be provided together.")
            }
            guard let read = desk.tokens.shardList(text) else { throw AWSError.invalidToken }
            token = read
        } else {
            guard input.streamName != nil || input.streamARN != nil || input.streamId != nil else {
                throw AWSError.invalid("Either NextToken or StreamName should be provided.")
            }
            target = try StreamTarget(name: input.streamName, arn: input.streamARN, id: input.streamId, context)
        }
        let filter = try Self.filter(input.shardFilter)
        let (start, created) = (input.exclusiveStartShardId, input.streamCreationTimestamp)
        let (shards, next) = try await desk.database.read { [desk, token, target] transaction in
            let now = desk.time.now()
            let (stream, after, filter) = try self.place(
                token, target, start, filter, request, now: now, in: transaction)
            if let created, created.seconds != stream.created.seconds {
                throw AWSError.noStream(stream.name, stream.scope.account)
            }
            if case .atTimestamp(let time) = filter { try Self.check(time, now) }
            if case .fromTimestamp(let time) = filter { try Self.check(time, now) }
            let rest = stream.shards.shards[stream.shards.firstIndex(after: after)...]
            let found = Array(
                rest.lazy.filter {
                    stream.isReadable($0, now: now) && filter.passes($0, stream: stream, now: now)
                }.prefix(limit + 1))
            let page = Array(found.prefix(limit))
            let next = found.count > limit ? page.last : nil
            return (
                page,
                next.map {
                    desk.tokens.text(
                        ShardListToken(stream: stream.id, after: $0.number, filter: filter, created: now))
                }
            )
        }
        var output = Model.ListShardsOutput()
        output.shards = shards.map(\.model)
        output.nextToken = next
        return OperationResponse(output.value)
    }

    private func place(
        _ token: ShardListToken?, _ target: StreamTarget?, _ start: String?, _ filter: ShardFilter,
        _ request: OperationRequest, now: Instant, in transaction: any ReadTransaction
    ) throws -> (Stream, after: Int64, ShardFilter) {
        if let token {
            guard now - token.created <= .seconds(Limits.tokenSeconds) else { throw AWSError.expiredToken }
            guard let stream = try desk.directory.find(id: token.stream, in: transaction) else {
                throw AWSError("ResourceNotFoundException", "The stream of this NextToken is not found.")
            }
            try desk.access.check(request, request.context.operation, on: stream, in: transaction)
            return (stream, token.after, token.filter)
        }
        guard let target else { throw AWSError.invalidToken }
        let stream = try desk.stream(target, request, in: transaction)
        var after: Int64 = -1
        if let start {
            guard let number = Shard.number(start) else { throw AWSError.noShard(start, stream) }
            after = number
        }
        return (stream, after, filter)
    }

    private static func check(_ time: Instant, _ now: Instant) throws(AWSError) {
        guard time.milliseconds <= now.milliseconds else {
            throw .invalid("The Timestamp of a ShardFilter cannot be in the future.")
        }
    }

    private static func filter(_ model: Model.ShardFilter?) throws(AWSError) -> ShardFilter {
        guard let model else { return .all }
        let type = model.type ?? ""
        if type != "AFTER_SHARD_ID", model.shardId != nil {
            throw .invalid("ShardId is only valid with the ShardFilter type AFTER_SHARD_ID.")
        }
        let needsTime = type == "AT_TIMESTAMP" || type == "FROM_TIMESTAMP"
        if !needsTime, model.timestamp != nil {
            throw .invalid("Timestamp is only valid with the ShardFilter types AT_TIMESTAMP and FROM_TIMESTAMP.")
        }
        if needsTime, model.timestamp == nil {
            throw .invalid("Timestamp must be provided with the ShardFilter type \(type).")
        }
        let time = model.timestamp ?? Instant(nanoseconds: 0)
        switch type {
        case "AFTER_SHARD_ID":
            guard let number = model.shardId.flatMap({ Shard.number($0) }) else {
                throw .invalid("ShardId must be provided with the ShardFilter type AFTER_SHARD_ID.")
            }
            return .afterShard(number)
        case "AT_TRIM_HORIZON": return .atTrimHorizon
        case "FROM_TRIM_HORIZON": return .fromTrimHorizon
        case "AT_LATEST": return .atLatest
        case "AT_TIMESTAMP": return .atTimestamp(time)
        case "FROM_TIMESTAMP": return .fromTimestamp(time)
        default: throw .constraint("shardFilter.type", "Member must satisfy enum value set", value: type)
        }
    }

    // MARK: Changing

    func split(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.SplitShardInput(request.input)
        let target = try StreamTarget(
            name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
        let (id, text) = (input.shardToSplit ?? "", input.newStartingHashKey ?? "")
        try await desk.write(request, target) { stream, now, transaction in
            try Self.checkMode(stream)
            guard let shard = stream.readableShard(id, now: now) else { throw AWSError.couldNotFindShard(id, stream) }
            try Streams.checkQuota(stream.scope, additional: 1, in: transaction)
            try Self.checkKept(stream, additional: 2)
            let key = HashKey.parse(text)
            guard let key, key > shard.range.lowerBound, key - shard.range.lowerBound > 1, key < shard.range.upperBound
            else {
                throw AWSError.invalid(
                    "NewStartingHashKey \(text) used in SplitShard() on shard \(shard.name) in stream \(stream.name) "
                        + "under account \(stream.scope.account) is not both greater than one plus the shard's "
                        + "StartingHashKey \(shard.range.lowerBound) and less than the shard's EndingHashKey "
                        + "\(shard.range.upperBound).")
            }
            try Self.checkOpen(shard, stream)
            var shards = stream.shards
            guard let changes = shards.split(shard.number, at: key, now: now) else {
                throw Failure(.bug, "An open shard could not be split at a key within it.")
            }
            try apply(changes, shards, to: stream, now: now, in: transaction)
        }
        return OperationResponse()
    }

    func merge(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.MergeShardsInput(request.input)
        let target = try StreamTarget(
            name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
        let (first, second) = (input.shardToMerge ?? "", input.adjacentShardToMerge ?? "")
        try await desk.write(request, target) { stream, now, transaction in
            try Self.checkMode(stream)
            guard let one = stream.readableShard(first, now: now) else {
                throw AWSError.couldNotFindShard(first, stream)
            }
            guard let other = stream.readableShard(second, now: now) else {
                throw AWSError.couldNotFindShard(second, stream)
            }
            try Self.checkOpen(one, stream)
            try Self.checkOpen(other, stream)
            try Self.checkKept(stream, additional: 1)
            var shards = stream.shards
            guard let changes = shards.merge(one.number, other.number, now: now) else {
                throw AWSError.invalid(
                    "Shards \(one.name) and \(other.name) in stream \(stream.name) under account "
                        + "\(stream.scope.account) are not an adjacent pair of shards eligible for merging")
            }
            try apply(changes, shards, to: stream, now: now, in: transaction)
        }
        return OperationResponse()
    }

    func updateCount(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateShardCountInput(request.input)
        let target = try StreamTarget(
            name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
        let count = input.targetShardCount ?? 0
        let isLimited = desk.throughput != nil
        let (stream, current) = try await desk.write(request, target) { stream, now, transaction in
            try Self.checkMode(stream)
            let current = stream.shards.open.count
            try Self.check(count, stream, in: transaction)
            var settings = stream.settings
            let day = now.seconds - 86_400
            settings.shardUpdates = settings.shardUpdates.filter { $0 > day }.suffix(Limits.shardUpdatesPerDay)
            guard !isLimited || settings.shardUpdates.count < Limits.shardUpdatesPerDay else {
                throw AWSError.limit(
                    "You have reached the limit of \(Limits.shardUpdatesPerDay) UpdateShardCount calls for the stream "
                        + "\(stream.name) in a rolling 24-hour period.")
            }
            settings.shardUpdates.append(now.seconds)
            var shards = stream.shards
            let changes = shards.resize(to: count, now: now)
            try StreamTable.update(stream.id, settings, in: transaction)
            try apply(changes, shards, to: stream, now: now, in: transaction)
            return (stream, current)
        }
        var output = Model.UpdateShardCountOutput()
        output.streamName = stream.name
        output.streamARN = stream.arn
        output.currentShardCount = current
        output.targetShardCount = count
        return OperationResponse(output.value)
    }

    private static func check(_ count: Int, _ stream: Stream, in transaction: any ReadTransaction) throws {
        let current = stream.shards.open.count
        guard count <= Limits.shardsByUpdate else {
            throw AWSError.limit(
                "UpdateShardCount cannot scale a stream to more than \(Limits.shardsByUpdate) shards. Target shard "
                    + "count: \(count)")
        }
        guard count <= 2 * current else {
            throw AWSError.invalid(
                "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: "
                    + "\(current) Target shard count: \(count)")
        }
        guard 2 * count >= current else {
            throw AWSError.invalid(
                "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: "
                    + "\(current) Target shard count: \(count)")
        }
        try Streams.checkQuota(stream.scope, additional: count - current, in: transaction)
        // Every old shard may be cut into three, and the pieces joined again.
        try checkKept(stream, additional: 2 * (current + count))
    }

    /// Splits and merges are for streams whose shards are the user's business.
    private static func checkMode(_ stream: Stream) throws(AWSError) {
        guard stream.settings.mode == .provisioned else {
            throw .validation(
                "Request is invalid. Stream \(stream.name) under account \(stream.scope.account) is in On-Demand mode.")
        }
    }

    private static func checkOpen(_ shard: Shard, _ stream: Stream) throws(AWSError) {
        guard shard.isOpen else {
            throw .invalid(
                "Shard \(shard.name) in stream \(stream.name) under account \(stream.scope.account) has already been "
                    + "merged or split, and thus is not eligible for merging or splitting.")
        }
    }

    private static func checkKept(_ stream: Stream, additional: Int) throws(AWSError) {
        guard stream.shards.shards.count + additional <= Limits.shardsKept else {
            throw .limit(
                "Stream \(stream.name) has too many shards whose records are not expired yet. Limit: "
                    + "\(Limits.shardsKept).")
        }
    }

    /// Writes what a change of the shards made and closed.
    private func apply(
        _ changes: [ShardMap.Change], _ shards: ShardMap, to stream: Stream, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        for change in changes {
            switch change {
            case .made(let number):
                // One that is closed again in the same change never has records.
                guard let shard = shards.find(number) else { continue }
                let end = shard.end.map { Shard.End(position: .first(at: now), at: $0.at) }
                try ShardTable.insert(shard, stream: stream.id, end: end, in: transaction)
            case .closed(let number):
                guard let shard = stream.shards.find(number) else { continue }
                let end = try desk.ledger.ends.take(1, of: shard.id, now: now, in: transaction)
                try ShardTable.close(shard.id, Shard.End(position: end, at: now), in: transaction)
            }
        }
        try StreamTable.setShards(
            stream.id, made: shards.nextNumber, open: shards.open.count, in: transaction)
        desk.directory.forget(stream, in: transaction)
        desk.arrivals.announce(stream.arn, [nil], in: transaction)
    }
}
