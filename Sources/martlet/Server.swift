import APIGateway
import Alexa
import CloudWatch
import CloudWatchLogs
import CodeCommit
import Contracts
import DynamoDB
import EventBridge
import EventSources
import Execution
import FoundationEssentials
import Gateway
import IAM
import Invocation
import Kinesis
import Lambda
import Logging
import NIOCore
import NIOPosix
import Outbound
import Platform
import Policies
import S3
import SNS
import SQS
import STS
import Sandbox
import Scheduler
import ServiceLifecycle
import Storage
import Synchronization
import Wire

/// The composition root: the only place that names concrete services.
final class Server: Service {
    let addresses: [String]
    let runtimeNames: [String]
    let warnings: [String]

    private let rooms: Rooms
    private let logger: Logger

    /// What the end of the server must know.
    private struct Rooms: Sendable {
        let database: SQLiteDatabase
        let gateway: Gateway
        let engine: InvocationEngine
        let outbox: OutboxDispatcher
        let eventSources: EventSources
        let logs: CloudWatchLogsService
        let cloudWatch: CloudWatchService
        let meter: LambdaMeter
        let outbound: OutboundClient
        let machine: Machine
        /// Ends what keeps clients waiting, and upkeep.
        let stopFirst: [@Sendable () -> Void]
        /// Ends what still sends while the front door drains.
        let stopLast: [@Sendable () -> Void]
    }

    private init(addresses: [String], warnings: [String], rooms: Rooms, logger: Logger) {
        self.addresses = addresses
        runtimeNames = rooms.machine.runtimeNames
        self.warnings = warnings
        self.rooms = rooms
        self.logger = logger
    }

    /// Opens the store, builds every room, and listens. Throws `Failure` with a remedy.
    static func start(_ settings: Settings, logger: Logger) async throws -> Server {
        let gatewayConfiguration = try GatewayConfiguration(
            host: settings.host, port: settings.port, authentication: settings.isAuthenticationOn ? .sigv4 : .none,
            tls: try settings.tls(), version: Version.current, allowedOrigins: settings.allowedOrigins)

        let directory = try DataDirectory(settings.dataDirectory)
        do {
            return try await start(settings, in: directory, gatewayConfiguration, logger: logger)
        } catch let failure as Failure where failure.code == .diskFull {
            throw Failure(
                .diskFull,
                "The disk of the data directory \(settings.dataDirectory) is full or refuses writes: make room, or choose "
                    + "another with --data-dir. (\(failure.message))", cause: failure)
        }
    }

