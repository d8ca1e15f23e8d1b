import Contracts
import NIOCore
import Platform
import Wire

/// What callers see of functions that fail (S3 API reference, "List of Amazon S3 Object Lambda error codes").
enum ObjectLambdaError {
    static let timeout = AWSError(
        "LambdaTimeout", status: 500, "The Lambda function did not respond in the allowed time.")
    static let runtime = AWSError("LambdaRuntimeError", status: 500, "Lambda function failed during execution.")
    static let notReceived = AWSError(
        "LambdaResponseNotReceived", status: 500,
        "The Lambda exited without successfully calling WriteGetObjectResponse.")
    static let slowDown = AWSError(
        "SlowDown", status: 503, "Reduce your request rate for operations involving AWS Lambda.")
    /// Nobody sees it: the connection is gone.
    static let callerLeft = AWSError(
        "ConnectionClosedByRequester", status: 400, "The original caller has closed its connection.")

    static func invalidResponse(_ reason: String) -> AWSError {
        AWSError("LambdaInvalidResponse", status: 400, reason)
    }

    static func validation(_ reason: String) -> AWSError { AWSError("ValidationError", status: 400, reason) }

    /// Nil when the function ran to its end. The details are what Lambda said of it.
    static func failure(of result: Result<InvocationResult, any Error>) -> (any Error)? {
        switch result {
        case .success(let result):
            guard result.functionError != nil else { return nil }
            let type = (try? JSON.parse(result.payload.readableBytesView))?["errorType"]?.string
            return type == "Sandbox.Timedout" ? timeout : runtime
        case .failure(let error as AWSError):
            let details = " (Status Code: \(error.status); Error Code: \(error.code); Message: \(error.message))"
            switch error.code {
            case "ResourceNotFoundException":
                return AWSError("LambdaNotFound", status: 404, "The AWS Lambda function was not found." + details)
            case "AccessDeniedException":
                return AWSError(
                    "LambdaPermissionError", status: 403,
                    "The caller is not authorized to invoke the Lambda function."
                        + details)
            case "TooManyRequestsException": return slowDown
            default:
                return AWSError("LambdaInvocationFailed", status: 400, "Lambda function invocation failed." + details)
            }
        case .failure(let error): return error
        }
    }
}
