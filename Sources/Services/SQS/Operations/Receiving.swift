import Contracts
import NIOCore
import Platform
import Storage
import Synchronization
import Wire

/// ReceiveMessage: at once, or waiting for a message.
struct Receiving: Sendable {
    let desk: Desk

    func receive(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let input = Model.ReceiveMessageRequest(request.input)
        let address: QueueAddress
        let plan: Plan
        do throws(AWSError) {
            address = try QueueAddress(input.queueUrl, request.context)
            plan = try Plan(input)
        } catch {
            return completion(.failure(error))
        }
        let poll = LongPoll(
            address: address, plan: plan, context: request.context, desk: desk, completion: completion)
        poll.attempt()
    }

    /// What is asked for, checked.
    struct Plan: Sendable {
        var maximum: Int
        var timeout: Duration?
        /// Seconds; nil: the queue's.
        var wait: Int?
        var attempt: String?
        var systemNames: SystemNames
        var attributeNames: AttributeNames

        init(_ input: Model.ReceiveMessageRequest) throws(AWSError) {
            maximum = input.maxNumberOfMessages ?? 1
            guard (1...Limits.messagesPerReceive).contains(maximum) else {
                throw .invalid(
                    String(maximum), for: "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
            }
            wait = input.waitTimeSeconds
            if let wait, !Limits.waitSeconds.contains(wait) {
                throw .invalid(String(wait), for: "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
            }
            if let seconds = input.visibilityTimeout {
                guard Limits.visibilitySeconds.contains(seconds) else {
                    throw .invalid(
                        String(seconds), for: "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.")
                }
                timeout = .seconds(seconds)
            }
            attempt = input.receiveRequestAttemptId
            if let attempt { try MessageText.check(identifier: attempt, "ReceiveRequestAttemptId") }
            systemNames = try SystemNames(
                (input.attributeNames ?? []) + (input.messageSystemAttributeNames ?? []))
            attributeNames = AttributeNames(input.messageAttributeNames ?? [])
        }
    }

    /// Which system attributes are wanted.
    struct SystemNames: Sendable {
        private var isAll = false
        private var names: Set<String> = []
        private static let known: Set<String> = [
            "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp",
            "SequenceNumber", "MessageDeduplicationId", "MessageGroupId", "AWSTraceHeader", "DeadLetterQueueSourceArn",
        ]

        init(_ wanted: [String]) throws(AWSError) {
            for name in wanted {
                if name == "All" {
                    isAll = true
                } else if Self.known.contains(name) {
                    names.insert(name)
                } else {
                    throw .unknownAttribute(name)
                }
            }
        }

        var isEmpty: Bool { !isAll && names.isEmpty }
        func contains(_ name: String) -> Bool { isAll || names.contains(name) }
    }

    /// Which message attributes are wanted: `All`, `.*`, names, `prefix.*`.
    struct AttributeNames: Sendable {
        private var isAll = false
        private var names: Set<String> = []
        private var prefixes: [String] = []

        init(_ wanted: [String]) {
            for name in wanted {
                if name == "All" || name == ".*" {
                    isAll = true
                } else if name.hasSuffix(".*") {
                    prefixes.append(String(name.dropLast(2)))
                } else {
                    names.insert(name)
                }
            }
        }

        func contains(_ name: String) -> Bool {
            isAll || names.contains(name) || prefixes.contains { name.hasPrefix($0) }
        }
    }
}

/// One ReceiveMessage from its first try to its answer.
private final class LongPoll: Sendable {
    private struct State {
        var isClosed = false
        var number: WaitingMachine.Number?
        var deadline: Instant?
        var watches = false
    }
    private struct Outcome: Sendable {
        var queue: Queue
        var messages: [StoredMessage]
        /// When there may be something, if nothing was received.
        var next: Instant?
    }

    private let state = Mutex(State())
    private let address: QueueAddress
    private let plan: Receiving.Plan
    private let context: OperationContext
    private let desk: Desk
    private let completion: OperationCompletion

    init(
        address: QueueAddress, plan: Receiving.Plan, context: OperationContext, desk: Desk,
        completion: @escaping OperationCompletion
    ) {
        self.address = address
        self.plan = plan
        self.context = context
        self.desk = desk
        self.completion = completion
    }

