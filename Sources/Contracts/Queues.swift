public import Platform
public import Storage

/// A message handed to a poller, hidden from others until its visibility timeout ends.
public struct QueueMessage: Sendable {
    public var messageID: String
    public var receiptHandle: String
    public var body: String
    /// Lower-case hexadecimal.
    public var md5OfBody: String
    /// System attributes by their names (ApproximateReceiveCount, SentTimestamp, MessageGroupId, AWSTraceHeader, …), all that
    /// there are, in AWS's order.
    public var attributes: [(name: String, value: String)]
    public var messageAttributes: [MessageAttribute]
    /// Lower-case hexadecimal; nil without message attributes.
    public var md5OfMessageAttributes: String?

    public init(
        messageID: String, receiptHandle: String, body: String, md5OfBody: String,
        attributes: [(name: String, value: String)], messageAttributes: [MessageAttribute],
        md5OfMessageAttributes: String?
    ) {
        self.messageID = messageID
        self.receiptHandle = receiptHandle
        self.body = body
        self.md5OfBody = md5OfBody
        self.attributes = attributes
        self.messageAttributes = messageAttributes
        self.md5OfMessageAttributes = md5OfMessageAttributes
    }
}

/// What a poller must know of a queue.
public struct QueueDescription: Sendable, Hashable {
    public var arn: String
    public var isFIFO: Bool
    public var visibilityTimeout: Duration
    /// The queue's own dead-letter queue, if its redrive policy has one.
    public var deadLetterTargetARN: String?
    public init(arn: String, isFIFO: Bool, visibilityTimeout: Duration, deadLetterTargetARN: String?) {
        self.arn = arn
        self.isFIFO = isFIFO
        self.visibilityTimeout = visibilityTimeout
        self.deadLetterTargetARN = deadLetterTargetARN
    }
}

/// The answer to one receive.
public struct QueueReceipt: Sendable {
    public var messages: [QueueMessage]
    /// When there may be more than was received: now or in the past when messages are left that could be received at once,
    /// later when only delayed or hidden ones are left, nil when there is nothing to wait for but an arrival.
    public var nextVisible: Instant?
    public init(messages: [QueueMessage], nextVisible: Instant?) {
        self.messages = messages
        self.nextVisible = nextVisible
    }
}

/// Queues that pollers read (SQS). Everything happens in the poller's transaction, so that deleting one batch and receiving the
/// next is one commit. Every call is made as a principal, whose permission is checked.
public protocol QueueSource: Sendable {
    /// Throws `AWSError` with the queue service's code (`AWS.SimpleQueueService.NonExistentQueue`, `AccessDenied`).
    func describe(queue arn: String, as principal: Principal, in transaction: any ReadTransaction) throws
        -> QueueDescription

    /// Up to `maximum` messages (not limited to ten), whose receive counts go up, and which are hidden for the queue's
    /// visibility timeout. Messages over their maximum receive count move to the dead-letter queue instead. Of a FIFO queue:
    /// in order, never of a group that has messages in flight. Throws as `describe`.
    func receive(
        queue arn: String, maximum: Int, as principal: Principal, now: Instant, in transaction: any WriteTransaction
    ) throws -> QueueReceipt

    /// Deletes messages by receipt handle; unknown and stale handles are passed over. Throws as `describe`.
    func delete(
        queue arn: String, receiptHandles: [String], as principal: Principal, now: Instant,
        in transaction: any WriteTransaction) throws

    /// Makes received messages visible again at `at` (now: at once); handles that are not in flight are passed over.
    func release(
        queue arn: String, receiptHandles: [String], at: Instant, as principal: Principal, now: Instant,
        in transaction: any WriteTransaction) throws

    /// Sends a message straight to the dead-letter queue of the queue's redrive policy, or deletes it when there is none:
    /// for messages that run in a circle (recursion detection).
    func discard(
        queue arn: String, receiptHandles: [String], as principal: Principal, now: Instant,
        in transaction: any WriteTransaction) throws

    /// Calls `wake` after every commit that makes a message of this queue receivable earlier than was known: a send, a
    /// release, a deletion that frees a FIFO group; with the time from which it is receivable. On the store's writer thread: it
    /// must not block. Ends when the answer is called. The queue need not exist.
    func observe(queue arn: String, _ wake: @escaping @Sendable (_ receivable: Instant) -> Void) -> @Sendable () -> Void
}
