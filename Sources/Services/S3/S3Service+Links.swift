public import Contracts
import Platform
import Synchronization

/// What S3 needs of services that are made after it.
struct S3Links: Sendable {
    var authorizer: any Authorizer
    var objectLambda: ObjectLambda
    var calls: any APICallLog
}

extension S3Service {
    /// Connects S3 to those whose work it needs for access points, Object Lambda and records of calls; once, before the first
    /// request.
    ///
    /// - Parameter functionEndpoint: scheme and authority under which functions reach this server.
    public func connect(
        functions: any FunctionCaller, authorizer: any Authorizer, credentials: any CredentialIssuer,
        calls: any APICallLog, functionEndpoint: String
    ) {
        let lambda = ObjectLambda(
            functions: functions, credentials: credentials, endpoint: functionEndpoint, time: time)
        links.withLock { $0 = S3Links(authorizer: authorizer, objectLambda: lambda, calls: calls) }
    }

    func writeGetObjectResponse(
        _ input: Model.WriteGetObjectResponseRequest, _ request: OperationRequest
    ) async throws -> OperationResponse {
        guard let lambda = links.withLock({ $0?.objectLambda }) else {
            throw ObjectLambdaError.validation("No request waits for a response.")
        }
        return try await lambda.write(request)
    }
}
