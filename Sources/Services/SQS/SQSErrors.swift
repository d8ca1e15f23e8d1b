import Wire

// The errors of SQS: codes and texts of the reference, 7.2, where recorded; the others as AWS's clients have met them.

extension AWSError {
    private static let prefix = "AWS.SimpleQueueService."

    /// `forQuery`: the query protocol has a text of its own.
    static func noQueue(forQuery: Bool = false) -> AWSError {
        AWSError(
            prefix + "NonExistentQueue",
            forQuery
                ? "The specified queue does not exist for this wsdl version." : "The specified queue does not exist.")
    }

    static func queueExists(_ attribute: String) -> AWSError {
        AWSError(
            "QueueAlreadyExists",
            "A queue already exists with the same name and a different value for attribute \(attribute)")
    }

    static func purging(_ queue: String) -> AWSError {
        AWSError(
            prefix + "PurgeQueueInProgress", status: 403,
            "Only one PurgeQueue operation on \(queue) is allowed every 60 seconds.")
    }

    static func missing(_ parameter: String) -> AWSError {
        AWSError("MissingParameter", "The request must contain the parameter \(parameter).")
    }

    static func invalid(_ message: String) -> AWSError { AWSError("InvalidParameterValue", message) }

    static func invalid(_ value: String, for parameter: String, _ reason: String) -> AWSError {
        invalid("Value \(value) for parameter \(parameter) is invalid. Reason: \(reason)")
    }

    static func unknownAttribute(_ name: String) -> AWSError {
        AWSError("InvalidAttributeName", "Unknown Attribute \(name).")
    }

    static func invalidAttribute(_ name: String, reason: String? = nil) -> AWSError {
        AWSError(
            "InvalidAttributeValue",
            "Invalid value for the parameter \(name)." + (reason.map { " Reason: \($0)" } ?? ""))
    }

    static func invalidAddress(_ address: String) -> AWSError {
        AWSError("InvalidAddress", status: 404, "The address \(address.prefix(256)) is not valid for this endpoint.")
    }

    static func invalidHandle(_ handle: String) -> AWSError {
        AWSError(
            "ReceiptHandleIsInvalid", status: 404,
            "The input receipt handle \"\(handle.prefix(256))\" is not a valid receipt handle.")
    }

    static func expiredHandle(_ handle: String) -> AWSError {
        invalid(handle, for: "ReceiptHandle", "The receipt handle has expired.")
    }

    static func notInFlight(_ handle: String) -> AWSError {
        invalid(
            handle, for: "ReceiptHandle",
            "Message does not exist or is not available for visibility timeout change.")
    }

    static let tooManyInFlight = AWSError(
        "OverLimit", status: 403, "Too many messages in flight: the limit of a queue is \(Limits.inFlight).")

    static func accessDenied(_ principal: String, _ action: String, _ resource: String, _ because: String) -> AWSError {
        AWSError(
            "AccessDenied", status: 403,
            "User: \(principal) is not authorized to perform: \(action) on resource: \(resource) because \(because)")
    }

    // MARK: Batches

    static let emptyBatch = AWSError(
        prefix + "EmptyBatchRequest", "There should be at least one entry in the request.")

    static func tooManyEntries(_ count: Int) -> AWSError {
        AWSError(
            prefix + "TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are \(Limits.batchEntries). You have sent \(count).")
    }

    static let invalidEntryID = AWSError(
        prefix + "InvalidBatchEntryId",
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
            + "It can be at most \(Limits.entryIDCharacters) letters long.")

    static func repeatedEntryID(_ id: String) -> AWSError {
        AWSError(prefix + "BatchEntryIdsNotDistinct", "Id \(id) repeated.")
    }

    static func batchTooLong(_ bytes: Int) -> AWSError {
        AWSError(
            prefix + "BatchRequestTooLong",
            "Batch requests cannot be longer than \(Limits.messageBytes) bytes. You have sent \(bytes) bytes.")
    }

    static func messageTooLong(_ limit: Int) -> AWSError {
        invalid("One or more parameters are invalid. Reason: Message must be shorter than \(limit) bytes.")
    }

    static func tooManyAttributes(_ count: Int) -> AWSError {
        invalid(
            "Number of message attributes [\(count)] exceeds the allowed maximum [\(Limits.attributesPerMessage)].")
    }

    static let invalidCharacters = AWSError(
        "InvalidMessageContents",
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD "
            + "| #x10000 to #x10FFFF")

    static let invalidToken = invalid("Invalid or expired next token.")

    static func resourceNotFound(_ message: String) -> AWSError {
        AWSError("ResourceNotFoundException", status: 404, message)
    }
}
