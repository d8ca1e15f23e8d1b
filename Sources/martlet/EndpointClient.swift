import ArgumentParser
import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Platform
import Wire

/// The command line's own client: one signed request at a time, each over a connection of its own.
struct EndpointClient {
    struct Answer {
        var status: Int
        var headers: [(name: String, value: String)]
        var body: [UInt8]

        /// The first header of this name, in lower case.
        func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
    }

    /// Which certificates a server may show.
    enum Trust {
        /// Those that the file's certificates vouch for; without a file, the system's.
        case roots(String?)
        case anything
    }

    private enum Limits {
        /// Largest answer, in bytes: ten times that of a function (Lambda quotas).
        static let answerBytes = 64 << 20
        static let connectTimeout = TimeAmount.seconds(5)
    }

    private let endpoint: String
    private let host: String
    private let port: Int
    private let region: String
    private let credentials: ClientCredentials
    private let tls: NIOSSLContext?

    /// `endpoint`: `http://host:port` or `https://host:port`. Throws `ValidationError` for another form, and for
    /// certificates that cannot be read.
    init(endpoint: String, region: String, credentials: ClientCredentials, trust: Trust) throws {
        guard let parts = URLComponents(string: endpoint), parts.scheme == "http" || parts.scheme == "https",
            let host = parts.host, !host.isEmpty, parts.path.isEmpty || parts.path == "/"
        else {
            throw ValidationError("The endpoint was '\(endpoint)'; it takes http://host:port or https://host:port.")
        }
        self.endpoint = endpoint
        // URLComponents keeps the brackets of an IPv6 address; connecting wants it without.
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        port = parts.port ?? (parts.scheme == "https" ? 443 : 80)
        self.region = region
        self.credentials = credentials
        tls = parts.scheme == "https" ? try Self.context(trust) : nil
    }

    private static func context(_ trust: Trust) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        switch trust {
        case .anything: configuration.certificateVerification = .none
        case .roots(nil): break
        case .roots(let path?): configuration.trustRoots = .file(path)
        }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            guard case .roots(let path?) = trust else { throw error }
            throw ValidationError("The certificates in \(path) (--ca-file or AWS_CA_BUNDLE) cannot be read: \(error)")
        }
    }

    private var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (tls == nil ? 80 : 443) ? name : "\(name):\(port)"
    }

    /// Answers of up to 64 MiB. `service` is the name in the credential scope. When nobody
    /// listens, or the certificate is not trusted, says so with a remedy and throws `ExitCode`.
    func post(_ path: String, service: String, headers: [(String, String)], body: [UInt8]) async throws -> Answer {
        try await send(.POST, path, service: service, headers: headers, body: body)
    }

    /// As `post`, for an answer that goes on and on: what comes of it is handed over piece by piece, and the answer that is
    /// given at its end has no body. One that is no success comes whole.
    func stream(
        _ path: String, service: String, headers: [(String, String)], body: [UInt8],
        _ take: @escaping (ByteBuffer) async throws -> Void
    ) async throws -> Answer {
        try await send(.POST, path, service: service, headers: headers, body: body, take)
    }

    /// As `post`, with any method; `query` is encoded, without `?`.
    func send(
        _ method: HTTPMethod, _ path: String, query: String = "", service: String, headers: [(String, String)] = [],
        body: [UInt8] = [], _ take: ((ByteBuffer) async throws -> Void)? = nil
    ) async throws -> Answer {
        var head = HTTPRequestHead(
            version: .http1_1, method: method, uri: query.isEmpty ? path : "\(path)?\(query)")
        var headers = headers.map { (name: $0.0, value: $0.1) } + [(name: "host", value: authority)]
        headers += SigV4.sign(
            RequestHead(method: method.rawValue, path: path, query: query, headers: headers), body: body,
            accessKeyID: credentials.accessKeyID, secret: credentials.secret, sessionToken: credentials.sessionToken,
            region: region, service: service, now: SystemTime().now())
        head.headers = HTTPHeaders(headers.map { ($0.name, $0.value) })
        head.headers.add(name: "content-length", value: String(body.count))
        head.headers.add(name: "connection", value: "close")
        let channel = try await connect()
        do {
            return try await exchange(channel, head, body, take)
        } catch let error as NIOSSLError {
            throw explained(error)
        } catch let error as NIOSSLExtraError {
            throw explained(error)
        } catch let error as BoringSSLError {
            throw explained(error)
        }
    }

    private func connect() async throws -> NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart> {
        let (tls, host) = (tls, host)
        do {
            return try await ClientBootstrap(group: NIOSingletons.posixEventLoopGroup)
                .connectTimeout(Limits.connectTimeout)
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let tls {
                            // An address cannot be sent as the server's name.
                            let name = (try? SocketAddress(ipAddress: host, port: 0)) == nil ? host : nil
                            try channel.pipeline.syncOperations.addHandler(
                                NIOSSLClientHandler(context: tls, serverHostname: name))
                        }
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                    }
                }
        } catch {
            throw Self.failed(
                "Nobody answers at \(endpoint). Start the server with `martlet serve`, or name another with --endpoint."
            )
        }
    }

    private func exchange(
        _ channel: NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>, _ head: HTTPRequestHead,
        _ body: [UInt8], _ take: ((ByteBuffer) async throws -> Void)?
    ) async throws -> Answer {
        try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(.head(head))
            try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: body))))
            try await outbound.write(.end(nil))
            var answer = Answer(status: 0, headers: [], body: [])
            for try await part in inbound {
                switch part {
                case .head(let head):
                    answer.status = Int(head.status.code)
                    answer.headers = head.headers.map { ($0.name, $0.value) }
                case .body(let bytes):
                    if let take, answer.status == 200 {
                        try await take(bytes)
                        continue
                    }
                    guard answer.body.count + bytes.readableBytes <= Limits.answerBytes else {
                        throw Self.failed("The answer is larger than \(Limits.answerBytes >> 20) MiB.")
                    }
                    answer.body += Array(bytes.readableBytesView)
                case .end:
                    return answer
                }
            }
            throw Self.failed("The server at \(endpoint) closed the connection before it answered.")
        }
    }

    /// Says what happened; the error ends the command with 1.
    private static func failed(_ text: String) -> ExitCode {
        Terminal.fail(text)
        return ExitCode(1)
    }

    private func explained(_ error: any Error) -> ExitCode {
        Self.failed(
            "No secure connection to \(endpoint): \(error). Name the certificate that vouches for the server with --ca-file, "
                + "or do without a check with --insecure; a server without a certificate is reached with http://.")
    }

    /// Prints the error that a service answered, and ends the command.
    func fail(_ answer: Answer) throws -> Never {
        let value = try? JSON.parse(answer.body)
        let message =
            value?["message"]?.string ?? value?["Message"]?.string ?? String(decoding: answer.body, as: UTF8.self)
        let code = (value?["__type"]?.string ?? answer.header("x-amzn-errortype")).map {
            String($0.split(separator: "#").last ?? "").split(separator: ":").first.map(String.init) ?? $0
        }
        Terminal.fail([code, message].compactMap(\.self).joined(separator: ": "))
        throw ExitCode(answer.status == 404 || code == "ResourceNotFoundException" ? 3 : 1)
    }
}
