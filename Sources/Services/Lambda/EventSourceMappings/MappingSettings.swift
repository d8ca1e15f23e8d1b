import EventPatterns
import Platform
import Wire

/// What kinds of sources there are, by the ARN or the request.
enum SourceKind: String {
    case queue = "Amazon SQS"
    case stream = "Amazon Kinesis"
    case table = "Amazon DynamoDB Streams"
    case kafka = "Kafka"
    case broker = "Amazon MQ"
    case documents = "Amazon DocumentDB"

    /// Kinds that Martlet polls.
    var isPolled: Bool { [.queue, .stream, .table].contains(self) }

    /// Throws "Unrecognized event source."
    init(_ source: String?, isSelfManaged: Bool) throws(AWSError) {
        if isSelfManaged {
            self = .kafka
            return
        }
        let arn = source.flatMap { ARN($0) }
        switch arn?.service {
        case "sqs": self = .queue
        case "kinesis" where arn?.resource.hasPrefix("stream/") ?? false: self = .stream
        case "dynamodb" where arn?.resource.contains("/stream/") ?? false: self = .table
        case "kafka": self = .kafka
        case "mq": self = .broker
        case "rds": self = .documents
        default: throw .invalidParameter("Unrecognized event source.")
        }
    }
}

/// The settings of a mapping with a queue: what a request may say, what it means, and what is kept of it (reference 5.1, 7.1).
enum MappingSettings {
    /// Parameters that make no sense for queues, with the form of their name in AWS's text.
    private static let foreign: [(name: String, shown: String)] = [
        ("StartingPosition", "'startingPosition'"), ("StartingPositionTimestamp", "'startingPositionTimestamp'"),
        ("ParallelizationFactor", "'parallelizationFactor'"), ("DestinationConfig", "DestinationConfig"),
        ("MaximumRecordAgeInSeconds", "'maximumRecordAgeInSeconds'"),
        ("BisectBatchOnFunctionError", "'bisectBatchOnFunctionError'"),
        ("MaximumRetryAttempts", "'maximumRetryAttempts'"), ("TumblingWindowInSeconds", "'tumblingWindowInSeconds'"),
        ("Topics", "'topics'"), ("Queues", "'queues'"), ("SourceAccessConfigurations", "'sourceAccessConfigurations'"),
        ("LoggingConfig", "'loggingConfig'"),
        ("AmazonManagedKafkaEventSourceConfig", "'amazonManagedKafkaEventSourceConfig'"),
        ("SelfManagedKafkaEventSourceConfig", "'selfManagedKafkaEventSourceConfig'"),
        ("DocumentDBEventSourceConfig", "'documentDBEventSourceConfig'"),
    ]

    /// What a request without it gets.
    static let defaults: Fields = [
        "BatchSize": .int(10), "MaximumBatchingWindowInSeconds": .int(0), "FunctionResponseTypes": [],
    ]

    /// Settings as they become by a request. Members that are given replace; empty structures and texts remove.
    static func merged(_ settings: Fields, with request: Value, isFIFO: Bool) throws(AWSError) -> Fields {
        for (name, shown) in foreign {
            guard let value = request[name], !isNeutral(value) else { continue }
            throw .invalidParameter("Unsupported \(shown) parameter for given event source mapping type.")
        }
        var settings = settings
        for name in ["BatchSize", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes"] {
            if let value = request[name] { settings[name] = value }
        }
        for name in ["FilterCriteria", "KMSKeyArn", "MetricsConfig", "ScalingConfig"] {
            guard let value = request[name] else { continue }
            settings[name] = isEmpty(value) ? nil : value
        }
        if let given = request["ProvisionedPollerConfig"] {
            settings["ProvisionedPollerConfig"] = try pollers(given)
        }
        try check(settings, isFIFO: isFIFO)
        return settings
    }

