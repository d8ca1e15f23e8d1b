import Contracts
import NIOCore
import Platform
import Synchronization
import Wire

/// CloudTrail's record of a call on objects, as EventBridge gets it (CloudTrail user guide, "CloudTrail record contents";
/// S3 guide, "CloudTrail log file entries for Amazon S3").
enum CallRecord {
    static let source = "aws.s3"
    private static let version = "1.11"

    // The operations on objects that are recorded: S3's data events.

    private static let reads: Set<String> = [
        "GetObject", "HeadObject", "GetObjectAttributes", "GetObjectTagging", "GetObjectAcl", "ListObjects",
        "ListObjectsV2", "ListObjectVersions", "ListParts", "ListMultipartUploads",
    ]
    private static let writes: Set<String> = [
        "PutObject", "CopyObject", "DeleteObject", "DeleteObjects", "PutObjectTagging", "DeleteObjectTagging",
        "PutObjectAcl", "CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload",
        "AbortMultipartUpload", "RestoreObject",
    ]

    static func isRecorded(_ operation: String) -> Bool { reads.contains(operation) || writes.contains(operation) }

    /// The call of a request; `failure` is what its caller got, `sent` the bytes of the answer's body.
    static func call(_ request: OperationRequest, failure: AWSError?, sent: Int64) -> APICall {
        let context = request.context
        return APICall(
            scope: context.scope, source: source, detail: JSON.encode(detail(request, failure, sent)),
            time: context.now,
            traceHeader: EventCause(context).traceHeader)
    }

    static func detail(_ request: OperationRequest, _ failure: AWSError?, _ sent: Int64) -> Value {
        let context = request.context
        // Both listings have one name there.
        let name = context.operation == "ListObjectsV2" ? "ListObjects" : context.operation
        let bucket = request.input["Bucket"]?.string ?? ""
        let key = request.input["Key"]?.string
        var fields: Fields = [
            "eventVersion": .string(version), "userIdentity": CallerIdentity.value(context),
            "eventTime": .string(context.now.iso8601()), "eventSource": "s3.amazonaws.com",
            "eventName": .string(name), "awsRegion": .string(context.scope.region),
            "sourceIPAddress": .string(context.sourceIP),
            "userAgent": .string("[\(bounded(context.header("user-agent") ?? ""))]"),
        ]
        if let failure {
            fields.append("errorCode", .string(failure.code))
            fields.append("errorMessage", .string(failure.message))
        }
        fields.append("requestParameters", parameters(context, bucket: bucket, key: key))
        fields.append("responseElements", failure == nil ? response(request) : .null)
        fields.append("additionalEventData", additional(context, sent))
        fields.append("requestID", .string(context.requestID))
        fields.append("eventID", .string(Identifier.uuid()))
        fields.append("readOnly", .bool(reads.contains(context.operation)))
        let arn = bucket.hasPrefix("arn:") ? bucket : "arn:aws:s3:::\(bucket)"
        var resources: [Value] = []
        if let key {
            let object = bucket.hasPrefix("arn:") ? "\(arn)/object/\(key)" : "\(arn)/\(key)"
            resources.append(["type": "AWS::S3::Object", "ARN": .string(object)])
        } else {
            resources.append(["type": "AWS::S3::Object", "ARNPrefix": .string(arn + "/")])
        }
        resources.append([
            "accountId": .string(context.scope.account), "type": "AWS::S3::Bucket", "ARN": .string(arn),
        ])
        fields.append("resources", .list(resources))
        fields.append("eventType", "AwsApiCall")
        fields.append("managementEvent", false)
        fields.append("recipientAccountId", .string(context.scope.account))
        fields.append("eventCategory", "Data")
        return .map(fields)
    }

    /// Bucket, key and host; and what the request asks for by query and by headers of S3's, without what authorises it.
    private static func parameters(_ context: OperationContext, bucket: String, key: String?) -> Value {
        var fields: Fields = ["bucketName": .string(bucket)]
        fields["Host"] = context.header("host").map { .string(bounded($0)) }
        fields["key"] = key.map { .string($0) }
        let query = context.uri.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
        for item in query.split(separator: "&").prefix(CallLimits.parameters) {
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = text(parts.first ?? "")
            guard !name.isEmpty, !hidden.contains(name.lowercased()), fields[name] == nil else { continue }
            fields.append(name, .string(text(parts.count > 1 ? parts[1] : "")))
        }
        for (name, value) in context.headers.prefix(CallLimits.headers)
        where name.hasPrefix("x-amz-") && !hidden.contains(name) && !name.hasPrefix("x-amz-checksum-")
            && !name.hasPrefix("x-amz-meta-") && fields[name] == nil
        {
            fields.append(name, .string(bounded(value)))
        }
        return .map(fields)
    }

