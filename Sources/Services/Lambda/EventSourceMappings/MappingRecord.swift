import Contracts
import Platform
import Storage

/// An event source mapping as it is kept.
struct MappingRecord: Sendable {
    var scope: AccountRegion
    /// The UUID.
    var id: String
    /// Grows with every change by a caller.
    var revision: Int64 = 1
    var state: EventSourceMapping.State
    /// What it is (to be), whatever state it is passing through.
    var isEnabled: Bool
    var source: String
    var function: String
    /// As the caller named it; empty when unqualified.
    var qualifier: String
    /// The settings by their API names: what was given, and the defaults that are shown.
    var settings: Fields
    var lastModified: Instant
    /// What holds it up (`PROBLEM: …`); of a stream its last result.
    var problem: String?
    var tags: Fields = [:]

    init(scope: AccountRegion, id: String, target: FunctionTarget, source: String, isEnabled: Bool, now: Instant) {
        self.scope = scope
        self.id = id
        state = isEnabled ? .creating : .disabled
        self.isEnabled = isEnabled
        self.source = source
        function = target.name
        qualifier = target.qualifier ?? ""
        settings = [:]
        lastModified = now
    }

    /// Only mappings with streams begin somewhere.
    var isStream: Bool { settings["StartingPosition"] != nil }

    var target: FunctionTarget {
        FunctionTarget(scope: scope, name: function, qualifier: qualifier.isEmpty ? nil : qualifier)
    }

    var arn: String { scope.eventSourceMappingARN(id) }

    /// A caller changed it.
    mutating func revise(now: Instant) {
        revision += 1
        lastModified = now
        if !isStream { problem = nil }
    }

    // MARK: For callers

    /// `EventSourceMappingConfiguration`, members in the model's order.
    var output: Value {
        var output: Fields = ["UUID": .string(id)]
        func setting(_ name: String) { if let value = settings[name] { output.append(name, value) } }
        setting("StartingPosition")
        if let start = settings["StartingPositionTimestamp"]?.int {
            output.append("StartingPositionTimestamp", .timestamp(Instant(milliseconds: start)))
        }
        for name in ["BatchSize", "MaximumBatchingWindowInSeconds", "ParallelizationFactor"] { setting(name) }
        output.append("EventSourceArn", .string(source))
        for name in ["FilterCriteria", "KMSKeyArn", "MetricsConfig", "LoggingConfig", "ScalingConfig"] { setting(name) }
        output.append("FunctionArn", .string(target.arn))
        output.append("LastModified", .timestamp(Instant(milliseconds: lastModified.milliseconds)))
        if let result = problem ?? (isStream ? "No records processed" : nil) {
            output.append("LastProcessingResult", .string(result))
        }
        output.append("State", .string(state.rawValue))
        output.append("StateTransitionReason", .string(isStream ? "User action" : "USER_INITIATED"))
        for name in [
            "DestinationConfig", "MaximumRecordAgeInSeconds", "BisectBatchOnFunctionError", "MaximumRetryAttempts",
            "TumblingWindowInSeconds", "FunctionResponseTypes",
        ] { setting(name) }
        output.append("EventSourceMappingArn", .string(arn))
        setting("ProvisionedPollerConfig")
        return .map(output)
    }

    // MARK: For the runner

    var mapping: EventSourceMapping {
        let pollers = settings["ProvisionedPollerConfig"].map {
            EventSourceMapping.ProvisionedPollers(
                minimum: Int($0["MinimumPollers"]?.int ?? 0), maximum: Int($0["MaximumPollers"]?.int ?? 0))
        }
        return EventSourceMapping(
            scope: scope, id: id, revision: revision, state: state, isEnabled: isEnabled, sourceARN: source,
            function: function, qualifier: qualifier.isEmpty ? Qualifier.latestName : qualifier,
            functionARN: target.arn, batchSize: Int(settings["BatchSize"]?.int ?? 1),
            batchingWindow: .seconds(settings["MaximumBatchingWindowInSeconds"]?.int ?? 0),
            filters: MappingSettings.patterns(settings["FilterCriteria"]),
            reportsBatchItemFailures: !(settings["FunctionResponseTypes"]?.list ?? []).isEmpty,
            maximumConcurrency: settings["ScalingConfig"]?["MaximumConcurrency"]?.int.map { Int($0) },
            provisionedPollers: pollers, stream: StreamMappingSettings.stream(settings))
    }

    // MARK: The row

    static let columns = "account, region, id, revision, state, enabled, source, function, qualifier, value"

    /// Reads a row of `columns`. Throws `Failure(.corrupt)`.
    init(row: any Row) throws {
        let document = try Document.value(row.text(9))
        guard let state = EventSourceMapping.State(rawValue: row.text(4)) else {
            throw Failure(.corrupt, "lambda_event_source_mappings has a row in no known state")
        }
        scope = AccountRegion(account: row.text(0), region: row.text(1))
        id = row.text(2)
        revision = row.int(3)
        self.state = state
        isEnabled = row.bool(5)
        source = row.text(6)
        function = row.text(7)
        qualifier = row.text(8)
        settings = document["Settings"]?.fields ?? [:]
        lastModified = Instant(milliseconds: document["Modified"]?.int ?? 0)
        problem = document["Problem"]?.string
        tags = document["Tags"]?.fields ?? [:]
    }

    var document: Value {
        var fields: Fields = ["Settings": .map(settings), "Modified": .int(lastModified.milliseconds)]
        if let problem { fields.append("Problem", .string(problem)) }
        if !tags.isEmpty { fields.append("Tags", .map(tags)) }
        return .map(fields)
    }
}

extension AccountRegion {
    func eventSourceMappingARN(_ id: String) -> String {
        "arn:\(partition):lambda:\(region):\(account):event-source-mapping:\(id)"
    }
}
