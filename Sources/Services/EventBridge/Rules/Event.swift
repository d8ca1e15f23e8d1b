import Platform

/// An event on a bus.
struct Event: Sendable {
    /// The whole event in JSON, as targets get it.
    var bytes: [UInt8]
    /// The same, for patterns and paths.
    var value: Value
    /// When it reached this server.
    var ingestion: Instant
    /// Buses whose rules have sent it on.
    var forwards = 0
    /// `X-Amzn-Trace-Id` of the cause.
    var traceHeader: String?

    var id: String { value["id"]?.string ?? "" }

    struct Head: Sendable {
        var id: String
        var detailType: String
        var source: String
        var account: String
        var time: Instant
        var region: String
        var resources: [String]
    }

    /// `detail` is an object; its spelling is kept, without blanks.
    init(_ head: Head, detail: Value, detailBytes: some Collection<UInt8>, ingestion: Instant) {
        var fields: Fields = [
            "version": "0", "id": .string(head.id), "detail-type": .string(head.detailType),
            "source": .string(head.source), "account": .string(head.account), "time": .string(head.time.iso8601()),
            "region": .string(head.region), "resources": .strings(head.resources),
        ]
        bytes = JSON.encode(.map(fields))
        bytes.removeLast()
        bytes += Array(",\"detail\":".utf8)
        bytes += CompactJSON.bytes(detailBytes)
        bytes.append(UInt8(ascii: "}"))
        fields.append("detail", detail)
        value = .map(fields)
        self.ingestion = ingestion
    }

    /// An event as it was written; nil when it is none.
    init?(encoded: [UInt8], ingestion: Instant) {
        guard let value = try? JSON.parse(encoded), value["id"]?.string != nil, value["detail"] != nil else {
            return nil
        }
        bytes = encoded
        self.value = value
        self.ingestion = ingestion
    }
}

enum CompactJSON {
    /// A JSON document, known to be one, without the blanks between its parts.
    static func bytes(_ document: some Collection<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(document.count)
        var inString = false
        var escaped = false
        for byte in document {
            if inString {
                if escaped {
                    escaped = false
                } else if byte == UInt8(ascii: "\\") {
                    escaped = true
                } else if byte == UInt8(ascii: "\"") {
                    inString = false
                }
            } else if byte == UInt8(ascii: "\"") {
                inString = true
            } else if byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
                continue
            }
            out.append(byte)
        }
        return out
    }
}