    func attempt() {
        // Nobody is there to take what would be received now.
        if state.withLock({ $0.isClosed }) { return answer([], nil) }
        desk.database.write { [self] transaction -> Outcome in
            let queue = try desk.queue(address, context, action: "ReceiveMessage", in: transaction)
            let wait = plan.wait ?? queue.attributes.receiveWaitSeconds
            if let attempt = plan.attempt, !queue.isFIFO {
                throw AWSError.invalid(
                    attempt, for: "ReceiveRequestAttemptId",
                    "The request include parameter that is not valid for this queue type.")
            }
            let now = desk.time.now()
            let messages = try desk.mailbox.receive(
                Mailbox.ReceiveRequest(
                    maximum: plan.maximum, timeout: plan.timeout, attempt: plan.attempt, failsAtLimit: wait == 0),
                from: queue, now: now, in: transaction)
            let next =
                messages.isEmpty && wait > 0 ? try desk.mailbox.nextReceivable(queue, in: transaction) : nil
            return Outcome(queue: queue, messages: messages, next: next)
        } completion: { [self] result in
            switch result {
            case .failure(let error):
                let (loop, completion) = (context.eventLoop, completion)
                loop.execute { completion(.failure(error)) }
            case .success(let outcome):
                if outcome.messages.isEmpty, wait(outcome) { return }
                answer(outcome.messages, outcome.queue)
            }
        }
    }

    /// Gets in line, if there is time left to wait; on the writer's thread.
    private func wait(_ outcome: Outcome) -> Bool {
        let seconds = plan.wait ?? outcome.queue.attributes.receiveWaitSeconds
        guard seconds > 0 else { return false }
        let now = desk.time.now()
        let deadline = state.withLock { state in
            let deadline = state.deadline ?? now + .seconds(seconds)
            state.deadline = deadline
            return deadline
        }
        guard now < deadline else { return false }
        // A time in the past that brought nothing now (messages in flight at the limit) must not turn into a spin.
        let next = outcome.next.map { max($0, now + .milliseconds(100)) }
        let waiting = WaitingReceives.Waiting(
            retry: { self.attempt() }, expire: { self.answer([], outcome.queue) })
        guard let number = desk.waiting.wait(queue: outcome.queue.arn, deadline: deadline, next: next, waiting)
        else { return false }
        let (isClosed, mustWatch) = state.withLock { state in
            state.number = number
            defer { state.watches = true }
            return (state.isClosed, !state.watches)
        }
        if isClosed { closed() }
        if mustWatch { context.closed.whenComplete { [weak self] _ in self?.closed() } }
        return true
    }

    private func closed() {
        let number = state.withLock { state in
            state.isClosed = true
            defer { state.number = nil }
            return state.number
        }
        if let number, desk.waiting.cancel(number) { answer([], nil) }
    }

    private func answer(_ messages: [StoredMessage], _ queue: Queue?) {
        let (plan, handles, completion) = (plan, desk.handles, completion)
        context.eventLoop.execute {
            var output = Model.ReceiveMessageResult()
            if let queue, !messages.isEmpty {
                output.messages = messages.map { ReceivedMessage.shape($0, of: queue, plan, handles) }
            }
            completion(.success(OperationResponse(output.value)))
        }
    }
}

enum ReceivedMessage {
    static func handle(_ message: StoredMessage, of queue: Queue, _ handles: ReceiptHandles) -> String {
        handles.text(
            ReceiptHandle(
                queue: queue.id, message: message.id, receive: message.receives, isLarge: message.isLarge))
    }

    static func shape(
        _ message: StoredMessage, of queue: Queue, _ plan: Receiving.Plan, _ handles: ReceiptHandles
    ) -> Model.Message {
        var shape = Model.Message()
        shape.messageId = message.messageID
        shape.receiptHandle = handle(message, of: queue, handles)
        shape.md5OfBody = message.envelope.md5OfBody
        shape.body = message.body
        if !plan.systemNames.isEmpty {
            let attributes = message.systemAttributes(isFIFO: queue.isFIFO).filter {
                plan.systemNames.contains($0.name)
            }
            if !attributes.isEmpty { shape.attributes = attributes.map { (key: $0.name, value: $0.value) } }
        }
        let attributes = message.envelope.attributes.filter { plan.attributeNames.contains($0.name) }
        if !attributes.isEmpty {
            // The sum is over what is returned.
            shape.md5OfMessageAttributes = MessageDigest.attributes(attributes)
            shape.messageAttributes = attributes.map { attribute in
                var value = Model.MessageAttributeValue()
                switch attribute.content {
                case .string(let text): value.stringValue = text
                case .binary(let bytes): value.binaryValue = bytes
                }
                value.dataType = attribute.dataType
                return (key: attribute.name, value: value)
            }
        }
        return shape
    }
}
