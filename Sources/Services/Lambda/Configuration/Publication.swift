import Platform
import Wire

/// Whether and how `$LATEST` becomes a version. Pure.
enum Publication {
    /// Members that differ between `$LATEST` and a version of the same content, or say nothing of it.
    private static let volatile: Set<String> = [
        "FunctionArn", "Version", "RevisionId", "LastModified", "Description", "State", "StateReason",
        "StateReasonCode", "LastUpdateStatus", "LastUpdateStatusReason", "LastUpdateStatusReasonCode", "MasterArn",
        "SnapStart",
    ]

    /// Whether the last version is what publishing would make again: the same code and configuration.
    static func isUnchanged(latest: VersionRecord, lastPublished: VersionRecord) -> Bool {
        latest.code == lastPublished.code && latest.layers == lastPublished.layers
            && latest.configuration.description == lastPublished.sourceDescription
            && latest.configuration.snapStart?.applyOn == lastPublished.configuration.snapStart?.applyOn
            && content(latest) == content(lastPublished)
    }

    private static func content(_ record: VersionRecord) -> [String: Value] {
        var content: [String: Value] = [:]
        for entry in record.configuration.value.fields?.entries ?? [] where !volatile.contains(entry.name) {
            content[entry.name] = entry.value
        }
        return content
    }

    /// The new version. It starts Pending, as everything that is made.
    static func version(number: Int64, of latest: VersionRecord, description: String?) -> VersionRecord {
        var version = latest
        version.number = number
        version.generation = Identifier.uuid()
        version.sourceDescription = latest.configuration.description
        version.settling = true
        var configuration = latest.configuration
        if let description { configuration.description = description }
        configuration.version = String(number)
        configuration.functionArn = latest.scope.functionARN(latest.name, qualifier: String(number))
        configuration.state = "Pending"
        configuration.stateReason = "The function is being created."
        configuration.stateReasonCode = "Creating"
        configuration.lastUpdateStatus = nil
        configuration.lastUpdateStatusReason = nil
        configuration.lastUpdateStatusReasonCode = nil
        configuration.revisionId = Identifier.uuid()
        if configuration.snapStart?.applyOn == "PublishedVersions" {
            configuration.snapStart?.optimizationStatus = "On"
        }
        version.configuration = configuration
        return version
    }
}
