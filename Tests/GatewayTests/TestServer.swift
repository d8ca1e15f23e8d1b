import NIOCore
import NIOPosix
import Platform

@testable import Gateway

struct ClosureResponder: HTTPResponder {
    let handle: @Sendable (HTTPExchange) -> Void
    func respond(to exchange: HTTPExchange) { handle(exchange) }
    func refusal(status: Int, reason: String) -> HTTPAnswer {
        HTTPAnswer(status: status, contentType: "text/plain", text: reason)
    }
}

extension HTTPAnswer {
    static func text(_ text: String, status: Int = 200) -> HTTPAnswer {
        HTTPAnswer(status: status, contentType: "text/plain", text: text)
    }
}

/// The HTTP layer alone on a real port, with a closure for an application.
struct TestServer: Sendable {
    let port: Int
    let registry: ConnectionRegistry
    let counters: GatewayCounters
    let listener: ConnectionRegistry.Listener
    let channel: any Channel
    let factory: ListenerFactory

    static func with<T: Sendable>(
        limits: GatewayLimits = GatewayLimits(), connections: Int = 1000,
        transport: ListenerFactory.Transport = .plain,
        respond: @escaping @Sendable (HTTPExchange) -> Void, _ body: @Sendable (TestServer) async throws -> T
    ) async throws -> T {
        let registry = ConnectionRegistry(limit: connections)
        let counters = GatewayCounters(limits: limits)
        let factory = ListenerFactory(
            group: NIOSingletons.posixEventLoopGroup, responder: ClosureResponder(handle: respond), limits: limits,
            counters: counters, registry: registry, time: SystemTime())
        let listener = ConnectionRegistry.Listener(limit: connections, bodies: counters.bodies)
        let channel = try await factory.bootstrap(transport, origin: .outside, listener: listener)
            .bind(host: "127.0.0.1", port: 0).get()
        let server = TestServer(
            port: channel.localAddress?.port ?? 0, registry: registry, counters: counters, listener: listener,
            channel: channel, factory: factory)
        do {
            let result = try await body(server)
            await server.stop()
            return result
        } catch {
            await server.stop()
            throw error
        }
    }

    private func stop() async {
        try? await channel.close()
        for connection in registry.channels() { connection.close(promise: nil) }
    }

    /// Runs blocking client code against this server.
    func client<T: Sendable>(_ body: @escaping @Sendable (RawClient) throws -> T) async throws -> T {
        let port = self.port
        return try await blocking { try body(RawClient(port: port)) }
    }
}
