import Platform
import Wire

/// The CORS rules of a bucket (S3 guide, "Using cross-origin resource sharing").
struct CrossOriginRules: Sendable {
    struct Rule: Sendable {
        var origins: [String]
        var methods: [String]
        /// In lower case.
        var headers: [String]
        var exposed: [String]
        var maxAge: Int?
    }

    /// What a page asks for.
    struct Query: Sendable {
        var origin: String
        var method: String
        /// Header names as sent; only of preflight requests.
        var headers: [String] = []
    }

    var rules: [Rule]

    /// Reads and validates. Throws MalformedXML, InvalidRequest.
    init(_ configuration: Model.CORSConfiguration?) throws(AWSError) {
        let given = configuration?.corsRules ?? []
        guard !given.isEmpty, given.count <= Limits.crossOriginRules else { throw S3Error.malformedXML }
        rules = []
        for item in given {
            let methods = item.allowedMethods ?? []
            let origins = item.allowedOrigins ?? []
            guard !methods.isEmpty, !origins.isEmpty else { throw S3Error.malformedXML }
            for method in methods where !["GET", "PUT", "POST", "DELETE", "HEAD"].contains(method) {
                throw S3Error.invalidRequest(
                    "Found unsupported HTTP method in CORS config. Unsupported method is \(method)")
            }
            for origin in origins where origin.filter({ $0 == "*" }).count > 1 {
                throw S3Error.invalidRequest("AllowedOrigin \"\(origin)\" can not have more than one wildcard.")
            }
            for header in item.allowedHeaders ?? [] where header.filter({ $0 == "*" }).count > 1 {
                throw S3Error.invalidRequest("AllowedHeader \"\(header)\" can not have more than one wildcard.")
            }
            for header in item.exposeHeaders ?? [] where header.contains("*") {
                throw S3Error.invalidRequest(
                    "ExposeHeader \"\(header)\" contains wildcard. We currently do not support wildcard for ExposeHeader."
                )
            }
            let rule = Rule(
                origins: origins, methods: methods, headers: (item.allowedHeaders ?? []).map { $0.lowercased() },
                exposed: item.exposeHeaders ?? [], maxAge: item.maxAgeSeconds)
            guard [rule.origins, rule.headers, rule.exposed].allSatisfy({ $0.count <= Limits.crossOriginValues }) else {
                throw S3Error.malformedXML
            }
            rules.append(rule)
        }
    }

    /// The headers that let a page in; nil when no rule does. The first rule that fits is the one.
    func headers(for query: Query, isPreflight: Bool) -> [(name: String, value: String)]? {
        let asked = query.headers.map { $0.lowercased() }
        for rule in rules where rule.methods.contains(query.method) {
            guard let origin = rule.origins.first(where: { Self.fits($0, query.origin) }),
                asked.allSatisfy({ name in rule.headers.contains { Self.fits($0, name) } })
            else { continue }
            var headers: [(name: String, value: String)] = []
            headers.append(("Access-Control-Allow-Origin", origin == "*" ? "*" : query.origin))
            headers.append(("Access-Control-Allow-Methods", rule.methods.joined(separator: ", ")))
            if isPreflight, !asked.isEmpty {
                headers.append(("Access-Control-Allow-Headers", asked.joined(separator: ", ")))
            }
            if !rule.exposed.isEmpty {
                headers.append(("Access-Control-Expose-Headers", rule.exposed.joined(separator: ", ")))
            }
            if let maxAge = rule.maxAge { headers.append(("Access-Control-Max-Age", String(maxAge))) }
            if origin != "*" { headers.append(("Access-Control-Allow-Credentials", "true")) }
            headers.append(("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"))
            return headers
        }
        return nil
    }

    /// A pattern with at most one `*`.
    private static func fits(_ pattern: String, _ text: String) -> Bool {
        guard let star = pattern.firstIndex(of: "*") else { return pattern == text }
        let prefix = pattern[..<star]
        let suffix = pattern[pattern.index(after: star)...]
        return text.utf8.count >= prefix.utf8.count + suffix.utf8.count && text.hasPrefix(prefix)
            && text.hasSuffix(suffix)
    }
}
