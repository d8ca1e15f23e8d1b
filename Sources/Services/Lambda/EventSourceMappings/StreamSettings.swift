import Contracts
import Platform
import Wire

/// The settings of a mapping with a stream: what a request may say, what it means, and what is kept of it (reference 5.1, 7.1).
/// Texts that are not recorded there are ours.
enum StreamMappingSettings {
    /// Parameters that make no sense for streams, with the form of their name in AWS's text.
    private static let foreign: [(name: String, shown: String)] = [
        ("ScalingConfig", "'scalingConfig'"), ("ProvisionedPollerConfig", "'provisionedPollerConfig'"),
        ("Topics", "'topics'"), ("Queues", "'queues'"), ("SourceAccessConfigurations", "'sourceAccessConfigurations'"),
        ("LoggingConfig", "'loggingConfig'"),
        ("AmazonManagedKafkaEventSourceConfig", "'amazonManagedKafkaEventSourceConfig'"),
        ("SelfManagedKafkaEventSourceConfig", "'selfManagedKafkaEventSourceConfig'"),
        ("DocumentDBEventSourceConfig", "'documentDBEventSourceConfig'"),
    ]

    /// What a request without it gets.
    static let defaults: Fields = [
        "BatchSize": .int(100), "MaximumBatchingWindowInSeconds": .int(0), "ParallelizationFactor": .int(1),
        "DestinationConfig": ["OnFailure": [:]], "MaximumRecordAgeInSeconds": .int(-1),
        "BisectBatchOnFunctionError": false, "MaximumRetryAttempts": .int(-1), "TumblingWindowInSeconds": .int(0),
        "FunctionResponseTypes": [],
    ]

    /// The starting position of a new mapping, which never changes.
    static func start(_ request: Value, kind: SourceKind, source: String, now: Instant) throws(AWSError) -> Fields {
        guard let position = request["StartingPosition"]?.string else {
            throw .invalidParameter(
                "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
                    + "Member must not be null.")
        }
        let timestamp = request["StartingPositionTimestamp"]?.timestamp
        guard position == "AT_TIMESTAMP" else {
            if timestamp != nil {
                throw .invalidParameter(
                    "StartingPositionTimestamp is only valid when StartingPosition is set to AT_TIMESTAMP.")
            }
            return ["StartingPosition": .string(position)]
        }
        if kind == .table { throw .invalidParameter("Unsupported starting position for arn type: \(source)") }
        guard let timestamp else {
            throw .invalidParameter(
                "StartingPositionTimestamp is required when StartingPosition is set to AT_TIMESTAMP.")
        }
        guard timestamp <= now else { throw .invalidParameter("StartingPositionTimestamp cannot be in the future.") }
        return ["StartingPosition": .string(position), "StartingPositionTimestamp": .int(timestamp.milliseconds)]
    }

    /// Settings as they become by a request. Members that are given replace; empty structures and texts remove.
    static func merged(_ settings: Fields, with request: Value) throws(AWSError) -> Fields {
        for (name, shown) in foreign {
            guard let value = request[name], !MappingSettings.isNeutral(value) else { continue }
            throw .invalidParameter("Unsupported \(shown) parameter for given event source mapping type.")
        }
        var settings = settings
        for name in [
            "BatchSize", "MaximumBatchingWindowInSeconds", "ParallelizationFactor", "MaximumRecordAgeInSeconds",
            "BisectBatchOnFunctionError", "MaximumRetryAttempts", "TumblingWindowInSeconds", "FunctionResponseTypes",
        ] {
            if let value = request[name], !value.isNull { settings[name] = value }
        }
        for name in ["FilterCriteria", "KMSKeyArn", "MetricsConfig"] {
            guard let value = request[name] else { continue }
            settings[name] = MappingSettings.isEmpty(value) ? nil : value
        }
        if let given = request["DestinationConfig"] { settings["DestinationConfig"] = try destinations(given) }
        try check(settings)
        return settings
    }

    private static func destinations(_ given: Value) throws(AWSError) -> Value {
        if let success = given["OnSuccess"], !MappingSettings.isEmpty(success) {
            throw .invalidParameter("Unsupported DestinationConfig parameter for given event source mapping type.")
        }
        guard let target = given["OnFailure"]?["Destination"]?.string, !target.isEmpty else {
            return ["OnFailure": [:]]
        }
        guard let arn = ARN(target), ["sqs", "sns", "s3"].contains(arn.service) else {
            throw .invalidParameter("Unsupported DestinationConfig parameter for given event source mapping type.")
        }
        return ["OnFailure": ["Destination": .string(target)]]
    }

    private static func check(_ settings: Fields) throws(AWSError) {
        let age = settings["MaximumRecordAgeInSeconds"]?.int ?? -1
        guard age == -1 || age >= 60 else {
            throw .invalidParameter("MaximumRecordAgeInSeconds must be -1, or between 60 and 604800.")
        }
        if (settings["TumblingWindowInSeconds"]?.int ?? 0) > 0, (settings["ParallelizationFactor"]?.int ?? 1) > 1 {
            throw .invalidParameter(
                "TumblingWindowInSeconds cannot be used with a ParallelizationFactor greater than 1.")
        }
        try MappingSettings.checkFilters(settings["FilterCriteria"])
    }

    static func onFailure(_ settings: Fields) -> String? {
        settings["DestinationConfig"]?["OnFailure"]?["Destination"]?.string
    }

    /// For the runner.
    static func stream(_ settings: Fields) -> EventSourceMapping.StreamSettings? {
        let start: StreamStart
        switch settings["StartingPosition"]?.string {
        case "TRIM_HORIZON": start = .trimHorizon
        case "LATEST": start = .latest
        case "AT_TIMESTAMP":
            start = .timestamp(Instant(milliseconds: settings["StartingPositionTimestamp"]?.int ?? 0))
        default: return nil
        }
        func bounded(_ name: String) -> Int? {
            settings[name]?.int.flatMap { $0 < 0 ? nil : Int(clamping: $0) }
        }
        return EventSourceMapping.StreamSettings(
            start: start, parallelizationFactor: bounded("ParallelizationFactor") ?? 1,
            maximumRetryAttempts: bounded("MaximumRetryAttempts"),
            maximumRecordAge: bounded("MaximumRecordAgeInSeconds").map { .seconds($0) },
            bisectsOnFunctionError: settings["BisectBatchOnFunctionError"]?.bool ?? false,
            tumblingWindow: .seconds(bounded("TumblingWindowInSeconds") ?? 0), onFailure: onFailure(settings))
    }
}
