import Contracts
import Platform
import Wire

/// One entry of PutEvents, checked.
struct EventEntry: Sendable {
    var bus: BusKey
    var event: Event

    /// Why an entry is not taken: a part of the answer, not of the call's failure.
    struct Rejection: Error, Sendable, Hashable {
        var code: String
        var message: String
    }

    /// Throws `Rejection`.
    init(_ entry: Model.PutEventsRequestEntry, _ context: OperationContext) throws(Rejection) {
        let (source, type, detail) = (entry.source ?? "", entry.detailType ?? "", entry.detail ?? "")
        for (name, value) in [("Source", source), ("DetailType", type), ("Detail", detail)] where value.isEmpty {
            throw Self.invalid("Parameter \(name) is not valid. Reason: \(name) is a required argument.")
        }
        guard !source.hasPrefix("aws.") else {
            throw Rejection(code: "NotAuthorizedForSourceException", message: "Not authorized for the source.")
        }
        guard let parsed = try? JSON.parse(detail), parsed.fields != nil else {
            throw Rejection(code: "MalformedDetail", message: "Detail is malformed.")
        }
        bus = BusKey(entry.eventBusName, in: context.scope)
        guard bus.scope.region == context.scope.region else {
            throw Self.invalid("Parameter EventBusName is not valid. Reason: the event bus is in another Region.")
        }
        let head = Event.Head(
            id: Identifier.uuid(), detailType: type, source: source, account: context.scope.account,
            time: entry.time ?? context.now, region: context.scope.region, resources: entry.resources ?? [])
        event = Event(head, detail: parsed, detailBytes: detail.utf8, ingestion: context.now)
        // The event is one level deeper than its detail, and is read again by whoever gets it.
        guard (try? JSON.validate(event.bytes)) != nil else {
            throw Rejection(code: "MalformedDetail", message: "Detail is malformed.")
        }
        event.traceHeader = entry.traceHeader ?? context.header("x-amzn-trace-id")
    }

    private static func invalid(_ message: String) -> Rejection { Rejection(code: "InvalidArgument", message: message) }

    /// What an entry counts for the limit of PutEvents, bytes (user guide, "Calculating PutEvents event entry size").
    static func size(_ entry: Model.PutEventsRequestEntry) -> Int {
        var size = entry.time == nil ? 0 : Limits.timeBytes
        for text in [entry.source, entry.detailType, entry.detail] { size += text?.utf8.count ?? 0 }
        for resource in entry.resources ?? [] { size += resource.utf8.count }
        return size
    }
}
