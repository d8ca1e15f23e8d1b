import Contracts
import Glibc
import Logging
import NIOCore
import NIOPosix
import Platform
import Testing
import Wire

@testable import Gateway

struct NoCredentials: CredentialIssuer {
    func issue(
        roleARN: String, sessionName: String, account: String, tags: [SessionTag], lifetime: Duration, now: Instant
    ) -> SessionCredentials {
        SessionCredentials(
            accessKeyID: "ASIA", secretAccessKey: Secret(""), sessionToken: Secret(""), expiration: now + lifetime)
    }

    func lookup(accessKeyID: String, sessionToken: String?, now: Instant) -> KnownCredentials? { nil }
}

@Suite struct ConfigurationTests {
    @Test func refusesOtherAddressesWithoutAuthentication() throws {
        for host in ["0.0.0.0", "::", "192.168.1.4", "example.com", "127.0.0.1.example.com"] {
            #expect {
                try GatewayConfiguration(host: host)
            } throws: { ($0 as? Failure)?.code == .configuration }
            _ = try GatewayConfiguration(host: host, authentication: .sigv4)
        }
        for host in ["127.0.0.1", "127.8.0.1", "::1", "localhost"] { _ = try GatewayConfiguration(host: host) }
    }
}

@Suite struct GatewayTests {
    static func gateway(limits: GatewayLimits = GatewayLimits(), services: [ServiceDefinition] = []) throws -> Gateway {
        Gateway(
            configuration: try GatewayConfiguration(port: 0, version: "1.2", limits: limits), services: services,
            credentials: NoCredentials(), time: SystemTime(), logger: Logger(label: "test"),
            group: NIOSingletons.posixEventLoopGroup)
    }

    @Test func servesHealthAndMetrics() async throws {
        let gateway = try GatewayTests.gateway()
        gateway.metrics.addLines { "martlet_environments 3" }
        let port = try await gateway.start().first?.port ?? 0
        try await blocking {
            let client = try RawClient(port: port)
            #expect(try client.get("/_martlet/health").text == #"{"status":"running","version":"1.2","services":[]}"#)
            #expect(
                try client.get("/_localstack/health").text == #"{"services":{},"edition":"martlet","version":"1.2"}"#)
            #expect(try client.get("/_martlet/nothing").status == 404)
            let metrics = try client.get("/_martlet/metrics").text
            #expect(metrics.contains("\nmartlet_connections 1\n"))
            #expect(metrics.hasSuffix("martlet_environments 3\n"))
            try client.send("POST /_martlet/health HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            #expect(try client.answer().header("allow") == "GET, HEAD")
            // No service at all: an error that says so, with an id.
            let unknown = try client.get("/bucket")
            #expect(unknown.status == 501)
            #expect(unknown.header("x-amzn-requestid")?.utf8.count == 36)
            try client.send("GET / HTTP/1.1\r\nHost: abc.lambda-url.us-east-1.localhost\r\n\r\n")
            #expect(try client.answer().status == 404)
        }
        await gateway.drain(deadline: .seconds(5))
    }

    @Test func drainingClosesIdleConnectionsAndTheListener() async throws {
        let gateway = try GatewayTests.gateway()
        let port = try await gateway.start().first?.port ?? 0
        let idle = try await blocking {
            let client = try RawClient(port: port)
            _ = try client.get("/_martlet/health")
            return NIOLoopBoundFree(client)
        }
        await gateway.drain(deadline: .seconds(5))
        try await blocking {
            let rest = try idle.value.readToEnd()
            #expect(rest.isEmpty)
            #expect(throws: RawClient.Broken.self) { try RawClient(port: port) }
        }
    }

    @Test func aPortInUseIsExplained() async throws {
        let first = try GatewayTests.gateway()
        let port = try await first.start().first?.port ?? 0
        let second = Gateway(
            configuration: try GatewayConfiguration(port: port), services: [], credentials: NoCredentials(),
            time: SystemTime(), logger: Logger(label: "test"), group: NIOSingletons.posixEventLoopGroup)
        await #expect {
            _ = try await second.start()
        } throws: { ($0 as? Failure)?.message.contains("Choose another with --port") == true }
        await first.drain(deadline: .seconds(1))
    }

    @Test func servesAdoptedListeners() async throws {
        let gateway = try GatewayTests.gateway()
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(descriptor, $0, size)
                _ = getsockname(descriptor, $0, &size)
            }
        }
        listen(descriptor, 16)
        let port = Int(UInt16(bigEndian: address.sin_port))
        let endpoint = try await gateway.adopt(
            listener: descriptor,
            for: CellIdentity(
                scope: AccountRegion(account: "123456789012", region: "us-east-1"),
                principal: .roleSession(
                    roleARN: "arn:aws:iam::123456789012:role/r", sessionName: "f", account: "123456789012")))
        let client = try await blocking {
            let client = try RawClient(port: port)
            #expect(try client.get("/_martlet/health").status == 200)
            return NIOLoopBoundFree(client)
        }
        endpoint.close()
        try await blocking {
            let rest = try client.value.readToEnd()
            // That nobody listens any more cannot be asked: another test may have been given the port by now.
            #expect(rest.isEmpty)
        }
    }
}

@Suite struct DrainTests {
    @Test func requestsInFlightFinishAndTheRestIsCut() async throws {
        let held = Shared<[HTTPExchange]>([])
        try await TestServer.with { exchange in
            held.change { $0.append(exchange) }
        } _: { server in
            async let finished = server.client { client in
                try client.send("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
                let answer = try client.answer()
                return (answer.header("connection"), try client.readToEnd().count)
            }
            let isHeld = try await eventually { held.value.count == 1 }
            #expect(isHeld)
            let promise = server.channel.eventLoop.makePromise(of: Void.self)
            server.registry.drain(promise)
            held.value[0].respond(.text("done"))
            let (connection, rest) = try await finished
            #expect(connection == "close")
            #expect(rest == 0)
            try await promise.futureResult.get()
            // A connection that was accepted just before the listener closed is closed at once.
            let late = try await server.client { try $0.readToEnd() }
            #expect(late.isEmpty)
        }
    }
}
