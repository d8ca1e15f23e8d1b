public import NIOCore
public import Platform

/// The head of an HTTP request as the codecs see it. Header names are in lower case.
public struct RequestHead: Sendable {
    public var method: String
    /// The raw path, undecoded, starting with `/`; virtual-host buckets already moved into it.
    public var path: String
    /// The raw query, without `?`; empty when absent.
    public var query: String
    public var headers: [(name: String, value: String)]

    public init(method: String, path: String, query: String, headers: [(name: String, value: String)]) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
    }

    public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// Which operation a request is for, and in which protocol.
public struct OperationMatch: Sendable {
    public var schema: ServiceSchema
    public var operation: OperationSchema
    public var wireProtocol: AWSProtocol
    /// URI labels, percent-decoded.
    public var labels: [(name: String, value: String)]
    /// The query string's parameters, decoded.
    var query: [(name: String, value: String?)] = []
    /// The client asks for `x-amzn-query-error` (services that once spoke the query protocol).
    var wantsQueryError = false
}

extension OperationMatch {
    /// For a service that encodes the events of its answer itself; nil when the model has no such operation.
    public init?(schema: ServiceSchema, operation name: String, wireProtocol: AWSProtocol) {
        guard let operation = schema.operations[name] else { return nil }
        self.init(schema: schema, operation: operation, wireProtocol: wireProtocol, labels: [])
    }
}

/// An answer, ready for the front door.
public struct EncodedResponse: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    /// Nil when the payload travels apart (`ResponsePayload`).
    public var body: ByteBuffer?

    public init(status: Int, headers: [(name: String, value: String)], body: ByteBuffer?) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Decodes requests and encodes answers, driven by the schema; knows no service.
public enum Codec {
    /// Finds the operation of a request by its head alone (REST paths and query parameters, X-Amz-Target, CBOR path), or
    /// nil when the body must be seen first (query protocol's `Action`). Throws the service's own error for an unknown
    /// operation or path (`UnknownOperationException`, `InvalidAction`, …), naming it.
    public static func match(_ head: RequestHead, schema: ServiceSchema) throws(AWSError) -> OperationMatch? {
        let protocols = schema.protocols
        if protocols.contains(.cbor), let name = rpcOperation(head) {
            return try matchNamed(name, head, schema, .cbor, status: 404)
        }
        if let target = head.header("x-amz-target"), let json = protocols.first(where: { $0.isJSON }) {
            let name = target.utf8.lastIndex(of: UInt8(ascii: ".")).map { target[target.utf8.index(after: $0)...] }
            return try matchNamed(String(name ?? target[...]), head, schema, jsonVersion(head, json), status: 400)
        }
        if let rest = protocols.first(where: { $0.isREST }) { return try matchREST(head, schema, rest) }
        guard protocols.contains(.query) else {
            throw AWSError("UnknownOperationException", "The request names no operation of \(schema.id)")
        }
        let query = Percent.pairs(head.query)
        guard let action = query.first(where: { $0.name == "Action" })?.value else { return nil }
        return try matchAction(action, query, schema)
    }

    /// Finds the operation of a query-protocol request (`Action=` in the form body or the query string).
    public static func match(_ head: RequestHead, body: ByteBuffer, schema: ServiceSchema) throws(AWSError)
        -> OperationMatch
    {
        if let match = try match(head, schema: schema) { return match }
        let pairs = Percent.pairs(String(decoding: body.readableBytesView, as: UTF8.self))
        guard let action = pairs.first(where: { $0.name == "Action" })?.value else {
            throw AWSError("MissingAction", "The request must contain the parameter Action")
        }
        return try matchAction(action, Percent.pairs(head.query), schema)
    }

