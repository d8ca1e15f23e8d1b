import NIOCore
public import Platform

// Answers and errors.

extension Codec {
    /// Encodes an answer: header-bound members, status-bound members and the body of the protocol. With
    /// `payloadApart` (blob outputs, event streams) only status and headers; the content type is then the caller's,
    /// except for event streams.
    public static func encode(
        _ output: Value, for match: OperationMatch, requestID: String, payloadApart: Bool
    ) -> EncodedResponse {
        let operation = match.operation
        var response = EncodedResponse(status: operation.status, headers: [], body: nil)
        let shape = operation.output
        let fields = output.fields ?? [:]
        if match.wireProtocol.isREST, let shape {
            Bindings.encode(fields, shape, status: &response.status, headers: &response.headers)
        }
        if operation.hasEventOutput {
            setContentType("application/vnd.amazon.eventstream", &response)
        }
        if payloadApart { return response }
        let bytes: [UInt8]
        switch match.wireProtocol {
        case .restJSON, .restXML: bytes = restBody(fields, match, shape, &response)
        case .json10, .json11:
            setContentType(contentType(match.wireProtocol), &response)
            bytes = shape.map { json(.map(fields), $0) } ?? []
        case .query:
            setContentType("text/xml", &response)
            bytes = queryBody(fields, match, shape, requestID)
        case .cbor:
            response.headers.append(("smithy-protocol", "rpc-v2-cbor"))
            setContentType("application/cbor", &response)
            var writer = CBORWriter()
            if let shape { CBORCodec.write(.map(fields), shape, into: &writer) }
            bytes = writer.bytes
        case .cbor11:
            setContentType(contentType(match.wireProtocol), &response)
            var writer = CBORWriter(timesInMilliseconds: true)
            if let shape { CBORCodec.write(.map(fields), shape, into: &writer) }
            bytes = writer.bytes
        }
        let isBodiless = response.status == 204 || response.status == 304 || operation.method == "HEAD"
        response.body = ByteBuffer(bytes: isBodiless ? [] : bytes)
        return response
    }

    /// Unless a header-bound member has set one.
    private static func setContentType(_ type: String, _ response: inout EncodedResponse) {
        let isSet = response.headers.contains { $0.name.utf8.count == 12 && $0.name.lowercased() == "content-type" }
        if !isSet { response.headers.append(("Content-Type", type)) }
    }

    private static func contentType(_ wireProtocol: AWSProtocol) -> String {
        switch wireProtocol {
        case .restJSON: "application/json"
        case .restXML: "application/xml"
        case .json10: "application/x-amz-json-1.0"
        case .json11: "application/x-amz-json-1.1"
        case .query: "text/xml"
        case .cbor: "application/cbor"
        case .cbor11: "application/x-amz-cbor-1.1"
        }
    }

    private static func json(_ value: Value, _ shape: ShapeSchema) -> [UInt8] {
        var writer = JSONWriter()
        JSONCodec.write(value, shape, nil, into: &writer)
        return writer.bytes
    }

    private static func restBody(
        _ fields: Fields, _ match: OperationMatch, _ shape: ShapeSchema?, _ response: inout EncodedResponse
    ) -> [UInt8] {
        guard let shape else { return [] }
        let isXML = match.wireProtocol == .restXML
        if let payload = shape.payload {
            let member = shape.members[payload]
            guard let value = fields[member.name], !value.isNull else { return [] }
            switch (member.shape.kind, value) {
            case (.blob, _):
                setContentType("application/octet-stream", &response)
                return value.blob ?? []
            case (.string, .string(let text)):
                setContentType("text/plain", &response)
                return Array(text.utf8)
            default:
                setContentType(contentType(match.wireProtocol), &response)
                guard isXML else { return json(value, member.shape) }
                let root =
                    member.bodyName != member.name ? member.bodyName : member.shape.traits.root ?? member.shape.name
                return xml(value, member.shape, root: root, namespace: member.namespace, match.schema)
            }
        }
        guard shape.members.contains(where: { $0.location == .body }) else {
            // A REST JSON answer without members is an empty object all the same.
            if !isXML, shape.members.isEmpty {
                setContentType(contentType(match.wireProtocol), &response)
                return Array("{}".utf8)
            }
            return []
        }
        setContentType(contentType(match.wireProtocol), &response)
        if !isXML { return json(.map(fields), shape) }
        if shape.traits.isUnwrapped, let member = shape.members.first {
            let value = fields[member.name] ?? .string("")
            return xml(value, member.shape, root: member.bodyName, namespace: nil, match.schema)
        }
        let root = shape.traits.root ?? shape.name
        return xml(.map(fields), shape, root: root, namespace: shape.traits.namespace, match.schema)
    }