    private static func start(
        _ settings: Settings, in directory: DataDirectory, _ gatewayConfiguration: GatewayConfiguration, logger: Logger
    ) async throws -> Server {
        let time = SystemTime()
        let database = try SQLiteDatabase.open(
            directory: directory.path("store"), durability: settings.durability,
            migrations: [
                DueQueue.migrations,
                Blobs.migrations,
                LambdaService.migrations,
                S3Service.migrations,
                S3ControlService.migrations,
                CloudWatchLogsService.migrations,
                IAMService.migrations,
                SNSService.migrations,
                SQSService.migrations,
                DynamoDBService.migrations,
                KinesisService.migrations,
                EventSources.migrations,
                APIGatewayService.migrations,
                APIGatewayService.restMigrations,
                EventBridgeService.migrations,
                SchedulerService.migrations,
                AlexaService.migrations,
                CloudWatchService.migrations,
                CodeCommitService.migrations,
            ], logger: logger)
        let blobs = try Blobs(
            directory: directory.path("blobs"), database: database, durability: settings.durability, logger: logger)

        // Services, and what this machine can run: much of a start is spent here, so on two processors.
        async let runnable = Machine(settings, logger: logger)
        let outbox = OutboxDispatcher(
            database: database, time: time, timeScale: settings.timeScale, logger: logger)
        let key = try directory.serverKey()
        let iam = try IAMService(database: database, isAuthenticationOn: settings.isAuthenticationOn)
        async let objects = S3Service(
            database: database, blobs: blobs, outbox: outbox, authorizer: iam, time: time, logger: logger)
        async let queues = SQSService(
            database: database, time: time, serverKey: key, authorizer: iam, logger: logger)
        async let streams = KinesisService(
            database: database, time: time, serverKey: key, authorizer: iam,
            limitsThroughput: settings.limitsKinesisThroughput, logger: logger)
        let cloudWatch = try CloudWatchService(
            database: database, outbox: outbox, authorizer: iam, time: time, timeScale: settings.timeScale,
            logger: logger)
        let logs = try CloudWatchLogsService(
            database: database, outbox: outbox, authorizer: iam, metrics: cloudWatch, time: time, logger: logger)
        let sts = try STSService(
            serverKey: key, root: settings.isAuthenticationOn ? try directory.rootCredentials() : nil,
            roles: RoleGate(authorizer: iam, database: database))
        let lambda = try LambdaService(
            database: database, blobs: blobs, codeDirectory: directory.path("code"), time: time, logger: logger)

        let mark = OutboundMark()
        let outbound = OutboundClient(group: NIOSingletons.posixEventLoopGroup, mark: mark)
        let sns = try SNSService(
            database: database, outbox: outbox, http: outbound, authorizer: iam, time: time,
            timeScale: settings.timeScale, functionsMaySubscribeHTTP: settings.functionsReachTheNetwork, logger: logger)

        async let tables = DynamoDBService(
            database: database, time: time, serverKey: key, authorizer: iam, logger: logger)
        async let gateways = APIGatewayService(
            database: database, functions: lambda, http: outbound, logs: logs, authorizer: iam, time: time,
            functionsReachTheNetwork: settings.functionsReachTheNetwork, functionEndpoint: settings.functionEndpoint,
            logger: logger)
        let events = try EventBridgeService(
            database: database, outbox: outbox, authorizer: iam, time: time, logger: logger)
        let s3Control = try S3ControlService(database: database, authorizer: iam)
        let scheduler = try SchedulerService(
            database: database, outbox: outbox, authorizer: iam, time: time, logger: logger)
        let alexa = AlexaService(
            database: database, functions: lambda, http: outbound, credentials: sts,
            isAuthenticationOn: settings.isAuthenticationOn, serverKey: key, time: time, logger: logger)
        let codeCommit = try CodeCommitService(
            database: database, directory: directory.path("git"), outbox: outbox, authorizer: iam, credentials: sts,
            passwords: iam, isAuthenticationOn: settings.isAuthenticationOn,
            usesNamespaces: settings.isolation == .namespaces, time: time, logger: logger)
        let (s3, sqs, kinesis, dynamoDB, apis) = try await (objects, queues, streams, tables, gateways)

        // Front door
        let identities = IdentityGuard(authorizer: iam, database: database)
        let gateway = Gateway(
            configuration: gatewayConfiguration,
            services: [
                identities.guarding(
                    lambda.definition, needs: LambdaService.permissions, more: LambdaService.conditions),
                identities.guarding(
                    logs.definition, needs: CloudWatchLogsService.permissions, more: CloudWatchLogsService.conditions),
                identities.guarding(
                    iam.definition, code: "AccessDenied", needs: IAMService.permissions, resolve: IAMService.complete,
                    more: IAMService.conditions),
                sts.definition,
                sns.definition,
                sqs.definition,
                kinesis.definition,
                dynamoDB.definition,
                dynamoDB.streamsDefinition,
                apis.definition,
                apis.restDefinition,
                events.definition,
                scheduler.definition,
                cloudWatch.definition,
                codeCommit.definition,
                s3.definition,
                s3Control.definition,
            ],
            credentials: sts, time: time, logger: logger, group: NIOSingletons.posixEventLoopGroup,
            doors: [lambda.urlDoor, apis, codeCommit.gitDoor, alexa],
            downloads: [
                DownloadRoute(prefix: "/_martlet/code/", contentType: "application/zip") { token in
                    guard let hold = lambda.codeDownload(token: token) else { return nil }
                    guard let size = DataDirectory.size(of: hold.path) else {
                        hold.release()
                        return nil
                    }
                    let part = FilePart(path: hold.path, offset: 0, length: size)
                    return .file(FileDownload(part: part, release: hold.release))
                },
                DownloadRoute(prefix: SNSService.certificatePath, contentType: "application/x-pem-file") { name in
                    sns.certificate(named: name).map { .bytes($0) }
                },
            ], mark: mark)

        // Engine
        let machine = try await runnable
        let factory = EnvironmentFactory(
            launcher: machine.launcher, runtimes: machine.runtimes, endpoint: gateway, credentials: sts, logs: logs,
            time: time, group: NIOSingletons.posixEventLoopGroup,
            settings: EnvironmentSettings(
                isolation: settings.isolation, egress: settings.egress, freezes: settings.freezesIdleEnvironments),
            logger: logger)
        let meter = LambdaMeter(sink: cloudWatch, time: time)
        outbox.register(meter: meter)
        let queue = AsynchronousQueue(
            database: database, time: time, timeScale: settings.timeScale,
            processors: ProcessInfo.processInfo.activeProcessorCount, outbox: outbox, meter: meter, logger: logger)
        let engine = InvocationEngine(
            factory: factory, queue: queue, time: time, capacity: machine.environmentCapacity, meter: meter,
            logger: logger)
        lambda.connect(invoker: engine, objects: s3, outbox: outbox, authorizer: iam)
        s3.connect(
            functions: lambda, authorizer: iam, credentials: sts, calls: events,
            functionEndpoint: settings.functionEndpoint)
        outbox.register(lambda)
        outbox.register(sns)
        outbox.register(sqs)
        outbox.register(kinesis)
        outbox.register(events)
        outbox.register(logs)
        outbox.register(objects: s3)
        let eventSources = EventSources(
            database: database, mappings: lambda, queues: sqs, streams: [kinesis, dynamoDB], outbox: outbox,
            directory: lambda, invoker: engine, time: time, timeScale: settings.timeScale,
            machineConcurrency: machine.environmentCapacity, logger: logger)
        eventSources.register(metrics: cloudWatch)
        lambda.connectEventSources(runner: eventSources, queues: sqs, streams: [kinesis, dynamoDB])
        gateway.metrics.addLines {
            engine.metricLines + queue.metricLines + outbox.metricLines + logs.metricLines + eventSources.metricLines
                + sns.metricLines + sqs.metricLines + cloudWatch.metricLines
        }
        gateway.metrics.addLines { events.metricLines }

        // A port that is taken ends the start before anything runs. What an earlier run left unfinished goes on before the
        // first request comes in.
        let addresses = try await gateway.listen()
        try await blobs.recover()
        try await lambda.start()
        // Together: what they write is one commit.
        let starts: [@Sendable () async throws -> Void] = [
            { try await queue.start(invoker: engine, directory: lambda) },
            sqs.start,
            outbox.start,
            sns.start,
            events.start,
            scheduler.start,
            cloudWatch.start,
            eventSources.start,
            codeCommit.start,
        ]
        try await withThrowingTaskGroup { group in
            for start in starts { group.addTask(operation: start) }
            dynamoDB.start()
            kinesis.start()
            s3.start()
            logs.start()
            try await group.waitForAll()
        }
        sweepDaily(blobs, time: time, logger: logger)
        try await gateway.start()
        return Server(
            addresses: addresses.map(Self.text), warnings: settings.warnings + machine.warnings,
            rooms: Rooms(
                database: database, gateway: gateway, engine: engine, outbox: outbox, eventSources: eventSources,
                logs: logs, cloudWatch: cloudWatch, meter: meter, outbound: outbound, machine: machine,
                stopFirst: [sqs.stop, kinesis.stop, dynamoDB.stop, s3.stop, logs.stopTails, cloudWatch.stop],
                stopLast: [scheduler.stop, events.stop, outbox.stop, sns.stop]),
            logger: logger)
    }

