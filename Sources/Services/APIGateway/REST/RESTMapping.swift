import NIOCore
import Platform

/// Where a mapped value comes from (developer guide, "API Gateway API request and response data mapping reference").
enum RESTMapping: Sendable, Hashable {
    case fixed(String)
    case parameter(RequestParameter)
    case multiple(RequestParameter)
    /// Of the request's body: a path in it, empty for all of it.
    case requestBody(String)
    case responseHeader(String)
    case responseBody(String)
    case context(String)
    case stageVariable(String)

    enum Side: Sendable {
        case request, response, gateway
    }

    /// Nil for what is no expression.
    init?(_ text: String, side: Side) {
        if text.hasPrefix("'"), text.hasSuffix("'"), text.utf8.count >= 2 {
            self = .fixed(String(text.dropFirst().dropLast()))
        } else if let name = Self.behind("context.", text) {
            self = .context(name)
        } else if let name = Self.behind("stageVariables.", text) {
            self = .stageVariable(name)
        } else if let name = Self.behind("integration.response.", text) {
            guard side == .response else { return nil }
            if let header = Self.behind("header.", name) ?? Self.behind("multivalueheader.", name) {
                self = .responseHeader(lowercased(header))
            } else if name == "body" {
                self = .responseBody("")
            } else if let path = Self.behind("body.", name) {
                self = .responseBody(path)
            } else {
                return nil
            }
        } else if side != .response, let parameter = RequestParameter(text) {
            self = .parameter(parameter)
        } else if side != .response,
            let parameter = RequestParameter(text.replacing(".multivalue", with: ".", maxReplacements: 1))
        {
            self = .multiple(parameter)
        } else if side == .request, text == "method.request.body" {
            self = .requestBody("")
        } else if side == .request, let path = Self.behind("method.request.body.", text) {
            self = .requestBody(path)
        } else {
            return nil
        }
    }

    private static func behind(_ prefix: String, _ text: String) -> String? {
        text.hasPrefix(prefix) && text.utf8.count > prefix.utf8.count ? String(text.dropFirst(prefix.count)) : nil
    }

    /// `integration.request.header.name`, `….querystring.name`, `….path.name`: where a value may go.
    static func destination(_ text: String) -> RequestParameter? {
        guard let rest = behind("integration.request.", text) else { return nil }
        return RequestParameter("method.request." + rest)
    }

    static func isDestination(_ text: String) -> Bool { destination(text) != nil }

    /// The value for a request, and what its integration answered if it has.
    func value(_ call: RESTCall, _ answer: ProxyAnswer? = nil) -> String? {
        let request = call.record.request
        switch self {
        case .fixed(let text): return text
        case .context(let name): return call.value(name)
        case .stageVariable(let name): return call.record.event.stageVariables.first { $0.name == name }?.value
        case .parameter(let parameter): return call.values(parameter).last
        case .multiple(let parameter):
            let values = call.values(parameter)
            return values.isEmpty ? nil : values.joined(separator: ",")
        case .requestBody(let path):
            return path.isEmpty ? String(buffer: request.body) : RequestRecord.member(path[...], of: request.body)
        case .responseHeader(let name):
            return answer?.headers.last { lowercased($0.name) == name }?.value
        case .responseBody(let path):
            guard let answer else { return nil }
            return path.isEmpty ? String(buffer: answer.body) : RequestRecord.member(path[...], of: answer.body)
        }
    }
}

/// Mapping templates that stand for themselves: Velocity is not there.
enum StaticTemplate {
    private static let directives = [
        "set", "if", "elseif", "else", "end", "foreach", "break", "define", "include", "parse", "macro", "stop",
        "evaluate", "#", "*", "[", "{", "@",
    ]

    /// Whether Velocity would make something else of the text.
    static func hasDirectives(_ text: String) -> Bool {
        var rest = text[...]
        while let index = rest.firstIndex(where: { $0 == "#" || $0 == "$" }) {
            let mark = rest[index]
            rest = rest[rest.index(after: index)...]
            guard let next = rest.first else { return false }
            if mark == "$" {
                if next.isASCII, next.isLetter || next == "!" || next == "{" { return true }
            } else if directives.contains(where: { rest.hasPrefix($0) }) {
                return true
            }
        }
        return false
    }

    /// The `statusCode` that a MOCK's request template asks for. JSON, or what comes near enough to it for API Gateway
    /// (`{ statusCode: 200 }`, as deployment tools write it).
    static func statusCode(_ text: String) -> Int? {
        if let value = try? JSON.parse(text) {
            guard let status = value["statusCode"] else { return nil }
            return status.int.flatMap { Int(exactly: $0) } ?? status.string.flatMap { Int($0) }
        }
        guard text.contains("{"), let name = text.firstRange(of: "statusCode") else { return nil }
        let isBlank: (Character) -> Bool = { $0 == "\"" || $0 == "'" || $0.isWhitespace }
        let behind = text[name.upperBound...].drop(while: isBlank)
        guard behind.first == ":" else { return nil }
        return Int(behind.dropFirst().drop(while: isBlank).prefix { $0.isASCII && $0.isNumber })
    }
}
