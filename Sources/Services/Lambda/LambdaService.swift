public import Contracts
public import Logging
public import Platform
import Policies
public import Storage
import Synchronization
import Wire

/// Lambda's control plane and the front of its data plane: functions, versions, aliases, layers, permissions, and Invoke
/// up to the engine.
public final class LambdaService: Sendable {
    /// The rooms that know us too, and so come after construction.
    struct Connections: Sendable {
        var invoker: any FunctionInvoker
        var objects: any ObjectReader
        /// Checks that targets exist which configurations name; without it they are not checked.
        var outbox: (any DeliveryOutbox)?
        /// Without it, whoever is of the function's account may invoke it.
        var authorizer: (any Authorizer)?
    }

    let database: any Database
    let blobs: Blobs
    let time: any TimeSource
    let logger: Logger
    let codeStore: CodeStore
    let cache = FunctionCache()
    let tokens = DownloadTokens()
    /// Functions' resource policies, which every delivery asks.
    let policies = PolicyCache()
    let urls = URLCache()
    /// A number in 0..<1 for each choice between an alias's two versions.
    let draw: @Sendable () -> Double
    private let schema: ServiceSchema
    private let links = Mutex<Connections?>(nil)
    let eventSources = Mutex<EventSourceLinks?>(nil)
    /// Directories that some version stopped using, and when.
    private let retired = Mutex<[String: Instant]>([:])

    /// `codeDirectory` holds unpacked code, mounted into cells: every component above it must be passable for all users.
    /// Throws `Failure` when it cannot be made.
    public init(
        database: any Database, blobs: Blobs, codeDirectory: String, time: any TimeSource, logger: Logger,
        draw: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) throws {
        self.database = database
        self.blobs = blobs
        self.time = time
        self.logger = logger
        self.draw = draw
        codeStore = try CodeStore(directory: codeDirectory, logger: logger)
        schema = try ServiceSchema(text: LambdaSchema.text)
    }

    public static var migrations: Migrations { LambdaMigrations.all }

    /// What serves the hosts of function URLs.
    public var urlDoor: FunctionURLDoor { FunctionURLDoor(service: self) }

    /// Introduces the engine, the store of objects, the way to targets, and who knows permissions; before the first request.
    public func connect(
        invoker: any FunctionInvoker, objects: any ObjectReader, outbox: (any DeliveryOutbox)? = nil,
        authorizer: (any Authorizer)? = nil
    ) {
        links.withLock {
            $0 = Connections(invoker: invoker, objects: objects, outbox: outbox, authorizer: authorizer)
        }
    }

    /// Throws `Failure(.unavailable)` before `connect`.
    func connections() throws -> Connections {
        guard let connections = links.withLock({ $0 }) else {
            throw Failure(.unavailable, "Lambda is not connected to the engine yet")
        }
        return connections
    }

    /// Finishes what a stop interrupted, tells the engine of reservations, and removes code that nobody uses. Call once,
    /// after `connect` and before the first request: no environment may run yet.
    public func start() async throws {
        let invoker = try connections().invoker
        for record in try await database.read({ try FunctionTable.allReservations(in: $0) }) {
            invoker.setReservedConcurrency(scope: record.scope, function: record.name, record.reservedConcurrency)
        }
        while true {
            let unfinished = try await database.read {
                try VersionTable.settling(limit: Limits.recoveryBatch, in: $0)
            }
            if unfinished.isEmpty { break }
            for record in unfinished { try await settleNow(record.scope, record.name) }
        }
        let mark = codeStore.sweepMark()
        let used = try await database.read { try VersionTable.directories(in: $0) }
        try await codeStore.sweep(codeStore.directories().subtracting(used), mark: mark)
    }

    /// The file behind a download URL that GetFunction or GetLayerVersion answered (`<endpoint>/_martlet/code/TOKEN`);
    /// nil when the token is forged, malformed or older than ten minutes. `release` the hold when it is sent.
    public func codeDownload(token: String) -> BlobHold? {
        tokens.blob(of: token, now: time.now()).map { blobs.hold($0) }
    }

    func downloadURL(_ blob: BlobID, _ context: OperationContext) -> String {
        "\(context.endpoint)/_martlet/code/\(tokens.token(for: blob, now: context.now))"
    }
}

// MARK: Mutations