    /// Removes blobs that nothing refers to: what a crash left between a blob's write and its commit. Soon after the start,
    /// then once a day; the first waits until nobody is in a hurry.
    private static func sweepDaily(
        _ blobs: Blobs, time: any TimeSource, logger: Logger, after wait: Duration = .seconds(60)
    ) {
        _ = time.schedule(at: time.now() + wait) {
            Task {
                do {
                    let removed = try await blobs.sweep(now: time.now())
                    if removed > 0 { logger.info("unreferenced blobs removed", metadata: ["count": "\(removed)"]) }
                } catch {
                    logger.warning("cannot look for unreferenced blobs", metadata: ["error": "\(error)"])
                }
                sweepDaily(blobs, time: time, logger: logger, after: .seconds(86_400))
            }
        }
    }

    private static func text(_ address: SocketAddress) -> String {
        guard let host = address.ipAddress, let port = address.port else { return "\(address)" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Serves until SIGTERM or SIGINT, then lets what runs finish within a deadline.
    func run() async throws {
        try? await gracefulShutdown()
        logger.notice("shutting down")
        // A function may run for fifteen minutes; what it was doing is kept and comes again, so nobody waits that long.
        await withDeadline(.seconds(8)) { [rooms] in
            for stop in rooms.stopFirst { stop() }
            async let sources: Void = rooms.eventSources.stop(grace: .seconds(4))
            await rooms.gateway.drain(deadline: .seconds(5))
            for stop in rooms.stopLast { stop() }
            await sources
            await rooms.engine.shutdown()
            await rooms.logs.stop()
            await rooms.outbound.shutdown()
        }
        // What functions said last, also when they were too slow for the deadline.
        await withDeadline(.seconds(2)) { [rooms] in
            await rooms.logs.flush()
            rooms.meter.flush()
            await rooms.cloudWatch.flush()
        }
        rooms.machine.launcher.close()
        rooms.machine.groups?.removeParents()
        rooms.database.close()
    }

    /// Returns when `body` is done or the deadline has passed, whichever is first; a body that is late is left to itself.
    private func withDeadline(_ deadline: Duration, _ body: @escaping @Sendable () async -> Void) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let race = Race(continuation)
            Task {
                await body()
                race.finish()
            }
            Task {
                try? await Task.sleep(for: deadline)
                race.finish()
            }
        }
    }
}

