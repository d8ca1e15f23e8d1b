import Contracts
import Platform

/// A message as a receive takes it: the row with the counters after the receive.
struct StoredMessage: Sendable {
    var id: Int64
    var messageID: String
    var sent: Instant
    var receives: Int64
    var firstReceived: Instant
    var envelope: Envelope
    var body: String
    var isLarge: Bool

    /// All system attributes, in AWS's order.
    func systemAttributes(isFIFO: Bool) -> [(name: String, value: String)] {
        var all: [(name: String, value: String)] = [
            ("SenderId", envelope.sender),
            ("ApproximateFirstReceiveTimestamp", String(firstReceived.milliseconds)),
            ("ApproximateReceiveCount", String(receives)),
            ("SentTimestamp", String(sent.milliseconds)),
        ]
        if isFIFO { all.append(("SequenceNumber", StoredMessage.sequenceNumber(id))) }
        if let deduplication = envelope.deduplicationID { all.append(("MessageDeduplicationId", deduplication)) }
        if let group = envelope.groupID { all.append(("MessageGroupId", group)) }
        if let trace = envelope.traceHeader { all.append(("AWSTraceHeader", trace)) }
        if let source = envelope.deadLetterSource { all.append(("DeadLetterQueueSourceArn", source)) }
        return all
    }

    /// Twenty digits that grow with each message, as AWS's do.
    static func sequenceNumber(_ id: Int64) -> String {
        let digits = String(id)
        return "188" + String(repeating: "0", count: max(17 - digits.count, 0)) + digits
    }
}