extension LambdaService {
    /// Changes a function in one transaction. What was cached of it is forgotten, and the engine told which generations
    /// live, before this returns.
    func mutate<T: Sendable>(
        _ scope: AccountRegion, _ name: String, _ body: @escaping @Sendable (any WriteTransaction) throws -> T
    ) async throws -> T {
        let (cache, urls) = (cache, urls)
        let invoker = try connections().invoker
        let result = try await database.write { transaction in
            let result = try body(transaction)
            let generations = try VersionTable.generations(scope, name, in: transaction)
            // In the order of the commits, so that the engine never takes an older state for the current one.
            transaction.afterCommit {
                cache.invalidate(scope, name)
                // A function or alias may be gone, and its URL with it.
                urls.forgetAll()
                invoker.generationsChanged(scope: scope, function: name, currentGenerations: generations)
            }
            return result
        }
        // Once more: a load may have come between the commit and its callback.
        cache.invalidate(scope, name)
        urls.forgetAll()
        return result
    }

    /// Completes creations and updates of a function soon: they are answered as Pending or InProgress first.
    func settle(_ scope: AccountRegion, _ name: String) {
        settle(scope, name, at: time.now())
    }

    private func settle(_ scope: AccountRegion, _ name: String, at due: Instant) {
        _ = time.schedule(at: due) { [weak self] in
            guard let self else { return }
            Task {
                do {
                    try await self.settleNow(scope, name)
                } catch {
                    self.logger.error(
                        "a function's creation or update could not be completed; trying again",
                        metadata: ["function": "\(scope.functionARN(name))", "error": "\(error)"])
                    self.settle(scope, name, at: self.time.now() + .seconds(1))
                }
            }
        }
    }

    /// What is settling becomes Active and Successful: its code was unpacked before it was committed.
    func settleNow(_ scope: AccountRegion, _ name: String) async throws {
        try await database.write { transaction in
            for var record in try VersionTable.settling(scope, name, in: transaction) {
                ConfigurationChange.markSettled(&record.configuration)
                record.settling = false
                record.revise()
                try VersionTable.put(record, in: transaction)
            }
        }
        cache.invalidate(scope, name)
    }

    /// Refers to the blobs of a version, once for each use.
    func retain(_ record: VersionRecord, in transaction: any WriteTransaction) throws {
        for blob in record.blobs { try blobs.retain(blob.id, size: blob.size, in: transaction) }
    }

    func release(_ record: VersionRecord, in transaction: any WriteTransaction) throws {
        for blob in record.blobs { try blobs.release(blob.id, in: transaction) }
    }

    /// Some code may have lost its last user: looks for it when no environment of an old generation can run any more.
    func sweepLater(_ directories: [String]) {
        let now = time.now()
        let isFirst = retired.withLock { retired in
            let isFirst = retired.isEmpty
            for name in directories { retired[name] = now }
            return isFirst
        }
        if isFirst { scheduleSweep(at: now + .seconds(Limits.codeGraceSeconds)) }
    }

    private func scheduleSweep(at due: Instant) {
        _ = time.schedule(at: due) { [weak self] in
            guard let self else { return }
            Task { await self.sweepRetired() }
        }
    }

    /// Removes what has been unused for longer than the grace, and looks again when the next will have been.
    func sweepRetired() async {
        let old = time.now() - .seconds(Limits.codeGraceSeconds)
        let due = Set(retired.withLock { $0.filter { $0.value <= old }.keys })
        do {
            let mark = codeStore.sweepMark()
            let used = try await database.read { try VersionTable.directories(in: $0) }
            try await codeStore.sweep(due.subtracting(used), mark: mark)
        } catch {
            logger.warning("unused code was not removed", metadata: ["error": "\(error)"])
        }
        let next = retired.withLock { retired in
            for name in due { if let since = retired[name], since <= old { retired[name] = nil } }
            return retired.values.min()
        }
        if let next { scheduleSweep(at: next + .seconds(Limits.codeGraceSeconds)) }
    }
}

// MARK: The table of operations

extension LambdaService {
    public var definition: ServiceDefinition {
        ServiceDefinition(
            schema: schema,
            operations: functionOperations.merging(layerOperations) { a, _ in a }
                .merging(settingOperations) { a, _ in a }
                .merging(eventSourceOperations) { a, _ in a }
                .merging(urlOperations) { a, _ in a },
            bodyLimit: 6 << 20,
            bodyLimits: [
                "CreateFunction": Limits.codeRequestBytes, "UpdateFunctionCode": Limits.codeRequestBytes,
                "PublishLayerVersion": Limits.codeRequestBytes, "Invoke": Limits.synchronousPayloadBytes,
                "InvokeWithResponseStream": Limits.synchronousPayloadBytes,
                "InvokeAsync": Limits.invokeAsyncPayloadBytes,
            ],
            tooLarge: { operation, limit in
                .requestTooLarge(limit, operation: operation == "Invoke" ? "InvokeFunction" : operation)
            })
    }

