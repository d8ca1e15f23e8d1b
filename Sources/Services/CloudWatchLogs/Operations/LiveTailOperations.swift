import Contracts
import Platform
import Storage
import Wire

struct LiveTailOperations: Sendable {
    let database: any Database
    let tails: LiveTails
    let schema: ServiceSchema
    let time: any TimeSource

    func start(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.StartLiveTailRequest(request.input)
        let context = request.context
        let names = try Self.groupNames(input.logGroupIdentifiers ?? [], context)
        let (streams, prefixes) = (input.logStreamNames ?? [], input.logStreamNamePrefixes ?? [])
        guard streams.isEmpty || prefixes.isEmpty else {
            throw LogsError.invalid("logStreamNamePrefixes and logStreamNames are mutually exclusive parameters.")
        }
        guard streams.isEmpty && prefixes.isEmpty || names.count == 1 else {
            throw LogsError.invalid(
                "logStreamNames and logStreamNamePrefixes can only be used with a single log group identifier.")
        }
        guard max(streams.count, prefixes.count) <= Limits.streamsPerTail else {
            throw LogsError.invalid("At most \(Limits.streamsPerTail) log streams or prefixes may be given.")
        }
        let pattern = try Self.pattern(input.logEventFilterPattern)
        let scope = context.scope
        let groups = try await database.read { transaction in
            try names.map { try GroupRow.require($0, scope, in: transaction) }
        }
        guard
            let match = OperationMatch(schema: schema, operation: "StartLiveTail", wireProtocol: .json11)
        else { throw Failure(.bug, "The model of CloudWatch Logs has no StartLiveTail.") }
        let selection = TailSelection(
            groups: Set(groups.map(\.id)), streams: Set(streams), prefixes: prefixes, pattern: pattern)
        guard let session = tails.start(selection, scope: scope) else {
            throw AWSError("LimitExceededException", "You have reached the limit of concurrent Live Tail sessions.")
        }
        // Ends also with an answer that is never written because the client has gone.
        let lease = TailLease { [tails] in tails.ended(session) }
        var first = Model.LiveTailSessionStart()
        first.requestId = context.requestID
        first.sessionId = Identifier.uuid()
        first.logGroupIdentifiers = input.logGroupIdentifiers
        first.logStreamNames = input.logStreamNames
        first.logStreamNamePrefixes = input.logStreamNamePrefixes
        first.logEventFilterPattern = input.logEventFilterPattern
        let start = first.value
        return OperationResponse(
            payload: .stream(length: nil) { [time] writer in
                defer { lease.end() }
                try await Self.run(session, start, match, time, writer)
            })
    }

    private static func groupNames(_ identifiers: [String], _ context: OperationContext) throws -> [String] {
        guard (1...Limits.groupsPerTail).contains(identifiers.count) else {
            throw LogsError.invalid("Between 1 and \(Limits.groupsPerTail) log group identifiers must be given.")
        }
        guard Set(identifiers).count == identifiers.count else {
            throw LogsError.invalid("The log group identifiers must be unique.")
        }
        return try identifiers.map { identifier in
            // As the reference says: an ARN, and without the asterisk at its end.
            guard ARN(identifier)?.resource.hasPrefix("log-group:") == true, !identifier.hasSuffix("*") else {
                throw LogsError.invalid(
                    "The log group identifier \(identifier) is invalid: it must be an ARN that does not end with an "
                        + "asterisk (*).")
            }
            return try LogsError.groupName(ofIdentifier: identifier, context)
        }
    }

    private static func pattern(_ text: String?) throws(AWSError) -> FilterPattern {
        do throws(AWSError) {
            guard text != #""""# else { throw PatternError.characters(#""""#.utf8) }
            return try FilterPattern(text ?? "")
        } catch {
            let prefix = "Invalid filter pattern"
            throw error.message.hasPrefix(prefix) ? error : LogsError.invalid("\(prefix): \(error.message)")
        }
    }

    /// An update each second, also without events, until the session is over or its client has gone; and one at once when
    /// something comes after an update that had nothing to tell.
    private static func run(
        _ session: TailSession, _ start: Value, _ match: OperationMatch, _ time: any TimeSource,
        _ writer: any BodyWriter
    ) async throws {
        let timeout = time.schedule(at: time.now() + Limits.tailLifetime) { session.end(.timedOut) }
        defer { timeout.cancel() }
        try await writer.write(Codec.encodeInitialResponse([:], for: match))
        try await send("sessionStart", start, match, writer)
        while true {
            let tick = time.schedule(at: time.now() + Limits.tailUpdate) { session.tick() }
            defer { tick.cancel() }
            switch await session.next() {
            case .timedOut:
                let error = AWSError("SessionTimeoutException", "The Live Tail session has timed out.")
                return try await writer.write(Codec.encodeEventException(error, for: match))
            case .stopping:
                let error = AWSError("SessionStreamingException", "The server is shutting down.")
                return try await writer.write(Codec.encodeEventException(error, for: match))
            case nil: try await send("sessionUpdate", update(session.take()), match, writer)
            }
        }
    }

    private static func send(
        _ name: String, _ value: Value, _ match: OperationMatch, _ writer: any BodyWriter
    ) async throws {
        guard let bytes = Codec.encodeEvent(name, value, for: match) else {
            throw Failure(.bug, "The model of CloudWatch Logs has no event \(name).")
        }
        try await writer.write(bytes)
    }

    private static func update(_ taken: (entries: [TailBuffer.Entry], isSampled: Bool)) -> Value {
        var metadata = Model.LiveTailSessionMetadata()
        metadata.sampled = taken.isSampled
        var update = Model.LiveTailSessionUpdate()
        update.sessionMetadata = metadata
        update.sessionResults = taken.entries.map { entry in
            var event = Model.LiveTailSessionLogEvent()
            event.logGroupIdentifier = entry.groupARN
            event.logStreamName = entry.stream
            event.message = entry.message
            event.timestamp = Int(entry.timestamp)
            event.ingestionTime = Int(entry.ingested)
            return event
        }
        return update.value
    }
}

/// Calls back at its end, and again when nobody holds it any more.
private final class TailLease: Sendable {
    private let onEnd: @Sendable () -> Void
    init(onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }
    func end() { onEnd() }
    deinit { onEnd() }
}