    /// Decodes and validates the input. Unknown members are ignored; every violated constraint is reported, in AWS's
    /// wording ("2 validation errors detected: Value '…' at '…' failed to satisfy constraint: …").
    /// `body` is empty for streamed inputs, and for blob payloads it is passed on by the caller.
    public static func decode(_ match: OperationMatch, head: RequestHead, body: ByteBuffer) throws(AWSError) -> Value {
        guard let shape = match.operation.input else { return [:] }
        let value: Value
        switch match.wireProtocol {
        case .restJSON, .restXML: value = try decodeREST(match, head, body, shape)
        case .json10, .json11: value = try decodeJSON(body, shape, schema: match.schema) ?? [:]
        case .query: value = try decodeForm(match, body, shape)
        case .cbor: value = try decodeCBOR(body, shape)
        case .cbor11: value = try decodeCBOR(body, shape, timesInMilliseconds: true)
        }
        try Validator.check(value, shape, schema: match.schema, apart: payloadApart(match.operation, shape))
        return value
    }

    // MARK: Matching

    private static func rpcOperation(_ head: RequestHead) -> String? {
        let parts = head.path.split(separator: "/")
        guard parts.count >= 4, parts[parts.count - 4] == "service", parts[parts.count - 2] == "operation" else {
            return nil
        }
        return String(parts[parts.count - 1])
    }

    private static func jsonVersion(_ head: RequestHead, _ fallback: AWSProtocol) -> AWSProtocol {
        guard let type = head.header("content-type") else { return fallback }
        if type.hasPrefix("application/x-amz-json-1.0") { return .json10 }
        if type.hasPrefix("application/x-amz-cbor-1") { return .cbor11 }
        return type.hasPrefix("application/x-amz-json-1.1") ? .json11 : fallback
    }

    private static func matchNamed(
        _ name: String, _ head: RequestHead, _ schema: ServiceSchema, _ wireProtocol: AWSProtocol, status: Int
    ) throws(AWSError) -> OperationMatch {
        guard let operation = schema.operations[name] else {
            throw AWSError(
                "UnknownOperationException", status: status,
                "The operation \(name.prefix(128)) is not part of \(schema.id)")
        }
        var match = OperationMatch(schema: schema, operation: operation, wireProtocol: wireProtocol, labels: [])
        match.wantsQueryError = schema.isQueryCompatible && head.header("x-amzn-query-mode") == "true"
        return match
    }

    private static func matchAction(
        _ action: String, _ query: [(name: String, value: String?)], _ schema: ServiceSchema
    ) throws(AWSError) -> OperationMatch {
        guard let operation = schema.operations[action] else {
            throw AWSError(
                "InvalidAction",
                "Could not find operation \(action.prefix(128)) for version \(schema.apiVersion)")
        }
        var match = OperationMatch(schema: schema, operation: operation, wireProtocol: .query, labels: [])
        match.query = query
        return match
    }

    private static func matchREST(
        _ head: RequestHead, _ schema: ServiceSchema, _ wireProtocol: AWSProtocol
    ) throws(AWSError) -> OperationMatch {
        guard Percent.isUTF8(head.path), Percent.isUTF8(head.query) else {
            if wireProtocol == .restXML { throw AWSError("InvalidURI", "Couldn't parse the specified URI.") }
            throw .serialization("The request's path and query must be UTF-8")
        }
        let query = Percent.pairs(head.query)
        guard let found = schema.router.match(head, query: query) else {
            if wireProtocol == .restXML {
                // A browser's form (S3 API reference, "POST Object"), which no model describes.
                if head.method == "POST", head.header("content-type")?.hasPrefix("multipart/form-data") == true {
                    throw AWSError(
                        "NotImplemented", status: 501, "Uploads by POST policy (browser forms) are not implemented.")
                }
                throw AWSError(
                    "MethodNotAllowed", status: 405, "The specified method is not allowed against this resource.",
                    fields: ["Method": .string(head.method), "ResourceType": "SERVICE"])
            }
            throw AWSError(
                "UnknownOperationException", status: 404,
                "\(schema.id) has no operation for \(head.method.prefix(16)) \(head.path.prefix(256))")
        }
        var match = OperationMatch(
            schema: schema, operation: found.operation, wireProtocol: wireProtocol, labels: found.labels)
        match.query = query
        return match
    }

