public import Platform
public import Storage
import Synchronization
public import Wire

/// One call of an AWS API, as CloudTrail records it and EventBridge passes it on (detail-type
/// `AWS API Call via CloudTrail`).
public struct APICall: Sendable {
    /// Whose default bus it goes to.
    public var scope: AccountRegion
    /// `aws.s3`.
    public var source: String
    /// CloudTrail's record, a JSON object: the event's detail.
    public var detail: [UInt8]
    public var time: Instant
    /// `X-Amzn-Trace-Id` of the call: a function's lineage is in it, so that functions which call what they are told of are
    /// stopped as any other circle.
    public var traceHeader: String?

    public init(scope: AccountRegion, source: String, detail: [UInt8], time: Instant, traceHeader: String?) {
        self.scope = scope
        self.source = source
        self.detail = detail
        self.time = time
        self.traceHeader = traceHeader
    }

    public static let detailType = "AWS API Call via CloudTrail"
}

/// Takes the calls that rules ask for; EventBridge is the one who does. There is no trail: a rule that names the detail-type
/// is what AWS's trail with data events would be.
public protocol APICallLog: Sendable {
    /// Whether some enabled rule could want calls of this source: from memory, no transaction. True when that is not known
    /// yet. To be asked before a record is made.
    func wantsCalls(source: String, scope: AccountRegion) -> Bool

    /// Sends the call in the transaction of what it changed.
    func record(_ call: APICall, in transaction: any WriteTransaction) throws

    /// Sends a call that changed nothing, in a transaction of its own. Does not wait for it: bounded, drops (and counts) when
    /// the store cannot follow; a crash may lose the last of them.
    func record(_ call: APICall)
}

/// A call that is to be recorded, from its beginning to the transaction in which it changes something: it is recorded once,
/// there or, when it changes nothing, at its end.
public final class RecordedCall: Sendable {
    private let log: any APICallLog
    private let make: @Sendable (_ failure: AWSError?) -> APICall
    private let isRecorded = Mutex(false)

    /// `make` is called when it is recorded, with the error that the caller gets.
    public init(log: any APICallLog, make: @escaping @Sendable (_ failure: AWSError?) -> APICall) {
        self.log = log
        self.make = make
    }

    /// Of what changes things; every time but the first does nothing.
    public func record(in transaction: any WriteTransaction) throws {
        guard isFirst() else { return }
        try log.record(make(nil), in: transaction)
    }

    /// At the end of the call. One that failed is recorded as failed, whatever was recorded in the transaction that it has
    /// undone.
    public func finish(_ failure: AWSError?) {
        if isFirst() || failure != nil { log.record(make(failure)) }
    }

    private func isFirst() -> Bool {
        isRecorded.withLock { isRecorded in
            defer { isRecorded = true }
            return !isRecorded
        }
    }
}