    private static func xml(
        _ value: Value, _ shape: ShapeSchema, root: String, namespace: XMLNamespace?, _ schema: ServiceSchema
    ) -> [UInt8] {
        // S3 writes milliseconds always.
        var writer = XMLWriter(fractionDigits: 3)
        var holder = MemberSchema(name: root, shape: shape)
        let inherited = schema.xmlNamespace.isEmpty ? nil : XMLNamespace(uri: schema.xmlNamespace)
        holder.namespace = namespace ?? shape.traits.namespace ?? inherited
        XMLCodec.write(value, shape, name: root, holder, into: &writer)
        return writer.bytes
    }

    private static func queryBody(
        _ fields: Fields, _ match: OperationMatch, _ shape: ShapeSchema?, _ requestID: String
    ) -> [UInt8] {
        var writer = XMLWriter(declaration: false)
        let root = match.operation.name + "Response"
        let namespace = match.schema.xmlNamespace
        writer.open(root, namespace.isEmpty ? [] : [("xmlns", namespace)])
        if let shape {
            let wrapper = match.operation.resultWrapper
            if let wrapper { writer.open(wrapper) }
            XMLCodec.write(members: fields, shape, into: &writer)
            if let wrapper { writer.close(wrapper) }
        }
        writer.open("ResponseMetadata")
        writer.element("RequestId", requestID)
        writer.close("ResponseMetadata")
        writer.close(root)
        return writer.bytes
    }

    // MARK: Errors

    /// Encodes an error in the request's protocol: code, message and modelled members, `x-amzn-ErrorType`,
    /// `x-amzn-query-error`, XML `ErrorResponse` or S3's `Error`, with the request id. `match` is nil when the operation
    /// could not be found: then `fallback` says the protocol.
    public static func encode(
        _ error: AWSError, for match: OperationMatch?, schema: ServiceSchema?, fallback: AWSProtocol, resource: String,
        requestID: String
    ) -> EncodedResponse {
        let schema = match?.schema ?? schema
        let wireProtocol = match?.wireProtocol ?? fallback
        let shape = schema?.errorShape(error.code)
        var response = EncodedResponse(status: error.status, headers: error.headers, body: nil)
        if let shape, wireProtocol.isREST {
            var status = error.status
            Bindings.encode(error.fields, shape, status: &status, headers: &response.headers)
        }
        if match?.wantsQueryError == true {
            let type = error.isSenderFault ? "Sender" : "Receiver"
            response.headers.append(("x-amzn-query-error", "\(error.code);\(type)"))
        }
        let bytes: [UInt8]
        switch wireProtocol {
        case .restJSON:
            response.headers.append(("x-amzn-ErrorType", error.code))
            bytes = jsonError(error, shape, type: nil)
        case .json10, .json11:
            bytes = jsonError(error, shape, type: (schema?.errorNamespace ?? "") + (shape?.name ?? error.code))
        case .cbor:
            response.headers.append(("smithy-protocol", "rpc-v2-cbor"))
            bytes = cborError(error, shape, type: (schema?.errorNamespace ?? "") + (shape?.name ?? error.code))
        case .cbor11:
            response.headers.append(("x-amzn-ErrorType", error.code))
            bytes = cborError(error, shape, type: (schema?.errorNamespace ?? "") + (shape?.name ?? error.code))
        case .restXML:
            let isBare = schema?.hasBareErrors ?? true
            bytes =
                isBare ? bareError(error, shape, resource, requestID) : wrappedError(error, shape, schema, requestID)
        case .query: bytes = wrappedError(error, shape, schema, requestID)
        }
        setContentType(contentType(wireProtocol), &response)
        let isBodiless = error.status == 304 || error.status == 204 || match?.operation.method == "HEAD"
        response.body = ByteBuffer(bytes: isBodiless ? [] : bytes)
        if isBodiless { response.headers.removeAll { $0.name == "Content-Type" } }
        return response
    }