    private static let hidden: Set<String> = [
        "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature",
        "x-amz-security-token", "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer",
        "x-amz-sdk-checksum-algorithm", "awsaccesskeyid", "signature", "x-id",
        "x-amz-server-side-encryption-customer-key", "x-amz-copy-source-server-side-encryption-customer-key",
        "x-amz-mfa",
    ]

    private static func text(_ part: Substring) -> String {
        bounded(String(decoding: PercentEncoding.decode(part.utf8, plus: true), as: UTF8.self))
    }

    private static func bounded(_ text: String) -> String {
        text.utf8.count <= CallLimits.textBytes ? text : String(text.prefix(CallLimits.textBytes / 4))
    }

    /// What an answer says besides its body: of writes the encryption, of reads nothing.
    private static func response(_ request: OperationRequest) -> Value {
        switch request.context.operation {
        case "PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload":
            let asked = request.input["ServerSideEncryption"]?.string ?? "AES256"
            return ["x-amz-server-side-encryption": .string(asked)]
        default: return .null
        }
    }

    private static func additional(_ context: OperationContext, _ sent: Int64) -> Value {
        let isQuery = context.uri.contains("Signature=")
        var fields: Fields = [
            "SignatureVersion": context.uri.contains("AWSAccessKeyId=") ? "SigV2" : "SigV4",
            "AuthenticationMethod": isQuery ? "QueryString" : "AuthHeader",
        ]
        if let length = context.header("x-amz-decoded-content-length") ?? context.header("content-length"),
            let count = Int64(length)
        {
            fields.append("bytesTransferredIn", .int(count))
        } else {
            fields.append("bytesTransferredIn", 0)
        }
        fields.append("bytesTransferredOut", .int(sent))
        fields.append("x-amz-id-2", .string(CanonicalUser.hostID(requestID: context.requestID)))
        return .map(fields)
    }
}

// How much of an answer goes to the caller.
extension CallRecord {
    static func bodyBytes(_ response: OperationResponse, _ request: OperationRequest, _ schema: ServiceSchema) -> Int64
    {
        switch response.payload {
        case .files(let parts, _): parts.reduce(0) { $0 + $1.length }
        case .bytes(let bytes): Int64(bytes.readableBytes)
        case .stream(let length, _): length ?? 0
        case .none:
            OperationMatch(schema: schema, operation: request.context.operation, wireProtocol: .restXML).map {
                let answer = Codec.encode(
                    response.output, for: $0, requestID: request.context.requestID, payloadApart: false)
                let isBodiless = (response.status ?? answer.status) == 304
                return isBodiless ? 0 : Int64(answer.body?.readableBytes ?? 0)
            } ?? 0
        }
    }

    static func bodyBytes(_ failure: AWSError, _ request: OperationRequest, _ schema: ServiceSchema) -> Int64 {
        let context = request.context
        guard let match = OperationMatch(schema: schema, operation: context.operation, wireProtocol: .restXML),
            match.operation.method != "HEAD"
        else { return 0 }
        let answer = Codec.encode(
            failure, for: match, schema: schema, fallback: .restXML,
            resource: String(context.uri.prefix { $0 != "?" }), requestID: context.requestID)
        return Int64(answer.body?.readableBytes ?? 0)
    }
}

/// Bounds of a record, ours.
enum CallLimits {
    static let parameters = 40
    static let headers = 200
    static let textBytes = 1_024
}

extension S3Service {
    /// Runs an operation, and has its call recorded when some rule of EventBridge asks for such calls.
    func recorded(
        _ request: OperationRequest, _ run: (OperationRequest) async throws -> OperationResponse
    ) async throws -> OperationResponse {
        guard CallRecord.isRecorded(request.context.operation), let log = links.withLock({ $0?.calls }),
            log.wantsCalls(source: CallRecord.source, scope: request.context.scope)
        else { return try await run(request) }
        var bare = request
        bare.stream = nil
        bare.payload.clear()
        let told = bare
        // Nothing as long as there is no answer: a change is recorded before it is answered.
        let sent = Mutex<Int64>(0)
        let call = RecordedCall(log: log) { [schema] failure in
            let bytes = failure.map { CallRecord.bodyBytes($0, told, schema) }
            return CallRecord.call(told, failure: failure, sent: bytes ?? sent.withLock { $0 })
        }
        var request = request
        request.context.recordedCall = call
        do {
            let response = try await run(request)
            sent.withLock { $0 = CallRecord.bodyBytes(response, told, schema) }
            call.finish(nil)
            return response
        } catch {
            call.finish(
                error as? AWSError ?? AWSError("InternalError", status: 500, "We encountered an internal error."))
            throw error
        }
    }
}
