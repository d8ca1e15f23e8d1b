import Contracts
import Platform
import Storage
import Wire

/// Retention, mode, encryption, monitoring, the size of records: stored, in effect at once.
struct Settings: Sendable {
    let desk: Desk

    // MARK: Retention

    func increaseRetention(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.IncreaseStreamRetentionPeriodInput(request.input)
        let hours = input.retentionPeriodHours ?? 0
        try await desk.change(request, try target(input.streamName, input.streamARN, input.streamId, request)) {
            settings, stream, _ in
            try Self.check(hours)
            guard hours >= settings.retentionHours else {
                throw AWSError.invalid(
                    "Requested retention period (\(hours) hours) for stream \(stream.name) can not be shorter than "
                        + "existing retention period (\(settings.retentionHours) hours). Use DecreaseRetentionPeriod API."
                )
            }
            settings.retentionHours = hours
        }
        return OperationResponse()
    }

    func decreaseRetention(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DecreaseStreamRetentionPeriodInput(request.input)
        let hours = input.retentionPeriodHours ?? 0
        try await desk.change(request, try target(input.streamName, input.streamARN, input.streamId, request)) {
            settings, stream, _ in
            try Self.check(hours)
            guard hours <= settings.retentionHours else {
                throw AWSError.invalid(
                    "Requested retention period (\(hours) hours) for stream \(stream.name) can not be longer than "
                        + "existing retention period (\(settings.retentionHours) hours). Use IncreaseRetentionPeriod API."
                )
            }
            settings.retentionHours = hours
        }
        return OperationResponse()
    }

    private static func check(_ hours: Int) throws(AWSError) {
        let range = Limits.retentionHours
        if hours < range.lowerBound {
            throw .invalid(
                "Minimum allowed retention period is \(range.lowerBound) hours. Requested retention period "
                    + "(\(hours) hours) is too short.")
        }
        if hours > range.upperBound {
            throw .invalid(
                "Maximum allowed retention period is \(range.upperBound) hours. Requested retention period "
                    + "(\(hours) hours) is too long.")
        }
    }

    // MARK: Mode and size

    func updateMode(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateStreamModeInput(request.input)
        guard let mode = input.streamModeDetails?.streamMode.flatMap(StreamSettings.Mode.init(rawValue:)) else {
            throw AWSError.constraint("streamModeDetails.streamMode", "Member must satisfy enum value set")
        }
        let isLimited = desk.throughput != nil
        let warm = input.warmThroughputMiBps
        try await desk.change(request, try target(nil, input.streamARN, input.streamId, request)) {
            settings, stream, now in
            guard mode != settings.mode else {
                throw AWSError.invalid("Stream \(stream.name) is already in \(mode.rawValue) mode.")
            }
            let day = now.seconds - 86_400
            settings.modeUpdates = settings.modeUpdates.filter { $0 > day }.suffix(Limits.modeUpdatesPerDay)
            guard !isLimited || settings.modeUpdates.count < Limits.modeUpdatesPerDay else {
                throw AWSError.limit(
                    "You have reached the limit of \(Limits.modeUpdatesPerDay) changes of the mode of the stream "
                        + "\(stream.name) in a rolling 24-hour period.")
            }
            settings.modeUpdates.append(now.seconds)
            settings.mode = mode
            settings.warmMiBps = mode == .onDemand ? warm : nil
        }
        return OperationResponse()
    }

    func updateRecordSize(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateMaxRecordSizeInput(request.input)
        let size = input.maxRecordSizeInKiB ?? Limits.recordKiB
        try await desk.change(request, try target(nil, input.streamARN, input.streamId, request)) { settings, _, _ in
            settings.recordKiB = min(max(size, Limits.recordKiBRange.lowerBound), Limits.recordKiBRange.upperBound)
        }
        return OperationResponse()
    }

    // MARK: Encryption: remembered and shown; the data directory is as it is

    func startEncryption(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.StartStreamEncryptionInput(request.input)
        guard input.encryptionType == "KMS" else {
            throw AWSError.invalid("EncryptionType must be KMS to start the encryption of a stream.")
        }
        let key = input.keyId
        try await desk.change(request, try target(input.streamName, input.streamARN, input.streamId, request)) {
            settings, _, _ in
            settings.encryptionType = "KMS"
            settings.keyID = key
        }
        return OperationResponse()
    }

    func stopEncryption(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.StopStreamEncryptionInput(request.input)
        try await desk.change(request, try target(input.streamName, input.streamARN, input.streamId, request)) {
            settings, _, _ in
            settings.encryptionType = nil
            settings.keyID = nil
        }
        return OperationResponse()
    }

    // MARK: Monitoring

    private static let metrics = [
        "IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords", "WriteProvisionedThroughputExceeded",
        "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds",
    ]

    private static func expanded(_ names: [String]) -> [String] {
        names.contains("ALL") ? metrics : metrics.filter { names.contains($0) }
    }

    func enableMonitoring(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.EnableEnhancedMonitoringInput(request.input)
        let wanted = Self.expanded(input.shardLevelMetrics ?? [])
        return try await monitoring(
            request, try target(input.streamName, input.streamARN, input.streamId, request)
        ) { current in Self.metrics.filter { current.contains($0) || wanted.contains($0) } }
    }

    func disableMonitoring(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DisableEnhancedMonitoringInput(request.input)
        let unwanted = Self.expanded(input.shardLevelMetrics ?? [])
        return try await monitoring(
            request, try target(input.streamName, input.streamARN, input.streamId, request)
        ) { current in current.filter { !unwanted.contains($0) } }
    }

    private func monitoring(
        _ request: OperationRequest, _ target: StreamTarget, _ change: @escaping @Sendable ([String]) -> [String]
    ) async throws -> OperationResponse {
        let stream = try await desk.write(request, target) { [desk] stream, _, transaction in
            var settings = stream.settings
            settings.metrics = change(settings.metrics)
            try StreamTable.update(stream.id, settings, in: transaction)
            desk.directory.forget(stream, in: transaction)
            return stream
        }
        var output = Model.EnhancedMonitoringOutput()
        output.streamName = stream.name
        output.streamARN = stream.arn
        output.currentShardLevelMetrics = stream.settings.metrics
        output.desiredShardLevelMetrics = change(stream.settings.metrics)
        return OperationResponse(output.value)
    }

    private func target(
        _ name: String?, _ arn: String?, _ id: String?, _ request: OperationRequest
    ) throws(AWSError) -> StreamTarget {
        try StreamTarget(name: name, arn: arn, id: id, request.context)
    }
}
