public import NIOCore
public import Platform
public import Storage

/// Everything needed to run one version of a function. A plain value; two with equal `generation` are the same.
public struct FunctionVersion: Sendable {
    public var scope: AccountRegion
    public var name: String
    /// `$LATEST` or a number.
    public var version: String
    /// Changes with every change of code or configuration: the pool's key, so that no request is served by stale code.
    public var generation: String
    /// Unqualified ARN.
    public var functionARN: String
    public var runtime: String
    public var handler: String
    public var architecture: String
    public var memoryMB: Int
    public var timeoutSeconds: Int
    public var ephemeralStorageMB: Int
    public var environment: Secret<[(name: String, value: String)]>
    public var roleARN: String
    /// Host directory with the unpacked code, mounted at /var/task; kept while `release`-able by the code store.
    public var codeDirectory: String
    /// Host directory with the merged layers, mounted at /opt; nil without layers.
    public var layersDirectory: String?
    public var logging: LoggingSettings
    /// Reserved concurrency of the function (all versions together); nil when none.
    public var reservedConcurrency: Int?
    public var tracingActive: Bool
    /// Whether its invocations may run in a circle (`RecursiveLoop: Allow`).
    public var allowsRecursion = false

    public struct LoggingSettings: Sendable, Hashable {
        public enum Format: String, Sendable {
            case text = "Text"
            case json = "JSON"
        }
        public var format: Format
        public var applicationLevel: String
        public var systemLevel: String
        public var group: String
        public init(format: Format, applicationLevel: String, systemLevel: String, group: String) {
            self.format = format
            self.applicationLevel = applicationLevel
            self.systemLevel = systemLevel
            self.group = group
        }
    }

    public init(
        scope: AccountRegion, name: String, version: String, generation: String, functionARN: String, runtime: String,
        handler: String, architecture: String, memoryMB: Int, timeoutSeconds: Int, ephemeralStorageMB: Int,
        environment: Secret<[(name: String, value: String)]>, roleARN: String, codeDirectory: String,
        layersDirectory: String?, logging: LoggingSettings, reservedConcurrency: Int?, tracingActive: Bool
    ) {
        self.scope = scope
        self.name = name
        self.version = version
        self.generation = generation
        self.functionARN = functionARN
        self.runtime = runtime
        self.handler = handler
        self.architecture = architecture
        self.memoryMB = memoryMB
        self.timeoutSeconds = timeoutSeconds
        self.ephemeralStorageMB = ephemeralStorageMB
        self.environment = environment
        self.roleARN = roleARN
        self.codeDirectory = codeDirectory
        self.layersDirectory = layersDirectory
        self.logging = logging
        self.reservedConcurrency = reservedConcurrency
        self.tracingActive = tracingActive
    }
}

/// One request to run a function.
public struct Invocation: Sendable {
    public var requestID: String
    public var payload: ByteBuffer
    /// The ARN as the caller named the function (alias stays alias): `context.invoked_function_arn`.
    public var invokedFunctionARN: String
    /// Decoded client context JSON.
    public var clientContext: String?
    public var traceID: String?
    /// Whether the last 4 KB of log are wanted with the answer.
    public var wantsLogTail: Bool
    /// Where a function that streams its response writes it; nil: the response is collected.
    public var stream: ResponseStream?

    public init(
        requestID: String, payload: ByteBuffer, invokedFunctionARN: String, clientContext: String? = nil,
        traceID: String? = nil, wantsLogTail: Bool = false
    ) {
        self.requestID = requestID
        self.payload = payload
        self.invokedFunctionARN = invokedFunctionARN
        self.clientContext = clientContext
        self.traceID = traceID
        self.wantsLogTail = wantsLogTail
    }
}

/// What came of an invocation that ran (also when the function failed).
public struct InvocationResult: Sendable {
    public var payload: ByteBuffer
    /// `Unhandled` when the function failed; nil on success.
    public var functionError: String?
    public var executedVersion: String
    /// The last 4 KB of this invocation's log, when asked for.
    public var logTail: [UInt8]?

    public init(payload: ByteBuffer, functionError: String?, executedVersion: String, logTail: [UInt8]?) {
        self.payload = payload
        self.functionError = functionError
        self.executedVersion = executedVersion
        self.logTail = logTail
    }
}

/// Runs functions; the engine (Invocation) is the only one who does. Failures that are not the function's own come as
/// `AWSError`: 429 TooManyRequestsException with its Reason, 5xx when no environment can be started.
public protocol FunctionInvoker: Sendable {
    /// Runs the version now. Answers exactly once, from any thread. No task, no database read.
    func invoke(
        _ function: FunctionVersion, _ invocation: Invocation,
        completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void)

