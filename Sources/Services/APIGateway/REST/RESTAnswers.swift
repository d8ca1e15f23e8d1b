import Contracts
import NIOCore
import Platform

/// What functions behind REST APIs answer (developer guide, "Output format of a Lambda function for proxy integration").
enum RESTAnswers {
    /// Nothing else may be in an answer (recorded; none of them must be there).
    private static let members: Set<String> = [
        "statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded", "cookies",
    ]

    /// `decodes`: whether a body in base64 becomes bytes, which needs a binary media type that the client accepts.
    static func interpret(_ payload: ByteBuffer, decodes: (String?) -> Bool) -> Result<ProxyAnswer, RESTFailure> {
        guard let value = try? JSON.parse(payload.readableBytesView), let fields = value.fields,
            fields.names.allSatisfy({ members.contains($0) })
        else { return .failure(.malformed("Malformed Lambda proxy response")) }
        guard var answer = head(fields, defaultType: "application/json") else {
            return .failure(.malformed("Malformed Lambda proxy response"))
        }
        switch fields["body"] {
        case nil, .null: break
        case .string(let text):
            let type = answer.headers.first { lowercased($0.name) == "content-type" }?.value
            if fields["isBase64Encoded"]?.bool == true, decodes(type) {
                guard let bytes = Base64.decode(text) else {
                    return .failure(.malformed("Unable to base64 decode the body."))
                }
                answer.body = ByteBuffer(bytes: bytes)
            } else {
                answer.body = ByteBuffer(string: text)
            }
        default: return .failure(.malformed("Malformed Lambda proxy response"))
        }
        guard answer.body.readableBytes <= Limits.payload else {
            return .failure(.malformed("The response body is too large."))
        }
        return .success(answer)
    }

    /// Status and headers: of an answer, or of the prelude of a stream. Nil when they cannot be sent.
    static func head(_ fields: Fields, defaultType: String) -> ProxyAnswer? {
        var status = 200
        if let given = fields["statusCode"], !given.isNull {
            guard let code = given.int ?? given.string.flatMap({ Int64($0) }), (200...599).contains(code) else {
                return nil
            }
            status = Int(code)
        }
        var answer = ProxyAnswer(status: status, headers: [], body: ByteBuffer())
        var multiple: Set<String> = []
        if let lists = fields["multiValueHeaders"], !lists.isNull {
            guard let lists = lists.fields else { return nil }
            for entry in lists.entries {
                guard let values = entry.value.list else { return nil }
                multiple.insert(lowercased(entry.name))
                for value in values where !append(entry.name, value, to: &answer.headers) { return nil }
            }
        }
        if let single = fields["headers"], !single.isNull {
            guard let single = single.fields else { return nil }
            // Of a header in both maps only the several values are sent (developer guide).
            for entry in single.entries where !multiple.contains(lowercased(entry.name)) {
                guard append(entry.name, entry.value, to: &answer.headers) else { return nil }
            }
        }
        for cookie in fields["cookies"]?.list ?? [] where !append("set-cookie", cookie, to: &answer.headers) {
            return nil
        }
        guard answer.headers.count <= Limits.responseHeaders else { return nil }
        if !answer.headers.contains(where: { lowercased($0.name) == "content-type" }) {
            answer.headers.append(("Content-Type", defaultType))
        }
        return answer
    }

    private static func append(_ name: String, _ value: Value, to headers: inout [(name: String, value: String)])
        -> Bool
    {
        let text: String
        switch value {
        case .string(let known): text = known
        case .int, .double, .bool: text = JSON.encodeString(value)
        case .null: return true
        default: return false
        }
        guard ProxyAnswer.isHeader(name, text) else { return false }
        if let name = sent(name) { headers.append((name, text)) }
        return true
    }

    /// Headers that belong to the connection or to API Gateway: sent under another name, or not at all (developer guide,
    /// "Amazon API Gateway important notes").
    static func sent(_ name: String) -> String? {
        switch lowercased(name) {
        case "authorization", "connection", "content-length", "content-md5", "date", "host", "server", "user-agent",
            "www-authenticate":
            lowercased(name) == "content-length" || lowercased(name) == "connection" ? nil : "x-amzn-Remapped-" + name
        case "expect", "keep-alive", "max-forwards", "proxy-authenticate", "proxy-connection", "te", "trailer",
            "transfer-encoding", "upgrade", "via", "x-amzn-requestid", "x-amz-apigw-id":
            nil
        default: name
        }
    }
}

/// Finds the head in front of a streamed response: JSON, then eight zero bytes, then the body. A value: fed with pieces,
/// answers when it is complete.
struct StreamPrelude: Sendable {
    private static let delimiterBytes = 8

    enum Progress: Sendable {
        case incomplete
        /// The head, with what of the body has come with it.
        case complete(ProxyAnswer)
        /// No head can come of it.
        case malformed
    }

    private var held = ByteBuffer()
    private var searched = 0

    mutating func feed(_ piece: ByteBuffer) -> Progress {
        held.writeImmutableBuffer(piece)
        let end: Int? = held.withUnsafeReadableBytes { bytes in
            var zeros = 0
            var index = max(0, searched - Self.delimiterBytes)
            while index < bytes.count {
                zeros = bytes[index] == 0 ? zeros + 1 : 0
                index += 1
                if zeros == Self.delimiterBytes { return index }
            }
            return nil
        }
        searched = held.readableBytes
        guard let end else { return held.readableBytes > RESTLimits.preludeBytes ? .malformed : .incomplete }
        guard end <= RESTLimits.preludeBytes, let json = held.readSlice(length: end - Self.delimiterBytes),
            let value = try? JSON.parse(json.readableBytesView), let fields = value.fields,
            var head = RESTAnswers.head(fields, defaultType: "application/octet-stream")
        else { return .malformed }
        held.moveReaderIndex(forwardBy: Self.delimiterBytes)
        head.body = held
        return .complete(head)
    }

    /// What follows, as it comes. A function that fails now can only be told by cutting the connection.
    static func rest(_ first: ByteBuffer, _ body: ResponseReader) -> ResponsePayload {
        .stream(length: nil) { writer in
            if first.readableBytes > 0 { try await writer.write(first) }
            while let piece = await body.next() { try await writer.write(piece) }
            switch body.ending {
            case .success(let result) where result.functionError == nil: break
            default: throw Failure(.unavailable, "the function failed after it had begun to answer")
            }
        }
    }
}
