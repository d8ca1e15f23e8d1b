import Platform

/// Tells a function or topic of changed references.
struct Trigger: Sendable, Equatable {
    enum Event: String, Sendable {
        case all
        case updateReference
        case createReference
        case deleteReference
    }
    var name: String
    /// An ARN of a function or topic.
    var destination: String
    var customData: String?
    /// None: all of them, and tags too.
    var branches: [String]
    var events: [Event]

    init(name: String, destination: String, customData: String?, branches: [String], events: [Event]) {
        self.name = name
        self.destination = destination
        self.customData = customData
        self.branches = branches
        self.events = events
    }

    /// As it was stored.
    init?(_ value: Value) {
        guard let name = value["name"]?.string, let destination = value["destination"]?.string else { return nil }
        self.name = name
        self.destination = destination
        customData = value["customData"]?.string
        branches = (value["branches"]?.list ?? []).compactMap(\.string)
        events = (value["events"]?.list ?? []).compactMap { $0.string.flatMap { Event(rawValue: $0) } }
    }

    var value: Value {
        var fields: Fields = [
            "name": .string(name), "destination": .string(destination),
            "branches": .list(branches.map { .string($0) }), "events": .list(events.map { .string($0.rawValue) }),
        ]
        if let customData { fields["customData"] = .string(customData) }
        return .map(fields)
    }

    func matches(_ change: ReferenceChange) -> Bool {
        guard events.contains(.all) || events.contains(where: { $0.rawValue == change.kind.rawValue }) else {
            return false
        }
        guard !branches.isEmpty else { return true }
        return change.branch.map { branches.contains($0) } ?? false
    }
}

/// What triggers send (reference 6.7).
struct TriggerEvent: Sendable {
    /// `ReferenceChanges`, `TriggerEventTest`.
    var name: String
    var repository: RepositoryKey
    var triggersID: String
    var caller: String
    var time: Instant

    /// The events of one trigger, each with some of the references.
    func messages(_ trigger: Trigger, _ changes: [ReferenceChange]) -> [Value] {
        let references = changes.map(TriggerEvent.reference)
        var parts: [[Value]] = []
        var start = 0
        repeat {
            let end = min(start + Limits.referencesOfEvent, references.count)
            parts.append(Array(references[start..<end]))
            start = end
        } while start < references.count
        return parts.enumerated().map { message(trigger, $1, number: $0 + 1, of: parts.count) }
    }

    private static func reference(_ change: ReferenceChange) -> Value {
        var fields: Fields = ["commit": .string(change.new ?? change.old ?? ObjectID.zero)]
        switch change.kind {
        case .created: fields["created"] = .bool(true)
        case .deleted: fields["deleted"] = .bool(true)
        case .updated: break
        }
        fields["ref"] = .string(change.name)
        return .map(fields)
    }

    private func message(_ trigger: Trigger, _ references: [Value], number: Int, of total: Int) -> Value {
        var record: Fields = [
            "awsRegion": .string(repository.scope.region),
            "codecommit": .map(["references": .list(references)]),
        ]
        if let data = trigger.customData { record["customData"] = .string(data) }
        record["eventId"] = .string(Identifier.uuid())
        record["eventName"] = .string(name)
        record["eventPartNumber"] = .int(Int64(number))
        record["eventSource"] = "aws:codecommit"
        record["eventSourceARN"] = .string(repository.arn)
        record["eventTime"] = .string(TriggerEvent.text(time))
        record["eventTotalParts"] = .int(Int64(total))
        record["eventTriggerConfigId"] = .string(triggersID)
        record["eventTriggerName"] = .string(trigger.name)
        record["eventVersion"] = "1.0"
        record["userIdentityARN"] = .string(caller)
        return .map(["Records": .list([.map(record)])])
    }

    /// `2026-11-23T16:00:00.123+0000`.
    static func text(_ time: Instant) -> String {
        let iso = time.iso8601(fractionDigits: 3)
        return iso.hasSuffix("Z") ? iso.dropLast() + "+0000" : iso
    }
}