    // MARK: Decoding

    /// The payload member that is not part of the input, because it is passed on apart.
    private static func payloadApart(_ operation: OperationSchema, _ shape: ShapeSchema) -> Int? {
        operation.streamsInput || operation.hasBlobInput ? shape.payload : nil
    }

    private static func decodeREST(
        _ match: OperationMatch, _ head: RequestHead, _ body: ByteBuffer, _ shape: ShapeSchema
    ) throws(AWSError) -> Value {
        var fields = Fields()
        try Bindings.decode(match, head: head, shape: shape, into: &fields)
        if let payload = shape.payload {
            if payloadApart(match.operation, shape) == nil {
                let member = shape.members[payload]
                if let value = try decodePayload(match, member, body) { fields.append(member.name, value) }
            }
            return .map(fields)
        }
        guard shape.members.contains(where: { $0.location == .body }), body.readableBytes > 0 else {
            return .map(fields)
        }
        let inner =
            match.wireProtocol == .restXML
            ? try decodeXML(body, shape) : try decodeJSON(body, shape, schema: match.schema)
        for entry in inner?.fields?.entries ?? [] { fields.append(entry.name, entry.value) }
        return .map(fields)
    }

    private static func decodePayload(
        _ match: OperationMatch, _ member: MemberSchema, _ body: ByteBuffer
    ) throws(AWSError) -> Value? {
        if body.readableBytes == 0 || member.shape.traits.isEventStream { return nil }
        switch member.shape.kind {
        case .string:
            guard let text = String(validating: body.readableBytesView, as: UTF8.self) else {
                throw .serialization("The payload is not UTF-8")
            }
            return .string(text)
        case .blob: return .blob(Array(body.readableBytesView))
        default:
            if match.wireProtocol == .restXML { return try decodeXML(body, member.shape, root: member.bodyName) }
            return try decodeJSON(body, member.shape, schema: match.schema)
        }
    }

    /// `root`: the name that the document's element must have; else any.
    private static func decodeXML(
        _ body: ByteBuffer, _ shape: ShapeSchema, root name: String? = nil
    ) throws(AWSError) -> Value {
        guard let root = try? XMLReader.parse(body.readableBytesView) else { throw .malformedXML }
        if let name, root.name != name { throw .malformedXML }
        return try XMLCodec.decode(root, shape)
    }

    private static func decodeJSON(
        _ body: ByteBuffer, _ shape: ShapeSchema, schema: ServiceSchema
    ) throws(AWSError) -> Value? {
        do throws(JSONError) {
            return try JSONCodec.decode(body, shape)
        } catch {
            if case .mismatch(let text) = error.reason { throw .serialization(text) }
            // Lambda has an error of its own for this (recorded).
            if schema.protocols.contains(.restJSON), schema.errorShape("InvalidRequestContentException") != nil {
                throw AWSError(
                    "InvalidRequestContentException", "Could not parse request body into json: \(error.jacksonText)",
                    fields: ["Type": "User"])
            }
            throw .serialization(error.message)
        }
    }

    private static func decodeForm(
        _ match: OperationMatch, _ body: ByteBuffer, _ shape: ShapeSchema
    ) throws(AWSError) -> Value {
        let form = Percent.pairs(String(decoding: body.readableBytesView, as: UTF8.self))
        return try FormCodec.decode(try FormCodec.tree(match.query + form), shape)
    }

    private static func decodeCBOR(
        _ body: ByteBuffer, _ shape: ShapeSchema, timesInMilliseconds: Bool = false
    ) throws(AWSError) -> Value {
        if body.readableBytes == 0 { return [:] }
        let tree: Value
        do { tree = try CBOR.parse(body.readableBytesView, timesInMilliseconds: timesInMilliseconds) } catch {
            throw .serialization("The body is not valid CBOR: \(error)")
        }
        return try CBORCodec.decode(tree, shape)
    }
}
