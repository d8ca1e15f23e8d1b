import NIOCore
import Platform

/// Why API Gateway answers of itself (API reference, `GatewayResponse`; statuses recorded).
enum GatewayResponseType: String, Sendable, CaseIterable {
    case accessDenied = "ACCESS_DENIED"
    case apiConfigurationError = "API_CONFIGURATION_ERROR"
    case authorizerConfigurationError = "AUTHORIZER_CONFIGURATION_ERROR"
    case authorizerFailure = "AUTHORIZER_FAILURE"
    case badRequestBody = "BAD_REQUEST_BODY"
    case badRequestParameters = "BAD_REQUEST_PARAMETERS"
    case default4xx = "DEFAULT_4XX"
    case default5xx = "DEFAULT_5XX"
    case expiredToken = "EXPIRED_TOKEN"
    case integrationFailure = "INTEGRATION_FAILURE"
    case integrationTimeout = "INTEGRATION_TIMEOUT"
    case invalidAPIKey = "INVALID_API_KEY"
    case invalidSignature = "INVALID_SIGNATURE"
    case missingAuthenticationToken = "MISSING_AUTHENTICATION_TOKEN"
    case quotaExceeded = "QUOTA_EXCEEDED"
    case requestTooLarge = "REQUEST_TOO_LARGE"
    case resourceNotFound = "RESOURCE_NOT_FOUND"
    case throttled = "THROTTLED"
    case unauthorized = "UNAUTHORIZED"
    case unsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE"
    case wafFiltered = "WAF_FILTERED"

    /// AWS's template of every type.
    static let template = "{\"message\":$context.error.messageString}"

    /// AWS's status; nil for the two that stand for a class.
    var status: Int? {
        switch self {
        case .default4xx, .default5xx: nil
        case .badRequestBody, .badRequestParameters: 400
        case .unauthorized: 401
        case .accessDenied, .expiredToken, .invalidAPIKey, .invalidSignature, .missingAuthenticationToken, .wafFiltered:
            403
        case .resourceNotFound: 404
        case .requestTooLarge: 413
        case .unsupportedMediaType: 415
        case .quotaExceeded, .throttled: 429
        case .apiConfigurationError, .authorizerConfigurationError, .authorizerFailure: 500
        case .integrationFailure, .integrationTimeout: 504
        }
    }

    /// The class that stands in where nothing is configured for the type itself.
    var general: GatewayResponseType? { status.map { $0 < 500 ? .default4xx : .default5xx } }
}

/// A refusal or failure before it is an answer.
struct RESTFailure: Error, Sendable {
    var type: GatewayResponseType
    var status: Int
    /// Nil is null in the answer.
    var message: String?
    /// `x-amzn-ErrorType`
    var errorType: String
    /// What AWS's own answer looks like: the member's name, and whether a blank follows its colon.
    var member = "message"
    var isSpaced = false
    /// Why, for logs; clients do not see it.
    var detail: String?
    /// What is wrong with a body: `$context.error.validationErrorString`.
    var validation: String?

    init(
        _ type: GatewayResponseType, _ message: String?, _ errorType: String, status: Int? = nil, detail: String? = nil
    ) {
        self.type = type
        self.status = status ?? type.status ?? 500
        self.message = message
        self.errorType = errorType
        self.detail = detail
    }

    static let missingToken = RESTFailure(
        .missingAuthenticationToken, "Missing Authentication Token", "MissingAuthenticationTokenException")
    static let forbidden = RESTFailure(.invalidAPIKey, "Forbidden", "ForbiddenException")
    static let unauthorized = RESTFailure(.unauthorized, "Unauthorized", "UnauthorizedException")
    static let throttled = RESTFailure(.throttled, "Too Many Requests", "TooManyRequestsException")
    static let unsupportedMediaType = RESTFailure(
        .unsupportedMediaType, "Unsupported Media Type", "BadRequestException")

    static func badBody(_ problems: [String]) -> RESTFailure {
        var failure = RESTFailure(.badRequestBody, "Invalid request body", "BadRequestException")
        if !problems.isEmpty { failure.validation = "[\(problems.joined(separator: ", "))]" }
        return failure
    }

    static func missing(parameters: [String]) -> RESTFailure {
        RESTFailure(
            .badRequestParameters, "Missing required request parameters: [\(parameters.joined(separator: ", "))]",
            "BadRequestException")
    }

    static func denied(_ message: String) -> RESTFailure {
        var failure = RESTFailure(.accessDenied, message, "AccessDeniedException")
        failure.member = "Message"
        return failure
    }

    static func authorizer(_ detail: String) -> RESTFailure {
        RESTFailure(.authorizerConfigurationError, nil, "AuthorizerConfigurationException", detail: detail)
    }

