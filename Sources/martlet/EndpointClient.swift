import ArgumentParser
import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix
import Platform

/// The command line's own client: one request at a time to a Martlet that listens without TLS.
struct EndpointClient {
    struct Answer {
        var status: Int
        var headers: [(name: String, value: String)]
        var body: [UInt8]

        /// The first header of this name, in lower case.
        func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
    }

    private let host: String
    private let port: Int

    /// `endpoint`: `http://host:port`. Throws `ValidationError` for another form.
    init(endpoint: String) throws {
        guard let parts = URLComponents(string: endpoint), parts.scheme == "http", let host = parts.host else {
            throw ValidationError("--endpoint was '\(endpoint)'; it takes http://host:port.")
        }
        self.host = host
        self.port = parts.port ?? 80
    }

    /// Answers of up to 64 MiB. Throws `ValidationError` with a remedy when nobody listens.
    func post(_ path: String, headers: [(String, String)], body: [UInt8]) async throws -> Answer {
        let channel: NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>
        do {
            channel = try await ClientBootstrap(group: NIOSingletons.posixEventLoopGroup)
                .connectTimeout(.seconds(5))
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                    }
                }
        } catch {
            throw ValidationError(
                "Nobody answers at http://\(host):\(port). Start the server with `martlet serve`, or name another with --endpoint."
            )
        }
        return try await channel.executeThenClose { inbound, outbound in
            var head = HTTPRequestHead(version: .http1_1, method: .POST, uri: path)
            head.headers = HTTPHeaders(headers)
            head.headers.add(name: "host", value: "\(host):\(port)")
            head.headers.add(name: "content-length", value: String(body.count))
            head.headers.add(name: "connection", value: "close")
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
                    guard answer.body.count + bytes.readableBytes <= 64 << 20 else {
                        throw Failure(.limit, "The answer is larger than 64 MiB.")
                    }
                    answer.body += Array(bytes.readableBytesView)
                case .end:
                    return answer
                }
            }
            throw Failure(.unavailable, "The server closed the connection before it answered.")
        }
    }
}

/// The options of commands that talk to a running server.
struct EndpointOptions: ParsableArguments {
    @Option(help: "The server's address. [AWS_ENDPOINT_URL, or http://127.0.0.1:4566]")
    var endpoint: String?
    @Option(help: "The Region. [AWS_REGION, AWS_DEFAULT_REGION, or us-east-1]")
    var region: String?
    @Option(help: "The 12-digit account. [000000000000]")
    var account: String = AccountRegion.defaultAccount

    private var environment: [String: String] { ProcessInfo.processInfo.environment }

    func client() throws -> EndpointClient {
        try EndpointClient(endpoint: endpoint ?? environment["AWS_ENDPOINT_URL"] ?? "http://127.0.0.1:4566")
    }

    /// A credential scope without a signature that counts: the server must run with --auth none.
    func authorization(_ service: String) -> (String, String) {
        let region =
            region ?? environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? AccountRegion.defaultRegion
        let now = SystemTime().now().iso8601Basic
        return (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=\(account)/\(now.prefix(8))/\(region)/\(service)/aws4_request, "
                + "SignedHeaders=host, Signature=\(String(repeating: "0", count: 64))"
        )
    }

    /// Prints the error that a service answered, and ends the command.
    func fail(_ answer: EndpointClient.Answer) throws -> Never {
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
