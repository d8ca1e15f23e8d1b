import NIOCore
import Platform

/// Changes of requests and answers on their way (developer guide, "Transform API requests and responses for HTTP APIs").
struct ParameterMapping: Sendable {
    enum Change: String, Sendable {
        case append, overwrite, remove
    }
    enum Place: Sendable, Hashable {
        case header(String)
        case query(String)
        case path
        case statusCode
    }
    struct Step: Sendable {
        var change: Change
        var place: Place
        var value: MappingTemplate
    }

    var steps: [Step]

    static let none = ParameterMapping(steps: [])

    /// Headers that no mapping may touch (developer guide, "Reserved headers").
    private static let reserved: Set<String> = [
        "authorization", "connection", "content-encoding", "content-length", "content-location", "forwarded", "host",
        "keep-alive", "origin", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding",
        "upgrade", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
    ]

    private init(steps: [Step]) { self.steps = steps }

    enum Side { case request, response }

    /// Reads `append:header.name` → value pairs. Throws the part of an error's text that says what is wrong.
    init(_ pairs: [(key: String, value: String)], side: Side) throws(MappingError) {
        steps = []
        for (key, value) in pairs {
            let parts = key.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let change = Change(rawValue: String(parts[0])) else {
                throw MappingError(reason: "Invalid mapping expression specified: \(key)")
            }
            guard let place = Self.place(parts[1], change, side) else {
                throw MappingError(reason: "Invalid mapping expression parameter specified: \(key)")
            }
            if case .header(let name) = place, Self.isReserved(name) {
                throw MappingError(
                    reason: "Operations on header \(name) are restricted")
            }
            steps.append(Step(change: change, place: place, value: MappingTemplate(value)))
        }
    }

    private static func isReserved(_ name: String) -> Bool {
        reserved.contains(name) || name.hasPrefix("access-control-") || name.hasPrefix("apigw-")
            || name.hasPrefix("x-amz-") || name.hasPrefix("x-amzn-")
    }

    private static func place(_ text: Substring, _ change: Change, _ side: Side) -> Place? {
        if text.hasPrefix("header.") {
            let name = lowercased(String(text.dropFirst("header.".count)))
            return ProxyAnswer.isHeader(name, "") ? .header(name) : nil
        }
        switch side {
        case .request:
            if text == "path" { return change == .overwrite ? .path : nil }
            let name = text.hasPrefix("querystring.") ? text.dropFirst("querystring.".count) : ""
            return name.isEmpty ? nil : .query(String(name))
        case .response: return text == "statuscode" && change == .overwrite ? .statusCode : nil
        }
    }

    /// What is sent on.
    struct Outgoing: Sendable {
        /// A decoded path that begins with a slash; nil where no mapping names one.
        var path: String?
        var query: [(name: String, value: String)]
        var headers: [(name: String, value: String)]
    }

    func apply(to outgoing: inout Outgoing, _ lookUp: (Substring) -> String?) {
        for step in steps {
            let value = step.change == .remove ? "" : step.value.evaluate(lookUp)
            switch step.place {
            case .header(let name):
                guard ProxyAnswer.isHeader(name, value) else { continue }
                Self.change(&outgoing.headers, step.change, name, value)
            case .query(let name): Self.change(&outgoing.query, step.change, name, value)
            case .path: outgoing.path = value.hasPrefix("/") ? value : "/" + value
            case .statusCode: break
            }
        }
    }

    /// Changes what a function is told of a request. Its `requestContext` still says what the client sent.
    func apply(to request: inout ProxyRequest, _ lookUp: (Substring) -> String?) {
        guard !steps.isEmpty else { return }
        var outgoing = Outgoing(path: nil, query: request.query, headers: request.headers)
        apply(to: &outgoing, lookUp)
        request.mappedPath = outgoing.path
        request.headers = outgoing.headers
        guard steps.contains(where: { if case .query = $0.place { true } else { false } }) else { return }
        request.query = outgoing.query
        request.rawQuery = IntegrationURL.query(outgoing.query)
    }