    static func `internal`(
        _ detail: String, type: GatewayResponseType = .apiConfigurationError, status: Int = 500
    ) -> RESTFailure {
        var failure = RESTFailure(
            type, "Internal server error", "InternalServerErrorException", status: status, detail: detail)
        failure.isSpaced = true
        return failure
    }

    /// What the function answered cannot be sent: 502.
    static func malformed(_ detail: String) -> RESTFailure { .internal(detail, type: .default5xx, status: 502) }

    static func timeout() -> RESTFailure {
        var failure = RESTFailure(
            .integrationTimeout, "Endpoint request timed out", "InternalServerErrorException",
            detail: "Execution failed due to a timeout error")
        failure.isSpaced = true
        return failure
    }

    static func network(_ detail: String) -> RESTFailure {
        var failure = RESTFailure(
            .integrationFailure, "Network error communicating with endpoint", "InternalServerErrorException",
            detail: detail)
        failure.isSpaced = true
        return failure
    }

    /// The answer without any API's own settings.
    var plainAnswer: ProxyAnswer { answer(nil) { _ in nil } }

    /// The answer with what the API has configured for it. `lookUp` knows the values of mapping expressions.
    func answer(_ configured: Value?, accept: String? = nil, _ lookUp: (RESTMapping) -> String?) -> ProxyAnswer {
        var answer = ProxyAnswer(status: status, headers: [], body: ByteBuffer())
        answer.problem = ProxyAnswer.Problem(
            type: type.rawValue, message: message ?? "null", detail: detail, validation: validation)
        let text = message.map { JSON.encodeString(.string($0)) } ?? "null"
        guard let configured else {
            answer.body = ByteBuffer(string: "{\"\(member)\":\(isSpaced ? " " : "")\(text)}")
            answer.headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", errorType)]
            return answer
        }
        if let own = configured["statusCode"]?.string.flatMap({ Int($0) }), (200...599).contains(own) {
            answer.status = own
        }
        let templates = configured["responseTemplates"]?.fields?.entries ?? []
        let wanted = accept.map { $0.split(separator: ",").map { ProxyRequest.trimmed($0.prefix { $0 != ";" }) } } ?? []
        let chosen =
            templates.first { wanted.contains($0.name) } ?? templates.first { $0.name == "application/json" }
            ?? templates.first
        let body = ErrorTemplate.fill(chosen?.value.string ?? GatewayResponseType.template) { name in
            switch name {
            case "context.error.message": return message ?? ""
            case "context.error.messageString": return text
            case "context.error.responseType": return type.rawValue
            // Templates have it between quotation marks.
            case "context.error.validationErrorString":
                return validation.map { String(JSON.encodeString(.string($0)).dropFirst().dropLast()) } ?? ""
            default: return RESTMapping(name, side: .gateway).flatMap(lookUp)
            }
        }
        answer.body = ByteBuffer(string: body)
        answer.headers = [("Content-Type", chosen?.name ?? "application/json"), ("x-amzn-ErrorType", errorType)]
        for entry in configured["responseParameters"]?.fields?.entries ?? [] {
            guard entry.name.hasPrefix("gatewayresponse.header."), let mapping = entry.value.string,
                let value = RESTMapping(mapping, side: .gateway).flatMap(lookUp)
            else { continue }
            let name = String(entry.name.dropFirst("gatewayresponse.header.".count))
            guard ProxyAnswer.isHeader(name, value), !ProxyAnswer.isOwn(lowercased(name)) else { continue }
            answer.headers.removeAll { lowercased($0.name) == lowercased(name) }
            answer.headers.append((name, value))
        }
        return answer
    }
}

/// Gateway responses' templates: references to variables are replaced, there is no more to them ("simple variable
/// substitution without support for Velocity", developer guide).
enum ErrorTemplate {
    static func fill(_ template: String, _ lookUp: (String) -> String?) -> String {
        var out = ""
        var rest = template[...]
        while let start = rest.firstIndex(of: "$") {
            out += rest[..<start]
            rest = rest[rest.index(after: start)...]
            let isBraced = rest.hasPrefix("{")
            let body = isBraced ? rest.dropFirst() : rest
            var name = body.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
            while let last = name.last, "._-".contains(last) { name.removeLast() }
            guard name.hasPrefix("context.") || name.hasPrefix("stageVariables.") || name.hasPrefix("method.request."),
                out.utf8.count < RESTLimits.template * 4
            else {
                out += "$"
                continue
            }
            out += lookUp(String(name)) ?? ""
            rest = rest[name.endIndex...]
            if isBraced, rest.hasPrefix("}") { rest = rest.dropFirst() }
        }
        return out + rest
    }
}
