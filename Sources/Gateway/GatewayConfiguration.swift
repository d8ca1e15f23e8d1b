import NIOCore
import Platform

/// Whether signatures are checked.
public enum AuthenticationMode: String, Sendable, CaseIterable {
    /// Any credentials or none; only on loopback.
    case none
    /// Every request must carry a valid Signature Version 4.
    case sigv4
}

/// A certificate chain and its key, PEM files.
public struct GatewayTLS: Sendable {
    public var certificateFile: String
    public var keyFile: String
    /// Nil: the main port takes both, told apart by the first byte of a connection.
    public var port: Int?

    public init(certificateFile: String, keyFile: String, port: Int? = nil) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.port = port
    }
}

/// Where and how the front door listens.
public struct GatewayConfiguration: Sendable {
    public let host: String
    /// 0 takes any free port (tests).
    public let port: Int
    public let authentication: AuthenticationMode
    public let tls: GatewayTLS?
    public let version: String
    /// Names that stand for this server besides AWS's own: `bucket.NAME`, `lambda.us-east-1.NAME`.
    public let baseDomains: [String]
    /// Web pages that may use a server without authentication, by their origins: `http://localhost:3000`.
    public let allowedOrigins: [String]
    public var limits: GatewayLimits

    /// Throws `Failure(.configuration)` for an address that others can reach without authentication, for ports out of
    /// range, and for what is no origin.
    public init(
        host: String = "127.0.0.1", port: Int = 4566, authentication: AuthenticationMode = .none,
        tls: GatewayTLS? = nil, version: String = "0", baseDomains: [String] = [], allowedOrigins: [String] = [],
        limits: GatewayLimits = GatewayLimits()
    ) throws {
        guard (0...65_535).contains(port), (0...65_535).contains(tls?.port ?? 0) else {
            throw Failure(.configuration, "The port must be between 0 and 65535.")
        }
        if authentication == .none, !GatewayConfiguration.isLoopback(host) {
            throw Failure(
                .configuration,
                "Listening on \(host) without authentication would let everyone who reaches this machine run code on "
                    + "it. Use --auth sigv4, or listen on 127.0.0.1.")
        }
        if let wrong = allowedOrigins.first(where: { !WebPages.isOrigin(lowercasedASCII($0)) }) {
            throw Failure(
                .configuration,
                "--allow-origin '\(wrong)' is no origin: it takes a scheme and a host, and a port when the page has "
                    + "one, as in http://localhost:3000.")
        }
        self.allowedOrigins = allowedOrigins
        self.host = host
        self.port = port
        self.authentication = authentication
        self.tls = tls
        self.version = version
        self.baseDomains = baseDomains.map { $0.lowercased() }
        self.limits = limits
    }

    /// Whether only this machine can reach the address. Names other than `localhost` are not trusted to stay there.
    static func isLoopback(_ host: String) -> Bool {
        if host.lowercased() == "localhost" { return true }
        guard let address = try? SocketAddress(ipAddress: host, port: 0) else { return false }
        switch address {
        case .v4: return host.hasPrefix("127.")
        case .v6:
            let text = address.ipAddress ?? ""
            return text == "::1" || text.hasPrefix("::ffff:127.")
        case .unixDomainSocket: return true
        }
    }
}
