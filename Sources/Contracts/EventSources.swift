public import Platform

/// One event source mapping as its runner must know it. A plain value; `revision` grows with every change.
public struct EventSourceMapping: Sendable, Hashable {
    public var scope: AccountRegion
    /// The UUID.
    public var id: String
    public var revision: Int64
    public var state: State
    /// Whether the mapping is (to be) enabled, whatever state it is passing through.
    public var isEnabled: Bool
    public var sourceARN: String
    /// The function's name and qualifier (`$LATEST`, a number, an alias).
    public var function: String
    public var qualifier: String
    /// As the mapping names it: qualified if it was made so.
    public var functionARN: String
    /// Most records of one event.
    public var batchSize: Int
    /// How long an event waits for more records after its first.
    public var batchingWindow: Duration
    /// Patterns as they were given, in JSON; a record passes if one of them matches, or when there is none.
    public var filters: [String]
    public var reportsBatchItemFailures: Bool
    /// `ScalingConfig.MaximumConcurrency`.
    public var maximumConcurrency: Int?
    public var provisionedPollers: ProvisionedPollers?
    /// Of a mapping with a stream; nil with a queue.
    public var stream: StreamSettings?

    /// What only mappings with streams have (reference 5.3).
    public struct StreamSettings: Sendable, Hashable {
        public var start: StreamStart
        /// 1...10 batches of one shard at a time, apart by ordering key.
        public var parallelizationFactor: Int
        /// nil: until the record expires.
        public var maximumRetryAttempts: Int?
        /// nil: until the record expires.
        public var maximumRecordAge: Duration?
        public var bisectsOnFunctionError: Bool
        /// Zero: no windows.
        public var tumblingWindow: Duration
        /// ARN of what gets the records of failed batches.
        public var onFailure: String?

        public init(
            start: StreamStart, parallelizationFactor: Int = 1, maximumRetryAttempts: Int? = nil,
            maximumRecordAge: Duration? = nil, bisectsOnFunctionError: Bool = false, tumblingWindow: Duration = .zero,
            onFailure: String? = nil
        ) {
            self.start = start
            self.parallelizationFactor = parallelizationFactor
            self.maximumRetryAttempts = maximumRetryAttempts
            self.maximumRecordAge = maximumRecordAge
            self.bisectsOnFunctionError = bisectsOnFunctionError
            self.tumblingWindow = tumblingWindow
            self.onFailure = onFailure
        }
    }

    /// The states of AWS, by their names.
    public enum State: String, Sendable, Hashable {
        case creating = "Creating"
        case enabling = "Enabling"
        case enabled = "Enabled"
        case disabling = "Disabling"
        case disabled = "Disabled"
        case updating = "Updating"
        case deleting = "Deleting"

        /// Nothing is under way any more.
        public var isSettled: Bool { self == .enabled || self == .disabled }
    }

    public struct ProvisionedPollers: Sendable, Hashable {
        public var minimum: Int
        public var maximum: Int
        public init(minimum: Int, maximum: Int) {
            self.minimum = minimum
            self.maximum = maximum
        }
    }

    public init(
        scope: AccountRegion, id: String, revision: Int64, state: State, isEnabled: Bool, sourceARN: String,
        function: String, qualifier: String, functionARN: String, batchSize: Int, batchingWindow: Duration,
        filters: [String], reportsBatchItemFailures: Bool, maximumConcurrency: Int?,
        provisionedPollers: ProvisionedPollers?, stream: StreamSettings? = nil
    ) {
        self.scope = scope
        self.id = id
        self.revision = revision
        self.state = state
        self.isEnabled = isEnabled
        self.sourceARN = sourceARN
        self.function = function
        self.qualifier = qualifier
        self.functionARN = functionARN
        self.batchSize = batchSize
        self.batchingWindow = batchingWindow
        self.filters = filters
        self.reportsBatchItemFailures = reportsBatchItemFailures
        self.maximumConcurrency = maximumConcurrency
        self.provisionedPollers = provisionedPollers
        self.stream = stream
    }
}

/// Who keeps the mappings (Lambda), for the one who runs them.
public protocol EventSourceMappings: Sendable {
    /// Mappings that poll or are passing through a state, of every account and Region, ordered by id; `after` an id.
    /// For the runner's start.
    func activeMappings(after id: String?, limit: Int) async throws -> [EventSourceMapping]

    /// What the mapping's revision asks for is in effect: the state that it was passing through ends (Creating, Enabling and
    /// Updating in Enabled or Disabled, Disabling in Disabled, Deleting in the mapping's end). Does nothing when the mapping
    /// has changed since.
    func settle(_ mapping: EventSourceMapping) async throws

    /// What holds up the mapping (`PROBLEM: …`), to be shown with it; nil when nothing does any more.
    func report(_ problem: String?, of mapping: EventSourceMapping) async throws
}

/// Who runs the mappings (EventSources).
public protocol EventSourceRunner: Sendable {
    /// A mapping was made, changed, or is to be deleted. Called after the commit, in the order of the commits; does not
    /// block. The runner answers through `EventSourceMappings.settle`.
    func mappingChanged(_ mapping: EventSourceMapping)
}
