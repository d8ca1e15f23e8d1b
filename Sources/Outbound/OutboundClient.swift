import AsyncHTTPClient
public import Contracts
public import NIOCore
import NIOHTTP1
import NIOPosix
import Platform
import Synchronization

/// Shared by who reads a body and who watches over it.
private final class SharedWatch: Sendable {
    let state: Mutex<StreamWatch<ContinuousClock.Instant>>
    init(_ watch: StreamWatch<ContinuousClock.Instant>) { state = Mutex(watch) }
}

/// HTTP requests to the world outside. Nothing is made before the first one: no thread, no connection, no memory. Redirects are not
/// followed, certificates are checked, and nothing is decompressed. Each carries the server's mark.
public final class OutboundClient: OutboundHTTP {
    private enum State {
        case unused
        case open(HTTPClient)
        case closed
    }

    private let state = Mutex(State.unused)
    private let group: any EventLoopGroup
    private let mark: OutboundMark

    /// `mark` is what the front door knows the requests by.
    public init(group: any EventLoopGroup, mark: OutboundMark) {
        self.group = group
        self.mark = mark
    }

    public func send(_ request: OutboundRequest, bodyLimit: Int) async throws -> OutboundResponse {
        let (client, outgoing) = (try client(), try outgoing(request))
        do {
            return try await withDeadline(request.timeout) {
                let answer = try await client.execute(outgoing, timeout: TimeAmount(request.timeout))
                var response = OutboundResponse(
                    status: Int(answer.status.code), headers: answer.headers.map { ($0.name, $0.value) }, body: [])
                if request.wantsBody {
                    response.body = Array(try await answer.body.collect(upTo: bodyLimit).readableBytesView)
                } else {
                    // Too long, too slow, broken off: nobody wanted it.
                    try? await self.withDeadline(Limits.unwantedTime) {
                        _ = try await answer.body.collect(upTo: Limits.unwantedBytes)
                    }
                }
                return response
            }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(.unavailable, "No answer from \(Self.shown(request.url)): \(error)", cause: error)
        }
    }

    private func outgoing(_ request: OutboundRequest) throws -> HTTPClientRequest {
        var outgoing = HTTPClientRequest(url: request.url)
        outgoing.method = HTTPMethod(rawValue: request.method)
        for header in request.headers {
            guard Self.isField(header.name, header.value) else {
                throw Failure(.configuration, "A header of the request to \(Self.shown(request.url)) cannot be sent.")
            }
            outgoing.headers.add(name: header.name, value: header.value)
        }
        outgoing.headers.replaceOrAdd(name: OutboundMark.header, value: mark.reveal())
        if !request.body.isEmpty { outgoing.body = .bytes(ByteBuffer(bytes: request.body)) }
        return outgoing
    }

    public func open(_ request: OutboundRequest, longest: Duration, idle: Duration) async throws -> OutboundStream {
        let (client, outgoing, shown) = (try client(), try outgoing(request), Self.shown(request.url))
        do {
            // The client's own timeout ends when the head is there.
            let answer = try await client.execute(outgoing, timeout: TimeAmount(request.timeout))
            return OutboundStream(
                status: Int(answer.status.code), headers: answer.headers.map { ($0.name, $0.value) }
            ) { [body = answer.body] each in
                try await Self.read(body, from: shown, longest: longest, idle: idle, each)
            }
        } catch {
            throw Failure(.unavailable, "No answer from \(shown): \(error)", cause: error)
        }
    }

    /// Reads beside a watch, which costs a stream two tasks and a piece none.
    private static func read(
        _ body: HTTPClientResponse.Body, from url: String, longest: Duration, idle: Duration,
        _ each: @escaping OutboundStream.Each
    ) async throws {
        let watch = SharedWatch(StreamWatch(now: .now, longest: longest, idle: idle))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var pieces = body.makeAsyncIterator()
                while true {
                    watch.state.withLock { $0.asked(now: .now) }
                    let next: ByteBuffer?
                    do { next = try await pieces.next() } catch {
                        throw Failure(.unavailable, "The answer from \(url) broke off: \(error)", cause: error)
                    }
                    watch.state.withLock { $0.came() }
                    guard let next else { return }
                    try await each(next)
                }
            }
            group.addTask {
                while let next = watch.state.withLock({ $0.check(now: .now) }) {
                    try await Task.sleep(until: next, clock: .continuous)
                }
                throw Failure(.unavailable, "The answer from \(url) did not come to its end in time.")
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Closes what is open; requests under way fail, later ones too.
    public func shutdown() async {
        let client = state.withLock { state -> HTTPClient? in
            defer { state = .closed }
            if case .open(let client) = state { return client }
            return nil
        }
        try? await client?.shutdown()
    }

    private func client() throws -> HTTPClient {
        try state.withLock { state in
            switch state {
            case .open(let client): return client
            case .closed: throw Failure(.unavailable, "The server is shutting down.")
            case .unused:
                // Made by one thread first, like the front door's (Gateway's ListenerFactory).
                _ = ByteToMessageHandler(HTTPResponseDecoder())
                var configuration = HTTPClient.Configuration(
                    redirectConfiguration: .disallow,
                    timeout: .init(connect: TimeAmount(Limits.connectTimeout)), decompression: .disabled)
                configuration.connectionPool.idleTimeout = TimeAmount(Limits.idleTimeout)
                configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = Limits.connectionsPerHost
                // What is retried is its sender's decision: it knows whether a repeat does harm.
                configuration.connectionPool.retryConnectionEstablishment = false
                let client = HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
                state = .open(client)
                return client
            }
        }
    }

    /// The timeout holds for the body too, however slowly it drips.
    private func withDeadline<T: Sendable>(
        _ timeout: Duration, _ body: @escaping @Sendable () async throws -> T
    ) async throws -> T {
        try await withThrowingTaskGroup(of: T.self) { group in
            group.addTask(operation: body)
            group.addTask {
                try await Task.sleep(for: timeout)
                throw Failure(.unavailable, "No whole answer within \(timeout).")
            }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { throw CancellationError() }
            return first
        }
    }

    /// No line breaks and nothing else that would end a header before its time.
    private static func isField(_ name: String, _ value: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ":") }
            && value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }

    /// A URL without user, password and query, for messages.
    private static func shown(_ url: String) -> String {
        let plain = url.prefix { $0 != "?" && $0 != "#" }
        guard let scheme = plain.firstRange(of: "://"), let at = plain[scheme.upperBound...].lastIndex(of: "@") else {
            return String(plain)
        }
        return plain[..<scheme.upperBound] + String(plain[plain.index(after: at)...])
    }
}
