/// Cross-origin settings of an API (developer guide, "Configure CORS for HTTP APIs").
struct CORSPolicy: Sendable, Hashable {
    var origins: [String]
    var methods: [String]
    var headers: [String]
    var exposed: [String]
    /// Seconds.
    var maximumAge: Int?
    var allowsCredentials: Bool

    /// What a browser asks before it sends the request itself.
    static func isPreflight(_ request: ProxyRequest) -> Bool {
        request.method == "OPTIONS" && request.header("origin") != nil
            && request.header("access-control-request-method") != nil
    }

    /// The headers of the answer to a preflight request; none for an origin that may not.
    func preflightHeaders(for request: ProxyRequest) -> [(name: String, value: String)] {
        guard let origin = request.header("origin"), let allowed = allowedOrigin(origin) else { return [] }
        var answer = [(name: "access-control-allow-origin", value: allowed)]
        if !methods.isEmpty { answer.append(("access-control-allow-methods", methods.joined(separator: ","))) }
        if !headers.isEmpty { answer.append(("access-control-allow-headers", headers.joined(separator: ","))) }
        if !exposed.isEmpty { answer.append(("access-control-expose-headers", exposed.joined(separator: ","))) }
        if let maximumAge { answer.append(("access-control-max-age", String(maximumAge))) }
        if allowsCredentials { answer.append(("access-control-allow-credentials", "true")) }
        return answer
    }

    /// The headers that every other answer to a page of another origin gets.
    func answerHeaders(for request: ProxyRequest) -> [(name: String, value: String)] {
        guard let origin = request.header("origin"), let allowed = allowedOrigin(origin) else { return [] }
        var answer = [(name: "access-control-allow-origin", value: allowed)]
        if !exposed.isEmpty { answer.append(("access-control-expose-headers", exposed.joined(separator: ","))) }
        if allowsCredentials { answer.append(("access-control-allow-credentials", "true")) }
        return answer
    }

    /// `*` where everybody may, the origin itself where a list or a pattern (`https://*`) names it.
    private func allowedOrigin(_ origin: String) -> String? {
        if origins.contains("*") { return "*" }
        let lower = lowercased(origin)
        let isAllowed = origins.contains { pattern in
            let pattern = lowercased(pattern)
            guard let star = pattern.firstIndex(of: "*") else { return pattern == lower }
            let (head, tail) = (pattern[..<star], pattern[pattern.index(after: star)...])
            return lower.utf8.count >= head.utf8.count + tail.utf8.count && lower.hasPrefix(head)
                && lower.hasSuffix(tail)
        }
        return isAllowed ? origin : nil
    }
}
