import Platform
import Wire

/// Keeps web pages that happen to be open in the user's browser from driving a server that asks for no credentials. A
/// browser sends a page's "simple" requests to any address, loopback too, and only keeps the answer from the page.
///
/// Two rules, both for requests from outside while authentication is off:
/// 1. The `Host` must be a name that cannot be made to point here by somebody else's DNS (rebinding): then the page would
///    even read the answers.
/// 2. A request that may change something must not come from a foreign page: its `Origin`, or else `Sec-Fetch-Site`, says
///    where it comes from. Programs send neither.
///
/// Users' own HTTP (function URLs, APIs) is meant for web pages and answers for itself.
struct WebPages: Sendable {
    let isChecked: Bool
    /// Further names of this server, in lower case; and those, with the hosts of the welcome origins.
    private let domains: Set<String>
    private let hosts: Set<String>
    /// Origins that are welcome: `https://app.example:3000`, in lower case.
    private let origins: Set<String>

    /// `origins` as `isOrigin` takes them; their hosts may also be this server's.
    init(isChecked: Bool, baseDomains: [String] = [], origins: [String] = []) {
        self.isChecked = isChecked
        self.origins = Set(origins.map(lowercasedASCII))
        domains = Set(baseDomains)
        hosts = Set(baseDomains + self.origins.map { WebPages.name(ofOrigin: $0) })
    }

    /// Why the request is refused whatever it asks for; nil when it is not. `host` is what its Host header was understood
    /// to say.
    func refusal(of request: HTTPRequest, host: HostName) -> String? {
        guard isChecked, host.labels.isEmpty, let text = request.host, !isOurs(text) else { return nil }
        return
            "The host name \(WebPages.shown(text)) could be anybody's, and this server runs without authentication. "
            + "Use localhost or the address, or start it with --allow-origin http://NAME."
    }

    /// Whether a page of another site has sent this; nil when it has not, or is welcome.
    func foreignPage(of head: RequestHead) -> String? {
        guard isChecked else { return nil }
        if let origin = head.header("origin") {
            let text = lowercasedASCII(origin)
            return origins.contains(text) || isLocal(text, head.header("host")) ? nil : origin
        }
        return head.header("sec-fetch-site") == "cross-site" ? "another site" : nil
    }

    /// Whether an operation may change something, by its model and not by the request: query protocols take GET for
    /// everything. Reading is harmless, since the browser keeps the answer from the page.
    static func mayChange(_ operation: OperationSchema) -> Bool {
        operation.method != "GET" && operation.method != "HEAD"
    }

    static func refusal(from page: String) -> String {
        "This request comes from a web page of \(shown(page)), and this server runs without authentication, so that any "
            + "page could use it. If the page is yours, start the server with --allow-origin and its origin, e.g. "
            + "--allow-origin http://localhost:3000."
    }

    /// A page that this machine itself serves, or this server.
    private func isLocal(_ origin: String, _ host: String?) -> Bool {
        guard WebPages.isOrigin(origin), origin.hasPrefix("http://") || origin.hasPrefix("https://") else {
            return false
        }
        if let host, origin.hasSuffix("://" + lowercasedASCII(host)) { return true }
        let name = WebPages.name(ofOrigin: origin)
        if name.hasPrefix("127.") { return WebPages.isPlain(name) }
        return name == "localhost" || name == "[::1]" || domains.contains(name)
            || WebPages.loopbackDomains.contains { name.hasSuffix($0) }
    }

    private static let loopbackDomains = [".localhost", ".localhost.localstack.cloud"]

    /// Names that nobody else can make point here: addresses, single labels, and domains that are reserved or AWS's.
    private func isOurs(_ host: String) -> Bool {
        if host.hasPrefix("[") || WebPages.isPlain(host) { return true }
        var name = lowercasedASCII(String(host.prefix { $0 != ":" }))
        if name.hasSuffix(".") { name.removeLast() }
        if WebPages.isPlain(name) || !name.utf8.contains(UInt8(ascii: ".")) { return true }
        return hosts.contains(name) || WebPages.safeDomains.contains { name == $0.dropFirst() || name.hasSuffix($0) }
            || hosts.contains { name.hasSuffix("." + $0) }
    }

    /// What nearly every client sends: told without allocating.
    private static func isPlain(_ host: String) -> Bool {
        host == "localhost" || host.hasPrefix("localhost:")
            || host.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E || $0 == 0x3A }
    }

    /// `.internal` is reserved for private use (ICANN, 2024); the others are `HostName`'s.
    private static let safeDomains = [
        ".localhost", ".localhost.localstack.cloud", ".internal", ".amazonaws.com", ".amazonaws.com.cn", ".api.aws",
    ]

    /// Whether the text is an origin: a scheme, a host and perhaps a port, without a path.
    static func isOrigin(_ text: String) -> Bool {
        guard let mark = text.range(ofScheme: ()) else { return false }
        let (scheme, rest) = (text[..<mark.lowerBound], text[mark.upperBound...])
        let isScheme =
            !scheme.isEmpty
            && scheme.utf8.allSatisfy { byte in
                (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2B || byte == 0x2D
                    || byte == 0x2E
            }
        return isScheme && !rest.isEmpty && rest.utf8.count <= 262
            && rest.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "@") }
    }

    private static func name(ofOrigin origin: String) -> String {
        guard let mark = origin.range(ofScheme: ()) else { return origin }
        let authority = origin[mark.upperBound...]
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") { return String(authority[...end]) }
        return String(authority.prefix { $0 != ":" })
    }

    /// What a client has sent, fit for an error text.
    private static func shown(_ text: String) -> String {
        "'" + String(text.unicodeScalars.filter { (0x20...0x7E).contains($0.value) }.prefix(100).map(Character.init))
            + "'"
    }
}

extension String {
    /// Where `://` is.
    fileprivate func range(ofScheme: Void) -> Range<Index>? {
        var start = startIndex
        while let colon = self[start...].firstIndex(of: ":") {
            if self[colon...].hasPrefix("://") { return colon..<index(colon, offsetBy: 3) }
            start = index(after: colon)
        }
        return nil
    }
}
