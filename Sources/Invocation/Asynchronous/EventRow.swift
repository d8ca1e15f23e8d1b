import Contracts
import Platform

/// An asynchronous event as it lies in the queue.
struct EventRow {
    var event: AsynchronousEvent
    var progress: AsynchronousRetry.Progress

    init(event: AsynchronousEvent, progress: AsynchronousRetry.Progress) {
        self.event = event
        self.progress = progress
    }

    /// Events of one function and qualifier are run side by side up to a limit; others do not wait for them.
    static func partition(of event: AsynchronousEvent) -> String {
        "\(event.scope.account)/\(event.scope.region)/\(event.function):\(event.qualifier)"
    }

    /// A JSON head, a newline, and the payload's bytes as they came.
    func encoded() -> [UInt8] {
        var head: Fields = [
            "id": .string(event.requestID), "account": .string(event.scope.account),
            "region": .string(event.scope.region), "function": .string(event.function),
            "qualifier": .string(event.qualifier), "accepted": .int(event.acceptedAt.nanoseconds),
            "arn": .string(event.invokedFunctionARN), "functionErrors": .int(Int64(progress.functionErrors)),
            "systemErrors": .int(Int64(progress.systemErrors)),
        ]
        if let traceID = event.traceID { head.append("trace", .string(traceID)) }
        return JSON.encode(.map(head)) + [UInt8(ascii: "\n")] + event.payload
    }

    init?(encoded bytes: [UInt8]) {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")),
            let head = try? JSON.parse(Array(bytes[..<end])),
            let id = head["id"]?.string, let account = head["account"]?.string, let region = head["region"]?.string,
            let function = head["function"]?.string, let qualifier = head["qualifier"]?.string,
            let accepted = head["accepted"]?.int, let arn = head["arn"]?.string
        else { return nil }
        event = AsynchronousEvent(
            requestID: id, scope: AccountRegion(account: account, region: region), function: function,
            qualifier: qualifier, payload: Array(bytes[(end + 1)...]), acceptedAt: Instant(nanoseconds: accepted),
            invokedFunctionARN: arn, traceID: head["trace"]?.string)
        progress = .init(
            functionErrors: Self.count(head["functionErrors"]), systemErrors: Self.count(head["systemErrors"]))
    }

    /// A count that can be added to, whatever is on the disk.
    private static func count(_ value: Value?) -> Int { Int(min(max(value?.int ?? 0, 0), 1_000_000)) }
}