    /// S3's second request id (`x-amz-id-2`, `HostId`), made from the first.
    public static func hostID(_ requestID: String) -> String {
        var state: UInt64 = 0xcbf2_9ce4_8422_2325
        var bytes: [UInt8] = []
        for _ in 0..<6 {
            for byte in requestID.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
            for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: state >> UInt64(shift * 8))) }
        }
        return Base64.encode(bytes)
    }

    /// The message's name in the model: `message` or `Message`.
    private static func messageName(_ shape: ShapeSchema?, fallback: String) -> String {
        shape?.members.first { $0.name.lowercased() == "message" }?.bodyName ?? fallback
    }

    /// Fields that go into the body, under their wire names: a header-bound one does not.
    private static func bodyFields(_ error: AWSError, _ shape: ShapeSchema?) -> [(
        name: String, value: Value, MemberSchema?
    )] {
        error.fields.entries.compactMap { entry in
            guard let shape, let index = shape.names.find(entry.name) else { return (entry.name, entry.value, nil) }
            let member = shape.members[index]
            return member.location == .body ? (member.bodyName, entry.value, member) : nil
        }
    }

    private static func jsonError(_ error: AWSError, _ shape: ShapeSchema?, type: String?) -> [UInt8] {
        var writer = JSONWriter()
        writer.raw(UInt8(ascii: "{"))
        if let type {
            writer.raw("\"__type\":")
            writer.string(type)
            writer.raw(UInt8(ascii: ","))
        }
        for (name, value, member) in bodyFields(error, shape) {
            writer.string(name)
            writer.raw(UInt8(ascii: ":"))
            if let member { JSONCodec.write(value, member.shape, member, into: &writer) } else { writer.write(value) }
            writer.raw(UInt8(ascii: ","))
        }
        writer.string(messageName(shape, fallback: "message"))
        writer.raw(UInt8(ascii: ":"))
        writer.string(error.message)
        writer.raw(UInt8(ascii: "}"))
        return writer.bytes
    }

    private static func cborError(_ error: AWSError, _ shape: ShapeSchema?, type: String) -> [UInt8] {
        var writer = CBORWriter()
        let fields = bodyFields(error, shape)
        writer.map(fields.count + 2)
        writer.string("__type")
        writer.string(type)
        for (name, value, member) in fields {
            writer.string(name)
            if let member { CBORCodec.write(value, member.shape, into: &writer) } else { writer.write(value) }
        }
        writer.string(messageName(shape, fallback: "message"))
        writer.string(error.message)
        return writer.bytes
    }

    private static func writeFields(_ error: AWSError, _ shape: ShapeSchema?, into writer: inout XMLWriter) {
        for (name, value, member) in bodyFields(error, shape) {
            if let member {
                XMLCodec.write(value, member.shape, name: name, member, into: &writer)
            } else if let text = Scalars.text(value, .iso8601) {
                writer.element(name, text)
            }
        }
    }

    private static func bareError(
        _ error: AWSError, _ shape: ShapeSchema?, _ resource: String, _ requestID: String
    ) -> [UInt8] {
        var writer = XMLWriter()
        writer.open("Error")
        writer.element("Code", error.code)
        writer.element("Message", error.message)
        writeFields(error, shape, into: &writer)
        if error.fields["Resource"] == nil, !resource.isEmpty { writer.element("Resource", resource) }
        writer.element("RequestId", requestID)
        writer.element("HostId", hostID(requestID))
        writer.close("Error")
        return writer.bytes
    }

    private static func wrappedError(
        _ error: AWSError, _ shape: ShapeSchema?, _ schema: ServiceSchema?, _ requestID: String
    ) -> [UInt8] {
        var writer = XMLWriter(declaration: false)
        let namespace = schema?.xmlNamespace ?? ""
        writer.open("ErrorResponse", namespace.isEmpty ? [] : [("xmlns", namespace)])
        writer.open("Error")
        writer.element("Type", error.isSenderFault ? "Sender" : "Receiver")
        writer.element("Code", error.code)
        writer.element("Message", error.message)
        writeFields(error, shape, into: &writer)
        writer.close("Error")
        writer.element("RequestId", requestID)
        writer.close("ErrorResponse")
        return writer.bytes
    }
}