    private static func check(_ settings: Fields, isFIFO: Bool) throws(AWSError) {
        let size = settings["BatchSize"]?.int ?? 10
        let window = settings["MaximumBatchingWindowInSeconds"]?.int ?? 0
        if isFIFO {
            if window > 0 { throw .invalidParameter("Batching window is not supported for FIFO queues") }
            if size > Limits.fifoBatchSize {
                throw .invalidParameter(
                    "Batch size must be less than or equal to \(Limits.fifoBatchSize) for FIFO queues")
            }
        } else if size > Limits.batchSizeWithoutWindow, window == 0 {
            throw .invalidParameter(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than "
                    + "\(Limits.batchSizeWithoutWindow)")
        }
        try checkFilters(settings["FilterCriteria"])
        if settings["ScalingConfig"] != nil, settings["ProvisionedPollerConfig"] != nil {
            throw .invalidParameter("ScalingConfig and ProvisionedPollerConfig can't be used together.")
        }
    }

    /// AWS's range for queues, and its defaults.
    private static func pollers(_ given: Value) throws(AWSError) -> Value? {
        if isEmpty(given) { return nil }
        let minimum = given["MinimumPollers"]?.int ?? 2
        let maximum = given["MaximumPollers"]?.int ?? max(200, minimum)
        guard (2...200).contains(minimum), (2...10_000).contains(maximum), minimum <= maximum else {
            throw .invalidParameter(
                "MinimumPollers must be between 2 and 200 and MaximumPollers between 2 and 10000, and MinimumPollers "
                    + "must not be greater than MaximumPollers.")
        }
        return ["MinimumPollers": .int(minimum), "MaximumPollers": .int(maximum)]
    }

    static func checkFilters(_ criteria: Value?) throws(AWSError) {
        let patterns = patterns(criteria)
        if patterns.count > Limits.filtersPerMapping {
            throw .invalidParameter(
                "Filter count \(patterns.count) exceeds the limit of \(Limits.filtersPerMapping) per mapping.")
        }
        for pattern in patterns {
            do {
                _ = try EventPattern(json: Array(pattern.utf8), dialect: .eventSourceMapping)
            } catch {
                throw .invalidParameter("Invalid filter pattern definition.")
            }
        }
    }

    static func patterns(_ criteria: Value?) -> [String] {
        (criteria?["Filters"]?.list ?? []).compactMap { $0["Pattern"]?.string }.filter { !$0.isEmpty }
    }

    /// Given, but without meaning: tools send defaults.
    static func isNeutral(_ value: Value) -> Bool { isEmpty(value) || value.bool == false }

    static func isEmpty(_ value: Value) -> Bool {
        switch value {
        case .null: true
        case .string(let text): text.isEmpty
        case .list(let items): items.isEmpty
        case .map(let fields): fields.entries.allSatisfy { isEmpty($0.value) }
        default: false
        }
    }
}

/// Mappings with sources that cannot be polled yet: refused as AWS refuses them, and otherwise with an error that says so.
enum OtherSources {
    static func refusal(_ kind: SourceKind, _ request: Value) -> AWSError {
        do {
            try check(kind, request)
        } catch {
            return error
        }
        return .invalidParameter(
            "Martlet does not poll event sources of type \(kind.rawValue) yet; Amazon SQS queues, Amazon Kinesis and "
                + "Amazon DynamoDB streams are supported.")
    }

    private static func check(_ kind: SourceKind, _ request: Value) throws(AWSError) {
        if request["SelfManagedEventSource"] != nil, request["SourceAccessConfigurations"] == nil {
            throw .invalidParameter("Required 'sourceAccessConfigurations' parameter is missing.")
        }
        if request["ScalingConfig"] != nil {
            throw .invalidParameter("Unsupported 'scalingConfig' parameter for given event source mapping type.")
        }
        if let success = request["DestinationConfig"]?["OnSuccess"], success.fields?.isEmpty == false {
            throw .invalidParameter("Unsupported DestinationConfig parameter for given event source mapping type.")
        }
        try MappingSettings.checkFilters(request["FilterCriteria"])
    }
}