    func apply(to answer: inout ProxyAnswer, _ lookUp: (Substring) -> String?) {
        for step in steps {
            let value = step.change == .remove ? "" : step.value.evaluate(lookUp)
            switch step.place {
            case .header(let name):
                guard ProxyAnswer.isHeader(name, value) else { continue }
                Self.change(&answer.headers, step.change, name, value)
            case .statusCode:
                if let status = Int(value), (200...599).contains(status) { answer.status = status }
            case .query, .path: break
            }
        }
    }

    private static func change(
        _ fields: inout [(name: String, value: String)], _ change: Change, _ name: String, _ value: String
    ) {
        switch change {
        case .append: fields.append((name, value))
        case .overwrite:
            fields.removeAll { $0.name == name }
            fields.append((name, value))
        case .remove: fields.removeAll { $0.name == name }
        }
    }
}

struct MappingError: Error {
    var reason: String
}

/// A value with selection expressions in it: one alone (`$request.header.x`), or several in `${…}` with text around.
struct MappingTemplate: Sendable {
    private enum Part: Sendable {
        case text(String)
        /// Without the `$`.
        case expression(String)
    }
    private let parts: [Part]

    init(_ text: String) {
        if text.hasPrefix("$"), !text.hasPrefix("${") {
            parts = [.expression(String(text.dropFirst()))]
            return
        }
        var parts: [Part] = []
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else { break }
            parts.append(.text(String(rest[..<start.lowerBound])))
            parts.append(.expression(ProxyRequest.trimmed(rest[start.upperBound..<end])))
            rest = rest[rest.index(after: end)...]
        }
        parts.append(.text(String(rest)))
        self.parts = parts
    }

    /// An expression without a value is empty.
    func evaluate(_ lookUp: (Substring) -> String?) -> String {
        var out = ""
        for part in parts {
            switch part {
            case .text(let text): out += text
            case .expression(let expression): out += lookUp(expression[...]) ?? ""
            }
        }
        return out
    }
}

extension RequestRecord {
    /// A selection expression of a request: `request.header.x`, `request.querystring.x`, `request.body.a.b[0]`,
    /// `request.path`, `request.path.x`, `context.x`, `stageVariables.x`.
    func select(_ expression: Substring) -> String? {
        if expression.hasPrefix("context.") { return value(String(expression.dropFirst("context.".count))) }
        if expression.hasPrefix("stageVariables.") {
            let name = expression.dropFirst("stageVariables.".count)
            return event.stageVariables.first { $0.name == name }?.value
        }
        guard expression.hasPrefix("request.") else { return nil }
        let rest = expression.dropFirst("request.".count)
        if rest.hasPrefix("header.") {
            return request.joinedHeader(lowercased(String(rest.dropFirst("header.".count))))
        }
        if rest.hasPrefix("querystring.") { return request.joinedQuery(String(rest.dropFirst("querystring.".count))) }
        if rest == "path" { return request.pathBehindStage }
        if rest.hasPrefix("path.") {
            let name = rest.dropFirst("path.".count)
            return event.pathParameters.first { $0.name == name }?.value
        }
        if rest == "body" { return String(buffer: request.body) }
        if rest.hasPrefix("body.") { return Self.member(rest.dropFirst("body.".count), of: request.body) }
        return nil
    }

    /// A member of a JSON body: `a.b[0].c`.
    static func member(_ path: Substring, of body: ByteBuffer) -> String? {
        guard body.readableBytes <= Limits.mappedBody, var value = try? JSON.parse(body.readableBytesView) else {
            return nil
        }
        for part in path.split(separator: ".", omittingEmptySubsequences: false) {
            // Nothing between two dots would be recursive descent, which is not supported.
            guard !part.isEmpty else { return nil }
            let pieces = part.split(separator: "[", omittingEmptySubsequences: false)
            if let name = pieces.first, !name.isEmpty {
                guard let next = value[String(name)] else { return nil }
                value = next
            }
            for piece in pieces.dropFirst() {
                guard piece.hasSuffix("]"), let index = Int(piece.dropLast()), let list = value.list,
                    list.indices.contains(index)
                else { return nil }
                value = list[index]
            }
        }
        return value.isNull ? nil : CallerIdentity.text(value)
    }
}

extension ProxyRequest {
    /// The decoded path without the stage.
    var pathBehindStage: String { "/" + segments.joined(separator: "/") }
}
