import Contracts
import Platform
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
            address: address, plan: plan, request: request, desk: desk, completion: completion)
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
