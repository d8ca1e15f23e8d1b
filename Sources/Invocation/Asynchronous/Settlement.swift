import Contracts
import NIOCore
import Platform
import Wire

/// What an attempt at an event came to.
struct Attempt: Sendable {
    var outcome: AsynchronousRetry.Outcome
    /// When the function ran.
    var result: InvocationResult?
    /// When it did not.
    var error: AWSError?
    /// The trace header that the function got, its lineage in it.
    var traceHeader: String?

    /// From the engine's answer.
    init(_ result: Result<InvocationResult, any Error>, traceHeader: String?) {
        self.traceHeader = traceHeader
        switch result {
        case .success(let answer):
            self.result = answer
            outcome = answer.functionError == nil ? .success : .functionError
        case .failure(let error as AWSError):
            self.error = error
            outcome = error.code == "ResourceNotFoundException" ? .functionGone : .systemError
        case .failure:
            outcome = .systemError
        }
    }

    /// That did not get as far as the engine.
    init(_ outcome: AsynchronousRetry.Outcome, error: AWSError? = nil, traceHeader: String? = nil) {
        self.outcome = outcome
        self.error = error
        self.traceHeader = traceHeader
    }
}

/// What leaves with an event that is done with: the record for its destination, the event for the dead-letter queue. Pure.
struct Settlement {
    var event: AsynchronousEvent
    var settings: AsynchronousSettings
    var attempt: Attempt
    /// Attempts that ran the function, this one included.
    var invokeCount: Int
    var now: Instant

    /// After a success.
    func succeeded() -> [Delivery] {
        guard let target = settings.onSuccess else { return [] }
        return [record(to: target, condition: "Success", isSuccess: true)].compactMap { $0 }
    }

    /// What the trace header of a record says beside the lineage, when a circle was stopped.
    private static let stopped = "Stopped=1"

    /// After the event was given up: both, when there are both. Nothing, when a circle brought back what was left when it was
    /// stopped (a bucket or topic that is destination and source): else the records would go round for ever in its place.
    func discarded(_ reason: AsynchronousRetry.DiscardReason) -> [Delivery] {
        if reason == .recursion, event.traceID?.split(separator: ";").contains(Self.stopped[...]) == true { return [] }
        return left(reason).map { delivery in
            guard reason == .recursion, let header = delivery.attributes.traceHeader else { return delivery }
            var delivery = delivery
            delivery.attributes.traceHeader = header + ";" + Self.stopped
            return delivery
        }
    }

    private func left(_ reason: AsynchronousRetry.DiscardReason) -> [Delivery] {
        var deliveries: [Delivery] = []
        if let target = settings.deadLetterTarget, let letter = letter(to: target, reason) { deliveries.append(letter) }
        if let target = settings.onFailure,
            let record = record(to: target, condition: reason.rawValue, isSuccess: false)
        {
            deliveries.append(record)
        }
        return deliveries
    }

    private func record(to target: String, condition: String, isSuccess: Bool) -> Delivery? {
        guard let arn = ARN(target) else { return nil }
        let functionARN = ARN(
            service: "lambda", region: event.scope.region, account: event.scope.account,
            resource: "function:\(event.function):\(event.qualifier)"
        ).description
        let response = attempt.result.map {
            InvocationRecord.Response(
                executedVersion: $0.executedVersion, functionError: $0.functionError,
                payload: Array($0.payload.readableBytesView))
        }
        let record = InvocationRecord(
            timestamp: now, requestID: event.requestID, functionARN: functionARN, condition: condition,
            invokeCount: invokeCount, requestPayload: event.payload, response: response)
        var payload = record.encoded()
        if let limit = Limits.recordBytes[arn.service], payload.count > limit {
            payload = record.encoded(withPayloads: false)
        }
        guard var delivery = delivery(to: target, payload, .destination) else { return nil }
        switch arn.service {
        case "events":
            delivery.attributes.event = DeliveryAttributes.EventKind(
                source: "lambda",
                detailType: "Lambda Function Invocation Result - \(isSuccess ? "Success" : "Failure")",
                resources: [target, functionARN])
        case "s3":
            delivery.attributes.objectKey = Self.objectKey(function: event.function, requestID: event.requestID, now)
            delivery.attributes.region = event.scope.region
        default: break
        }
        return delivery
    }

    /// `aws/lambda/async/<function>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<uuid>`
    static func objectKey(function: String, requestID: String, _ now: Instant) -> String {
        let time = now.iso8601().dropLast()
        let day = time.prefix(10).split(separator: "-").joined(separator: "/")
        let clock = time.split(separator: ":").joined(separator: ".")
        return "aws/lambda/async/\(function)/\(day)/\(clock)-\(requestID)"
    }

    /// The event as it came, with what became of it beside it.
    private func letter(to target: String, _ reason: AsynchronousRetry.DiscardReason) -> Delivery? {
        guard var delivery = delivery(to: target, event.payload, .deadLetter) else { return nil }
        let (code, message) = failure(reason)
        delivery.attributes.message = [
            MessageAttribute(name: "RequestID", dataType: "String", content: .string(event.requestID)),
            MessageAttribute(name: "ErrorCode", dataType: "Number", content: .string(String(code))),
        ]
        // A queue takes no empty attribute.
        if !message.isEmpty {
            delivery.attributes.message.append(
                MessageAttribute(name: "ErrorMessage", dataType: "String", content: .string(message)))
        }
        return delivery
    }

    /// Status and text: of a function's error 200 and its `errorMessage`, of ours the API's.
    private func failure(_ reason: AsynchronousRetry.DiscardReason) -> (code: Int, message: String) {
        if let result = attempt.result {
            let bytes = Array(result.payload.readableBytesView)
            let message = (try? JSON.parse(bytes))?["errorMessage"]?.string
            return (200, Self.cut(message ?? String(decoding: bytes.prefix(Limits.errorMessageBytes), as: UTF8.self)))
        }
        if let error = attempt.error { return (error.status, Self.cut(error.message)) }
        return (reason == .eventAgeExceeded ? 429 : 500, "")
    }

    /// The first kilobyte, in whole characters, of which none is one that queues refuse.
    static func cut(_ text: String) -> String {
        var bytes = Array(text.utf8.prefix(Limits.errorMessageBytes))
        // The last character may have been cut in two.
        while String(validating: bytes, as: UTF8.self) == nil, !bytes.isEmpty { bytes.removeLast() }
        let scalars = String(decoding: bytes, as: UTF8.self).unicodeScalars.map { scalar in
            let isRefused = scalar.value < 32 && ![9, 10, 13].contains(scalar.value) || scalar.value & 0xfffe == 0xfffe
            return isRefused ? Unicode.Scalar(UInt8(ascii: "?")) : scalar
        }
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars)
        return text
    }

    private func delivery(to target: String, _ payload: [UInt8], _ purpose: Delivery.Purpose) -> Delivery? {
        guard let role = settings.roleARN else { return nil }
        var delivery = Delivery(
            id: Identifier.uuid(), target: target,
            // The function's account, whatever its role says.
            principal: .roleSession(roleARN: role, sessionName: event.function, account: event.scope.account),
            payload: payload, createdAt: now,
            attributes: DeliveryAttributes(traceHeader: attempt.traceHeader ?? event.traceID),
            retry: DeliveryRetry(maximumAge: Limits.deadLetterAge))
        delivery.purpose = purpose
        return delivery
    }
}