/// Resumes a continuation once, for the first of several that finish.
private final class Race: Sendable {
    private let waiting: Mutex<CheckedContinuation<Void, Never>?>

    init(_ continuation: CheckedContinuation<Void, Never>) { waiting = Mutex(continuation) }

    func finish() {
        let continuation = waiting.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        continuation?.resume()
    }
}

extension Settings {
    func tls() throws -> GatewayTLS? {
        switch (certificateFile, privateKeyFile) {
        case (nil, nil): return nil
        case (let certificate?, let key?): return GatewayTLS(certificateFile: certificate, keyFile: key)
        default: throw Failure(.configuration, "--tls-certificate and --tls-key go together: give both or neither.")
        }
    }

    /// Whether functions could make requests of their own to whatever this machine reaches. Without namespaces nothing
    /// holds them.
    var functionsReachTheNetwork: Bool { egress == .host || isolation == .none }

    /// How functions reach this server: inside a cell by the endpoint of its own, else as everybody.
    var functionEndpoint: String {
        functionsReachTheNetwork ? "http://127.0.0.1:\(port)" : "http://127.0.0.1:4566"
    }

    var warnings: [String] {
        var warnings: [String] = []
        if isolation == .none {
            warnings.append(
                "--isolation none: functions run as plain processes and can read and change what this user can.")
        }
        if egress == .host {
            warnings.append("--egress host: functions reach this machine's network, and every service on its loopback.")
        }
        if durability == .relaxed {
            warnings.append("--durability relaxed: a power cut can lose what was acknowledged in the last moments.")
        }
        if timeScale != 1 { warnings.append("--time-scale \(timeScale): waits between retries are divided by it.") }
        return warnings
    }
}
