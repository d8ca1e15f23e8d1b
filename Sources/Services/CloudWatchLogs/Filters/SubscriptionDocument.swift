import Platform

/// What subscriptions send (user guide, "Real-time processing of log data with subscriptions"; reference, section 6.5).
enum SubscriptionDocument {
    /// An event as it goes into a document.
    struct Entry: Sendable {
        var position: Position
        var message: String
        /// What a space-delimited pattern has found.
        var fields: [(name: String, value: String)]

        init(_ row: EventRow, _ match: FilterPattern.Match) {
            position = row.position
            message = row.message
            if case .fields(let found) = match {
                fields = found.map { (String($0.name.dropFirst()), $0.value) }
            } else {
                fields = []
            }
        }

        var value: Value {
            var value: Fields = [
                "id": .string(position.digits), "timestamp": .int(position.timestamp), "message": .string(message),
            ]
            if !fields.isEmpty {
                // Of fields with the same name the first counts.
                var extracted: Fields = [:]
                for (name, value) in fields where extracted[name] == nil { extracted.append(name, .string(value)) }
                value.append("extractedFields", .map(extracted))
            }
            return .map(value)
        }

        /// About what it is in a document, bytes.
        var size: Int { message.utf8.count + fields.reduce(120) { $0 + $1.name.utf8.count + $1.value.utf8.count } }
    }

    static func data(
        _ entries: ArraySlice<Entry>, owner: String, group: String, stream: String, filter: String
    ) -> [UInt8] {
        JSON.encode([
            "messageType": "DATA_MESSAGE", "owner": .string(owner), "logGroup": .string(group),
            "logStream": .string(stream), "subscriptionFilters": [.string(filter)],
            "logEvents": .list(entries.map(\.value)),
        ])
    }

    /// By which a stream is tried when a filter is put.
    static func control(now: Instant) -> [UInt8] {
        JSON.encode([
            "messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "",
            "subscriptionFilters": [],
            "logEvents": [
                [
                    "id": "", "timestamp": .int(now.milliseconds),
                    "message": "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream.",
                ]
            ],
        ])
    }

    /// The payloads for one target, each small enough for it, as `wrap` makes them of the compressed document. What is too
    /// large alone is counted and left out.
    static func payloads(
        _ entries: [Entry], wrap: ([UInt8]) -> [UInt8], document: (ArraySlice<Entry>) -> [UInt8]
    ) throws -> (payloads: [[UInt8]], left: Int) {
        var (payloads, left): ([[UInt8]], Int) = ([], 0)
        var rest = entries[...]
        while !rest.isEmpty {
            var size = 0
            let fitting = rest.prefix { entry in
                size += entry.size
                return size <= Limits.documentBytes
            }
            var part = fitting.isEmpty ? rest.prefix(1) : fitting
            while true {
                let payload = wrap(try Gzip.compress(document(part)))
                if payload.count <= Limits.deliveryBytes {
                    payloads.append(payload)
                    break
                }
                if part.count == 1 {
                    left += 1
                    break
                }
                part = part.prefix(part.count / 2)
            }
            rest = rest.dropFirst(part.count)
        }
        return (payloads, left)
    }
}
