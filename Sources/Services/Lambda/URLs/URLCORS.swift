import Platform
import Wire

/// What a function URL answers browsers of other origins. With it, the URL alone speaks of CORS: what the function says of it
/// is overridden.
struct URLCORS: Sendable, Hashable {
    var allowCredentials: Bool?
    var allowHeaders: [String]?
    var allowMethods: [String]?
    var allowOrigins: [String]?
    var exposeHeaders: [String]?
    /// Seconds that a browser may remember a preflight.
    var maxAge: Int?

    /// Nil for settings without any member: that is how CORS is taken away from a URL, which has no other operation for it
    /// (terraform-provider-aws issue 28439).
    init?(_ model: Model.Cors) {
        guard model.value.fields?.entries.contains(where: { !$0.value.isNull }) == true else { return nil }
        allowCredentials = model.allowCredentials
        allowHeaders = model.allowHeaders
        allowMethods = model.allowMethods
        allowOrigins = model.allowOrigins
        exposeHeaders = model.exposeHeaders
        maxAge = model.maxAge
    }

    var output: Model.Cors {
        var output = Model.Cors()
        output.allowCredentials = allowCredentials
        output.allowHeaders = allowHeaders
        output.allowMethods = allowMethods
        output.allowOrigins = allowOrigins
        output.exposeHeaders = exposeHeaders
        output.maxAge = maxAge
        return output
    }

    typealias Headers = [(name: String, value: String)]

    /// The headers of an answer to a request of `origin`; none when it is not welcome.
    func headers(origin: String?) -> Headers {
        guard let origin, let allowed = allowedOrigin(origin) else { return [] }
        var headers: Headers = [(name: "Access-Control-Allow-Origin", value: allowed)]
        if allowed != "*" { headers.append((name: "Vary", value: "Origin")) }
        if allowCredentials == true { headers.append((name: "Access-Control-Allow-Credentials", value: "true")) }
        if let exposeHeaders, !exposeHeaders.isEmpty {
            headers.append((name: "Access-Control-Expose-Headers", value: exposeHeaders.joined(separator: ",")))
        }
        return headers
    }

    /// The answer to a preflight; without CORS headers when the origin, the method or a header is not welcome.
    func preflight(origin: String, method: String, requestHeaders: String?) -> Headers {
        let asked =
            requestHeaders?.split(separator: ",").map { $0.drop { $0 == " " }.lowercased() } ?? []
        guard let allowed = allowedOrigin(origin), allows(method, allowMethods),
            asked.allSatisfy({ allows(Self.trimmed($0), allowHeaders) })
        else { return [] }
        var headers: Headers = [(name: "Access-Control-Allow-Origin", value: allowed)]
        if allowed != "*" { headers.append((name: "Vary", value: "Origin")) }
        if allowCredentials == true { headers.append((name: "Access-Control-Allow-Credentials", value: "true")) }
        if let allowMethods, !allowMethods.isEmpty {
            headers.append((name: "Access-Control-Allow-Methods", value: allowMethods.joined(separator: ",")))
        }
        if let allowHeaders, !allowHeaders.isEmpty {
            headers.append((name: "Access-Control-Allow-Headers", value: allowHeaders.joined(separator: ",")))
        }
        if let maxAge { headers.append((name: "Access-Control-Max-Age", value: String(maxAge))) }
        return headers
    }

    private static func trimmed(_ text: String) -> String {
        String(text.prefix(while: { $0 != " " && $0 != "\t" }))
    }

    private func allows(_ asked: String, _ list: [String]?) -> Bool {
        guard let list else { return false }
        return list.contains { $0 == "*" || $0.lowercased() == asked.lowercased() }
    }

    private func allowedOrigin(_ origin: String) -> String? {
        for pattern in allowOrigins ?? [] {
            // With credentials a browser takes no wildcard.
            if pattern == "*" { return allowCredentials == true ? origin : "*" }
            if pattern == origin { return origin }
            if pattern.hasSuffix("://*"), origin.hasPrefix(pattern.dropLast()) { return origin }
        }
        return nil
    }
}
