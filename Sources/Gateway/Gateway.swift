public import Contracts
public import Logging
public import NIOCore
import NIOPosix
public import Platform
import Synchronization
import Wire

/// The front door: one HTTP server for all AWS services and for the cells.
public final class Gateway: Sendable, CellEndpoint {
    private let configuration: GatewayConfiguration
    private let limits: GatewayLimits
    private let group: any EventLoopGroup
    private let registry: ConnectionRegistry
    private let factory: ListenerFactory
    private let listeners = Mutex<[any Channel]>([])
    private let logger: Logger
    /// The numbers behind `/_martlet/metrics`; other rooms add lines.
    public let metrics: GatewayMetrics

    /// `services` in the order in which they share a signing name; `doors` serve `*.lambda-url.*` and the like;
    /// `downloads` are documents that services give links to. Requests with `mark` are the server's own and reach no service.
    public init(
        configuration: GatewayConfiguration, services: [ServiceDefinition], credentials: any CredentialIssuer,
        time: any TimeSource, logger: Logger, group: any EventLoopGroup, doors: [any HTTPDoor] = [],
        metrics: GatewayMetrics = GatewayMetrics(),
        downloads: [DownloadRoute] = [], mark: OutboundMark? = nil
    ) {
        var limits = configuration.limits
        limits.connections = ListenerFactory.connectionsAllowed(limits.connections)
        let registry = ConnectionRegistry(
            limit: limits.connections, cellsLimit: min(limits.connectionsOfCells, limits.connections / 2))
        let counters = GatewayCounters(limits: limits)
        let pipeline = Pipeline(
            table: ServiceTable(services.map { ServiceKey($0.schema, openActions: $0.openOperations) }),
            entries: services.map { ServiceEntry($0, metrics: metrics) },
            doors: doors,
            authenticator: Authenticator(mode: configuration.authentication, credentials: credentials),
            builtIn: BuiltInRoutes(
                version: configuration.version, services: services.map(\.schema.id),
                metrics: { metrics.text(counters: counters, connections: registry.count) },
                isDraining: { registry.isDraining }, downloads: downloads),
            baseDomains: configuration.baseDomains,
            webPages: WebPages(
                isChecked: configuration.authentication == .none, baseDomains: configuration.baseDomains,
                origins: configuration.allowedOrigins),
            mark: mark?.reveal(),
            unresolved: metrics.series(service: "", operation: ""), time: time, logger: logger)
        self.configuration = configuration
        self.limits = limits
        self.group = group
        self.registry = registry
        self.logger = logger
        self.metrics = metrics
        factory = ListenerFactory(
            group: group, responder: pipeline, limits: limits, counters: counters, registry: registry, time: time)
    }

    /// Opens the listeners and answers where; connections wait until `start`. Throws `Failure(.configuration)` when an
    /// address or the certificate cannot be used.
    public func listen() async throws -> [SocketAddress] {
        let listener = ConnectionRegistry.Listener(limit: limits.connections, bodies: factory.counters.bodies)
        var main = ListenerFactory.Transport.plain
        var second: ListenerFactory.Transport?
        if let tls = configuration.tls {
            let context = try ListenerFactory.makeTLS(tls)
            if tls.port == nil { main = .either(context) } else { second = .tls(context) }
        }
        do {
            try await bind(main, port: configuration.port, listener)
            if let second, let port = configuration.tls?.port { try await bind(second, port: port, listener) }
        } catch {
            for channel in listeners.withLock({ $0 }) { try? await channel.close() }
            listeners.withLock { $0 = [] }
            throw error
        }
        return listeners.withLock { $0.compactMap(\.localAddress) }
    }

    /// Accepts connections; listens before, if that has not been done. Answers and throws as `listen`.
    @discardableResult
    public func start() async throws -> [SocketAddress] {
        if listeners.withLock({ $0.isEmpty }) { _ = try await listen() }
        let open = listeners.withLock { $0 }
        for channel in open { try await channel.setOption(.autoRead, value: true).get() }
        return open.compactMap(\.localAddress)
    }

    private func bind(
        _ transport: ListenerFactory.Transport, port: Int, _ listener: ConnectionRegistry.Listener
    ) async throws {
        do {
            let channel = try await factory.bootstrap(transport, origin: .outside, listener: listener)
                .serverChannelOption(.autoRead, value: false)
                .bind(host: configuration.host, port: port).get()
            listeners.withLock { $0.append(channel) }
        } catch {
            throw Failure(
                .configuration,
                "Cannot listen on \(configuration.host):\(port). Is another server running there? Choose another "
                    + "with --port.", cause: error)
        }
    }

    /// Stops accepting, lets requests in flight finish, closes what is idle; closes the rest after `deadline`.
    public func drain(deadline: Duration) async {
        let open = listeners.withLock { open in
            defer { open = [] }
            return open
        }
        for channel in open { try? await channel.close() }
        let loop = group.next()
        let promise = loop.makePromise(of: Void.self)
        registry.drain(promise)
        let registry = self.registry
        let timer = loop.scheduleTask(in: TimeAmount(deadline)) {
            for channel in registry.channels() { channel.close(promise: nil) }
        }
        try? await promise.futureResult.get()
        timer.cancel()
    }

    /// Serves a listener that was made inside a cell. Takes the descriptor over, also when it throws.
    public func adopt(listener descriptor: CInt, for identity: CellIdentity) async throws -> any ClosableEndpoint {
        let share = ConnectionRegistry.Listener(
            limit: limits.connectionsPerCell, isCell: true,
            bodies: BodyBudget(limit: limits.bufferedBodiesPerCell, within: factory.counters.bodiesOfCells))
        let channel = try await factory.bootstrap(.plain, origin: .cell(identity), listener: share)
            .withBoundSocket(descriptor).get()
        return AdoptedListener(channel: channel, share: share, registry: registry)
    }
}

/// A cell's listener; closing it ends its connections too, as the cell is gone.
private final class AdoptedListener: ClosableEndpoint {
    private let channel: any Channel
    private let share: ConnectionRegistry.Listener
    private let registry: ConnectionRegistry

    init(channel: any Channel, share: ConnectionRegistry.Listener, registry: ConnectionRegistry) {
        self.channel = channel
        self.share = share
        self.registry = registry
    }

    func close() {
        channel.close(promise: nil)
        for connection in registry.channels(of: share) { connection.close(promise: nil) }
    }
}
