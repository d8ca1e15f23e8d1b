import Wire

extension AWSError {
    /// DynamoDB's answer to everything wrong with a request's content.
    static func validation(_ message: String) -> AWSError { AWSError("ValidationException", message) }

    /// A value that cannot be stored or used.
    static func invalidParameterValues(_ reason: String) -> AWSError {
        validation("One or more parameter values were invalid: \(reason)")
    }
}
