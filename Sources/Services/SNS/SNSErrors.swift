import Wire

extension AWSError {
    /// The usual refusal: "Invalid parameter: …".
    static func invalidParameter(_ reason: String) -> AWSError {
        AWSError("InvalidParameter", "Invalid parameter: \(reason)")
    }

    /// A message attribute that cannot be (code `ParameterValueInvalid`).
    static func invalidValue(_ message: String) -> AWSError { AWSError("ParameterValueInvalid", message) }

    static func snsNotFound(_ message: String) -> AWSError { AWSError("NotFound", status: 404, message) }
    static let topicNotFound = AWSError.snsNotFound("Topic does not exist")
    static let subscriptionNotFound = AWSError.snsNotFound("Subscription does not exist")
    static let resourceNotFound = AWSError("ResourceNotFound", status: 404, "Resource does not exist")

    static func forbidden(_ message: String) -> AWSError { AWSError("AuthorizationError", status: 403, message) }

    /// What needs a carrier or a mobile platform, which a server of one's own has not.
    static func outOfScope(_ what: String) -> AWSError {
        .invalidParameter(
            "\(what) is not available: Martlet sends no SMS messages, mobile push notifications or e-mail")
    }
}
