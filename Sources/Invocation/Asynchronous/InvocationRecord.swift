import Contracts
import Platform

/// The record of an asynchronous invocation that a destination gets (lambda-semantics 4): names, order and spelling are AWS's.
struct InvocationRecord {
    struct Response {
        var executedVersion: String
        var functionError: String?
        var payload: [UInt8]
    }

    var timestamp: Instant
    var requestID: String
    /// With its qualifier, `$LATEST` too.
    var functionARN: String
    var condition: String
    var invokeCount: Int
    var requestPayload: [UInt8]
    /// What the last attempt answered; nil when there was none.
    var response: Response?

    /// The record as JSON. Payloads stay the bytes that they are; without them it also fits where the size is limited.
    func encoded(withPayloads: Bool = true) -> [UInt8] {
        let context: Value = [
            "requestId": .string(requestID), "functionArn": .string(functionARN), "condition": .string(condition),
            "approximateInvokeCount": .int(Int64(invokeCount)),
        ]
        var bytes = Array(#"{"version":"1.0","timestamp":"#.utf8)
        bytes += JSON.encode(.string(timestamp.iso8601(fractionDigits: 3)))
        bytes += Array(#","requestContext":"#.utf8) + JSON.encode(context)
        if withPayloads { bytes += Array(#","requestPayload":"#.utf8) + Self.json(requestPayload) }
        if let response {
            var context: Fields = ["statusCode": 200, "executedVersion": .string(response.executedVersion)]
            if let error = response.functionError { context.append("functionError", .string(error)) }
            bytes += Array(#","responseContext":"#.utf8) + JSON.encode(.map(context))
            if withPayloads { bytes += Array(#","responsePayload":"#.utf8) + Self.json(response.payload) }
        }
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    /// The bytes, if they are JSON; nothing is `null`, and other text a string (ours: custom runtimes may answer anything).
    private static func json(_ payload: [UInt8]) -> [UInt8] {
        if payload.isEmpty { return Array("null".utf8) }
        if (try? JSON.validate(payload)) != nil { return payload }
        return JSON.encode(.string(String(decoding: payload, as: UTF8.self)))
    }
}