    private func handle<Input: Shape>(
        _ body: @escaping @Sendable (Input, OperationContext) async throws -> OperationResponse
    ) -> OperationHandler {
        .asynchronous { request in try await body(Input(request.input), request.context) }
    }

    private var functionOperations: [String: OperationHandler] {
        [
            "Invoke": .callback { [self] in invoke($0, $1) },
            "InvokeWithResponseStream": .callback { [self] in invokeStreaming($0, $1) },
            "InvokeAsync": .asynchronous { [self] in try await invokeAsync($0) },
            "CreateFunction": handle(createFunction),
            "GetFunction": handle(getFunction),
            "GetFunctionConfiguration": handle(getFunctionConfiguration),
            "UpdateFunctionCode": handle(updateFunctionCode),
            "UpdateFunctionConfiguration": handle(updateFunctionConfiguration),
            "DeleteFunction": handle(deleteFunction),
            "ListFunctions": handle(listFunctions),
            "PublishVersion": handle(publishVersion),
            "ListVersionsByFunction": handle(listVersionsByFunction),
            "CreateAlias": handle(createAlias),
            "GetAlias": handle(getAlias),
            "UpdateAlias": handle(updateAlias),
            "DeleteAlias": handle(deleteAlias),
            "ListAliases": handle(listAliases),
            "AddPermission": handle(addPermission),
            "RemovePermission": handle(removePermission),
            "GetPolicy": handle(getPolicy),
        ]
    }

    private var layerOperations: [String: OperationHandler] {
        [
            "PublishLayerVersion": handle(publishLayerVersion),
            "GetLayerVersion": handle(getLayerVersion),
            "GetLayerVersionByArn": handle(getLayerVersionByArn),
            "DeleteLayerVersion": handle(deleteLayerVersion),
            "ListLayers": handle(listLayers),
            "ListLayerVersions": handle(listLayerVersions),
            "AddLayerVersionPermission": handle(addLayerVersionPermission),
            "RemoveLayerVersionPermission": handle(removeLayerVersionPermission),
            "GetLayerVersionPolicy": handle(getLayerVersionPolicy),
        ]
    }

    private var eventSourceOperations: [String: OperationHandler] {
        [
            "CreateEventSourceMapping": handle(createEventSourceMapping),
            "GetEventSourceMapping": handle(getEventSourceMapping),
            "UpdateEventSourceMapping": handle(updateEventSourceMapping),
            "DeleteEventSourceMapping": handle(deleteEventSourceMapping),
            "ListEventSourceMappings": handle(listEventSourceMappings),
        ]
    }

    private var urlOperations: [String: OperationHandler] {
        [
            "CreateFunctionUrlConfig": handle(createFunctionURLConfig),
            "GetFunctionUrlConfig": handle(getFunctionURLConfig),
            "UpdateFunctionUrlConfig": handle(updateFunctionURLConfig),
            "DeleteFunctionUrlConfig": handle(deleteFunctionURLConfig),
            "ListFunctionUrlConfigs": handle(listFunctionURLConfigs),
        ]
    }

    private var settingOperations: [String: OperationHandler] {
        [
            "TagResource": handle(tagResource),
            "UntagResource": handle(untagResource),
            "ListTags": handle(listTags),
            "PutFunctionConcurrency": handle(putFunctionConcurrency),
            "GetFunctionConcurrency": handle(getFunctionConcurrency),
            "DeleteFunctionConcurrency": handle(deleteFunctionConcurrency),
            "PutFunctionEventInvokeConfig": handle(putFunctionEventInvokeConfig),
            "GetFunctionEventInvokeConfig": handle(getFunctionEventInvokeConfig),
            "UpdateFunctionEventInvokeConfig": handle(updateFunctionEventInvokeConfig),
            "DeleteFunctionEventInvokeConfig": handle(deleteFunctionEventInvokeConfig),
            "ListFunctionEventInvokeConfigs": handle(listFunctionEventInvokeConfigs),
            "GetAccountSettings": handle(getAccountSettings),
            "GetFunctionCodeSigningConfig": handle(getFunctionCodeSigningConfig),
            "GetRuntimeManagementConfig": handle(getRuntimeManagementConfig),
            "PutRuntimeManagementConfig": handle(putRuntimeManagementConfig),
            "GetFunctionRecursionConfig": handle(getFunctionRecursionConfig),
            "PutFunctionRecursionConfig": handle(putFunctionRecursionConfig),
        ]
    }
}