    /// Puts an asynchronous event into the durable queue, inside the caller's transaction.
    /// `qualifier` is what the caller named (nil → `$LATEST`).
    func enqueue(
        _ event: AsynchronousEvent, in transaction: any WriteTransaction) throws

    /// The function's code or configuration changed, or it was deleted: environments of other generations drain.
    /// `currentGenerations` are those that may still take invocations.
    func generationsChanged(scope: AccountRegion, function: String, currentGenerations: Set<String>)

    /// Concurrency in use and reserved, for GetAccountSettings and PutFunctionConcurrency.
    func setReservedConcurrency(scope: AccountRegion, function: String, _ reserved: Int?)
}

/// Calls functions by ARN for other services, with their permissions checked; Lambda is the one who does.
public protocol FunctionCaller: Sendable {
    /// Runs the function that `arn` names (qualified or not) and waits for what came of it. `context`: of the request from
    /// outside whose principal calls as itself; it is asked for conditions. Answers exactly once, from any
    /// thread. Failures are `AWSError`: ResourceNotFoundException, AccessDeniedException (by the function's policy),
    /// TooManyRequestsException, and those of `FunctionInvoker`.
    func call(
        function arn: String, as principal: Principal, by context: OperationContext?, payload: ByteBuffer,
        traceID: String?,
        completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void)

    /// As `call`, with the response while it is made; `completion` is called when it begins.
    func callStreaming(
        function arn: String, as principal: Principal, by context: OperationContext?, payload: ByteBuffer,
        traceID: String?,
        completion: @escaping ResponseStream.Begun)
}

/// Calls functions for event sources that name themselves by a token instead of an ARN (Alexa: the skill's id), which
/// policies ask for as `lambda:EventSourceToken`. Lambda is the one who does.
public protocol TokenFunctionCaller: Sendable {
    /// As `FunctionCaller.call`.
    func call(
        function arn: String, as principal: Principal, eventSourceToken: String, payload: ByteBuffer,
        completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void)

    /// Whether the function is there, ready and permitted, without running it. Fails as `call` would.
    func check(
        function arn: String, as principal: Principal, eventSourceToken: String,
        completion: @escaping @Sendable (Result<Void, any Error>) -> Void)
}

/// An event accepted for asynchronous invocation.
public struct AsynchronousEvent: Sendable {
    public var requestID: String
    public var scope: AccountRegion
    public var function: String
    /// `$LATEST`, a version or an alias.
    public var qualifier: String
    public var payload: [UInt8]
    public var acceptedAt: Instant
    public var invokedFunctionARN: String
    public var traceID: String?

    public init(
        requestID: String, scope: AccountRegion, function: String, qualifier: String, payload: [UInt8],
        acceptedAt: Instant, invokedFunctionARN: String, traceID: String?
    ) {
        self.requestID = requestID
        self.scope = scope
        self.function = function
        self.qualifier = qualifier
        self.payload = payload
        self.acceptedAt = acceptedAt
        self.invokedFunctionARN = invokedFunctionARN
        self.traceID = traceID
    }
}

/// Settings of asynchronous invocation of one qualifier, with AWS's defaults.
public struct AsynchronousSettings: Sendable, Hashable {
    /// 0...2, default 2.
    public var maximumRetryAttempts: Int
    /// 60...21,600 s, default 21,600.
    public var maximumEventAgeSeconds: Int
    /// ARNs of the destinations for records, and of the function's own dead-letter queue or topic.
    public var onSuccess: String?
    public var onFailure: String?
    public var deadLetterTarget: String?
    /// The execution role, whose permissions these are sent with; nil when the function is gone.
    public var roleARN: String?

    public init(
        maximumRetryAttempts: Int = 2, maximumEventAgeSeconds: Int = 21_600, onSuccess: String? = nil,
        onFailure: String? = nil, deadLetterTarget: String? = nil, roleARN: String? = nil
    ) {
        self.maximumRetryAttempts = maximumRetryAttempts
        self.maximumEventAgeSeconds = maximumEventAgeSeconds
        self.onSuccess = onSuccess
        self.onFailure = onFailure
        self.deadLetterTarget = deadLetterTarget
        self.roleARN = roleARN
    }
}

/// The control plane's answer to "what is this function now?", for the engine. Served from a cache: callable on hot paths.
public protocol FunctionDirectory: Sendable {
    /// Resolves a name and qualifier (alias weights are drawn here). Throws `AWSError` (ResourceNotFoundException,
    /// ResourceConflictException while Pending).
    func resolve(scope: AccountRegion, function: String, qualifier: String) async throws -> FunctionVersion
    func asynchronousSettings(scope: AccountRegion, function: String, qualifier: String) async throws
        -> AsynchronousSettings
}
