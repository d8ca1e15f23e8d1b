public import Platform

/// The protocols that AWS services speak. Chosen per request, not per service: SQS speaks query and JSON.
public enum AWSProtocol: String, Sendable, CaseIterable {
    case restJSON, restXML, json10, json11, query, cbor
}

/// A service's model, parsed once from the generated schema text (`Tools/apigen`).
public final class ServiceSchema: Sendable {
    /// Service id in lower case as the folder knows it, e.g. `lambda`, `s3`, `logs`, `iam`, `sts`.
    public let id: String
    /// The credential scope's service name, e.g. `lambda`.
    public let signingName: String
    /// First label of AWS's host names, e.g. `lambda`, `s3`, `logs`.
    public let endpointPrefix: String
    public let apiVersion: String
    public let protocols: [AWSProtocol]
    /// `X-Amz-Target` is this, a dot, the operation; empty for protocols without.
    public let targetPrefix: String
    public let xmlNamespace: String
    public let operations: [String: OperationSchema]

    /// Parses the generated text. Throws `Failure(.bug)` when it is malformed: the text is ours.
    public init(text: String) throws {
        throw Failure(.bug, "not written yet")
    }
}

/// One operation of a model.
public final class OperationSchema: Sendable {
    public let name: String
    public let method: String
    /// The URI template, e.g. `/2015-03-31/functions/{FunctionName}/invocations`.
    public let uri: String
    /// Status of success.
    public let status: Int
    /// The input has a blob payload that is delivered as a stream (S3 PutObject, UploadPart).
    public let streamsInput: Bool
    /// The input has a blob payload that is delivered whole, in `OperationRequest.payload` (Lambda Invoke).
    public let hasBlobInput: Bool
    /// The output has a blob payload (`ResponsePayload` carries it).
    public let hasBlobOutput: Bool

    init(
        name: String, method: String, uri: String, status: Int, streamsInput: Bool, hasBlobInput: Bool,
        hasBlobOutput: Bool
    ) {
        self.name = name
        self.method = method
        self.uri = uri
        self.status = status
        self.streamsInput = streamsInput
        self.hasBlobInput = hasBlobInput
        self.hasBlobOutput = hasBlobOutput
    }
}

/// A typed view of a `Value` that holds one structure; generated types conform. Members are optional properties.
public protocol Shape: Sendable {
    var value: Value { get set }
    init(_ value: Value)
}

extension Shape {
    public init() { self.init([:]) }
}
