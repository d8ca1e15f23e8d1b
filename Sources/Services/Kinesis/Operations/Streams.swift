import Contracts
import Platform
import Storage
import Wire

/// Making, finding and deleting streams.
struct Streams: Sendable {
    let desk: Desk
    let housekeeping: Housekeeping

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateStreamInput(request.input)
        let (name, scope) = (input.streamName ?? "", request.context.scope)
        let mode = input.streamModeDetails?.streamMode.flatMap(StreamSettings.Mode.init(rawValue:)) ?? .provisioned
        var settings = StreamSettings(mode: mode)
        settings.recordKiB = input.maxRecordSizeInKiB ?? Limits.recordKiB
        settings.warmMiBps = mode == .onDemand ? input.warmThroughputMiBps : nil
        let count: Int
        switch (mode, input.shardCount) {
        case (.provisioned, let shards?): count = shards
        case (.provisioned, nil):
            throw AWSError.invalid("ShardCount is required for a stream in PROVISIONED mode.")
        case (.onDemand, nil): count = Limits.onDemandShards
        case (.onDemand, .some):
            throw AWSError.invalid("ShardCount must not be specified for a stream in ON_DEMAND mode.")
        }
        let tags = try Tags.merged(input.tags ?? [], into: Fields(), resource: name)
        try await desk.database.write { [desk, settings] transaction in
            let context = request.context
            let arn = Stream.arn(scope, name)
            try desk.access.check(
                request, context.operation, resource: arn, of: scope.account, policy: nil, in: transaction)
            guard try desk.directory.find(scope, name, in: transaction) == nil else {
                throw AWSError.streamExists(name, scope.account)
            }
            try Self.checkQuota(scope, additional: count, in: transaction)
            let usage = try StreamTable.usage(scope, in: transaction)
            guard mode == .provisioned || usage.onDemandStreams < Limits.onDemandStreams else {
                throw AWSError.limit(
                    "This request would exceed the on-demand stream limit for the account \(scope.account) in "
                        + "\(scope.region). Limit: \(Limits.onDemandStreams).")
            }
            let now = desk.time.now()
            let shards = ShardMap(count: count, now: now)
            let id = try StreamTable.insert(
                scope, name, streamID: Self.newStreamID(), settings, tags: tags, shards: count, now: now,
                in: transaction)
            for shard in shards.shards { try ShardTable.insert(shard, stream: id, in: transaction) }
            desk.arrivals.announce(arn, [nil], in: transaction)
        }
        return OperationResponse()
    }

    /// Throws LimitExceededException when so many more open shards are too many.
    static func checkQuota(_ scope: AccountRegion, additional: Int, in transaction: any ReadTransaction) throws {
        let current = try StreamTable.usage(scope, in: transaction).openShards
        // Subtracted, because what is asked for may be near the end of integers.
        guard additional <= Limits.shards - current else {
            throw AWSError.shardLimit(scope, current: current, additional: additional)
        }
    }

    /// Twenty letters and digits, a hyphen, three.
    private static func newStreamID() -> String { Identifier.hex(20) + "-" + Identifier.hex(3) }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteStreamInput(request.input)
        let target = try StreamTarget(
            name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
        let isForced = input.enforceConsumerDeletion == true
        try await desk.write(request, target) { [desk] stream, _, transaction in
            if !isForced, try ConsumerTable.count(stream.id, in: transaction) > 0 {
                throw AWSError.inUse(
                    "Stream \(stream.name) under account \(stream.scope.account) has consumers registered. Deregister "
                        + "them first, or set EnforceConsumerDeletion.")
            }
            try StreamTable.delete(stream.id, in: transaction)
            desk.directory.forget(stream, in: transaction)
            desk.arrivals.announce(stream.arn, [nil], in: transaction)
        }
        housekeeping.collectGarbage()
        return OperationResponse()
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListStreamsInput(request.input)
        let context = request.context
        let limit = min(input.limit ?? Limits.streamsPerList, Limits.streamsPerList)
        var after = input.exclusiveStartStreamName ?? ""
        if let token = input.nextToken {
            guard let name = PageToken.decodeText(token) else { throw AWSError.invalidToken }
            after = name
        }
        let rows = try await desk.database.read { [desk, after] transaction in
            try desk.access.check(
                request, context.operation, resource: "*", of: context.scope.account, policy: nil,
                in: transaction)
            return try StreamTable.list(context.scope, after: after, limit: limit + 1, in: transaction)
        }
        let page = rows.prefix(limit)
        var output = Model.ListStreamsOutput()
        output.streamNames = page.map(\.name)
        output.hasMoreStreams = rows.count > limit
        if rows.count > limit, let last = page.last { output.nextToken = PageToken.encode(last.name) }
        output.streamSummaries = page.map { row in
            var summary = Model.StreamSummary()
            summary.streamName = row.name
            summary.streamARN = Stream.arn(context.scope, row.name)
            summary.streamStatus = "ACTIVE"
            var mode = Model.StreamModeDetails()
            mode.streamMode = row.mode
            summary.streamModeDetails = mode
            summary.streamCreationTimestamp = row.created
            return summary
        }
        return OperationResponse(output.value)
    }

    func describe(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DescribeStreamInput(request.input)
        let target = try StreamTarget(
            name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
        let limit = min(input.limit ?? Limits.defaultShardsPerDescription, Limits.shardsPerDescription.upperBound)
        let start = input.exclusiveStartShardId
        let (stream, shards) = try await desk.read(request, target) { stream, now, _ in
            var after: Int64 = -1
            if let start {
                guard let number = Shard.number(start) else { throw AWSError.noShard(start, stream) }
                after = number
            }
            let all = stream.shards.shards[stream.shards.firstIndex(after: after)...]
            return (stream, Array(all.lazy.filter { stream.isReadable($0, now: now) }.prefix(limit + 1)))
        }
        var description = Model.StreamDescription()
        description.streamName = stream.name
        description.streamARN = stream.arn
        description.streamStatus = "ACTIVE"
        description.streamModeDetails = stream.modeModel
        description.shards = shards.prefix(limit).map(\.model)
        description.hasMoreShards = shards.count > limit
        description.retentionPeriodHours = stream.settings.retentionHours
        description.streamCreationTimestamp = stream.created
        description.enhancedMonitoring = stream.monitoringModel
        description.encryptionType = stream.settings.encryptionType ?? "NONE"
        description.keyId = stream.settings.keyID
        var output = Model.DescribeStreamOutput()
        output.streamDescription = description
        return OperationResponse(output.value)
    }

    func summary(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DescribeStreamSummaryInput(request.input)
        let target = try StreamTarget(
            name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
        let (stream, consumers) = try await desk.read(request, target) { stream, _, transaction in
            (stream, try ConsumerTable.count(stream.id, in: transaction))
        }
        var summary = Model.StreamDescriptionSummary()
        summary.streamName = stream.name
        summary.streamARN = stream.arn
        summary.streamId = stream.streamID
        summary.streamStatus = "ACTIVE"
        summary.streamModeDetails = stream.modeModel
        summary.retentionPeriodHours = stream.settings.retentionHours
        summary.streamCreationTimestamp = stream.created
        summary.enhancedMonitoring = stream.monitoringModel
        summary.encryptionType = stream.settings.encryptionType ?? "NONE"
        summary.keyId = stream.settings.keyID
        summary.openShardCount = stream.shards.open.count
        summary.consumerCount = consumers
        summary.maxRecordSizeInKiB = stream.settings.recordKiB
        var output = Model.DescribeStreamSummaryOutput()
        output.streamDescriptionSummary = summary
        return OperationResponse(output.value)
    }

    func limits(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let usage = try await desk.database.read { [desk] transaction in
            try desk.access.check(
                request, context.operation, resource: "*", of: context.scope.account, policy: nil,
                in: transaction)
            return try StreamTable.usage(context.scope, in: transaction)
        }
        var output = Model.DescribeLimitsOutput()
        output.shardLimit = Limits.shards
        output.openShardCount = usage.openShards
        output.onDemandStreamCount = usage.onDemandStreams
        output.onDemandStreamCountLimit = Limits.onDemandStreams
        return OperationResponse(output.value)
    }
}

extension Stream {
    var modeModel: Model.StreamModeDetails {
        var model = Model.StreamModeDetails()
        model.streamMode = settings.mode.rawValue
        return model
    }

    var monitoringModel: [Model.EnhancedMetrics] {
        var model = Model.EnhancedMetrics()
        model.shardLevelMetrics = settings.metrics
        return [model]
    }
}
