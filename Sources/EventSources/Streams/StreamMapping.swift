import Contracts
import Logging
import Platform
import Storage
import Synchronization
import Wire

/// One mapping with a stream at work: follows the stream's shards, each with a runner of its own. It lists them at its start and
/// whenever they have changed; nothing polls by interval.
final class StreamMapping: RunningMapping {
    private struct State {
        var mapping: EventSourceMapping
        var filters: RecordFilters
        var lineage = ShardLineage()
        var runners: [String: ShardRunner] = [:]
        /// Of shards that have not been begun.
        var beginnings: [String: Beginning] = [:]
        var hasLoaded = false
        var isListing = false
        var mustList = false
        var troubles = 0
        var isStopping = false
        var isClosed = false
        var begun: (@Sendable () -> Void)?
        var onStopped: (@Sendable () -> Void)?
        /// The execution role and reserved concurrency, as of the last time that the function was there.
        var role: String?
        var streamARN: String
    }

    private struct Beginning: Sendable {
        var checkpoint: Checkpoint
        var window: TumblingWindow?
    }

    let region: String
    /// nil: nobody keeps such streams here.
    let source: (any StreamSource)?
    let reporter: MappingReporter
    /// Invocations at the same time.
    let slots: Slots
    private let room: EventSourceRoom
    private let state: Mutex<State>
    private let observation = Mutex<(@Sendable () -> Void)?>(nil)
    private let timer: EarliestTimer

    init(_ mapping: EventSourceMapping, room: EventSourceRoom) {
        let arn = ARN(mapping.sourceARN)
        self.room = room
        region = arn?.region ?? mapping.scope.region
        source = arn.flatMap { room.streams[$0.service] }
        reporter = MappingReporter(mapping, room: room)
        slots = Slots(room.machineConcurrency)
        timer = EarliestTimer(room.time)
        state = Mutex(
            State(
                mapping: mapping, filters: RecordFilters(mapping.filters),
                streamARN: Self.streamARN(of: mapping.sourceARN)))
    }

    /// Of a consumer, its stream's.
    private static func streamARN(of source: String) -> String {
        guard var arn = ARN(source), arn.service == "kinesis" else { return source }
        arn.resource = arn.resource.split(separator: "/").prefix(2).joined(separator: "/")
        return arn.description
    }

    private static func settings(_ mapping: EventSourceMapping, _ room: EventSourceRoom) -> ShardPoller.Settings {
        let stream = mapping.stream ?? EventSourceMapping.StreamSettings(start: .trimHorizon)
        return ShardPoller.Settings(
            revision: mapping.revision, batchSize: max(1, mapping.batchSize), window: mapping.batchingWindow,
            lanes: stream.tumblingWindow > .zero ? 1 : max(1, stream.parallelizationFactor),
            maximumRetries: stream.maximumRetryAttempts, maximumAge: stream.maximumRecordAge,
            bisects: stream.bisectsOnFunctionError, tumbling: stream.tumblingWindow, timeScale: room.timeScale)
    }

    // MARK: For the runners

    var current: (mapping: EventSourceMapping, filters: RecordFilters) {
        state.withLock { ($0.mapping, $0.filters) }
    }
    var role: String? { state.withLock { $0.role } }
    var streamARN: String { state.withLock { $0.streamARN } }

    func learn(_ function: FunctionVersion) {
        state.withLock { $0.role = function.roleARN }
        slots.change(min(room.machineConcurrency, function.reservedConcurrency ?? .max))
    }

    /// The stream could be read.
    func recovered() {
        if StreamProblem.isOfAccess(reporter.shown) { reporter.report(nil) }
    }

    /// All of a shard is done: its children begin.
    func ended(_ runner: ShardRunner) {
        let begins = state.withLock { state -> [ShardRunner] in
            guard state.runners[runner.key.id] === runner else { return [] }
            state.runners[runner.key.id] = nil
            return Self.begin(state.lineage.ended(runner.key.id), &state, self)
        }
        runner.close()
        set(off: begins)
        checkStopped()
    }

    func stopped(_ runner: ShardRunner) { checkStopped() }

    /// New runners; a stop that did not know of them may have come meanwhile.
    private func set(off runners: [ShardRunner]) {
        for runner in runners {
            if state.withLock({ $0.isStopping }) { runner.stop() } else { runner.wake() }
        }
    }

    private static func begin(_ ids: [String], _ state: inout State, _ owner: StreamMapping) -> [ShardRunner] {
        let settings = settings(state.mapping, owner.room)
        return ids.compactMap { id in
            guard let shard = state.lineage.shards[id] else { return nil }
            let beginning = state.beginnings.removeValue(forKey: id) ?? Beginning(checkpoint: Checkpoint())
            let runner = ShardRunner(
                StreamShardKey(id: id, createdAt: shard.createdAt), settings, from: beginning.checkpoint,
                window: beginning.window, owner: owner, room: owner.room)
            state.runners[id] = runner
            return runner
        }
    }

    // MARK: What the room says

    func start(_ begun: @escaping @Sendable () -> Void) {
        state.withLock { $0.begun = begun }
        guard let source else {
            reporter.report("PROBLEM: Unrecognized event source.")
            settleBeginning()
            return
        }
        let end = source.observe(stream: streamARN) { [weak self] shard in self?.wake(shard) }
        observation.withLock { $0 = end }
        list()
    }

    private func wake(_ shard: String?) {
        guard let shard else { return list() }
        let (runner, isKnown) = state.withLock { ($0.runners[shard], $0.lineage.shards[shard] != nil) }
        if let runner { runner.wake() } else if !isKnown { list() }
    }

    func change(_ mapping: EventSourceMapping) {
        let filters = RecordFilters(mapping.filters)
        reporter.change(mapping)
        let runners = state.withLock { state in
            state.mapping = mapping
            state.filters = filters
            state.isStopping = false
            state.onStopped = nil
            state.troubles = 0
            return Array(state.runners.values)
        }
        let settings = Self.settings(mapping, room)
        for runner in runners { runner.change(settings) }
        list()
    }

    func stop(_ mapping: EventSourceMapping?, _ stopped: @escaping @Sendable () -> Void) {
        if let mapping { reporter.change(mapping) }
        let runners = state.withLock { state in
            if let mapping { state.mapping = mapping }
            state.isStopping = true
            state.onStopped = stopped
            return Array(state.runners.values)
        }
        timer.cancel()
        for runner in runners { runner.stop() }
        checkStopped()
    }

    func abandon() {
        for runner in state.withLock({ Array($0.runners.values) }) { runner.abandon() }
    }

    func relieve() {
        for runner in state.withLock({ Array($0.runners.values) }) { runner.relieve() }
    }

    func close() {
        let end = observation.withLock { observation in
            defer { observation = nil }
            return observation
        }
        end?()
        timer.cancel()
        let runners = state.withLock { state in
            state.isClosed = true
            defer { state.runners = [:] }
            return Array(state.runners.values)
        }
        for runner in runners { runner.close() }
    }

    private func checkStopped() {
        let runners = state.withLock { state -> [ShardRunner]? in
            guard state.isStopping, !state.isListing, state.onStopped != nil else { return nil }
            return Array(state.runners.values)
        }
        guard let runners, runners.allSatisfy({ $0.isStopped }) else { return }
        let stopped = state.withLock { state -> (@Sendable () -> Void)? in
            guard state.isStopping, !state.isListing else { return nil }
            defer { state.onStopped = nil }
            return state.onStopped
        }
        stopped?()
    }

    private func settleBeginning() {
        let begun = state.withLock { state in
            defer { state.begun = nil }
            return state.begun
        }
        begun?()
    }

    // MARK: Listing

    /// What a listing found, and what is on disk of it.
    private struct Listing: Sendable {
        var stream: StreamDescription
        var shards: [StreamShard] = []
        /// Of shards that were not known before.
        var beginnings: [StreamShardKey: Beginning] = [:]
        /// Those of them that are not on disk.
        var new: [StreamShardKey] = []
        /// On disk, and not there any more.
        var gone: [StreamShardKey] = []
        var isBegun = true
    }

    /// Looks what shards there are; one look at a time.
    private func list() {
        let isFree = state.withLock { state in
            guard !state.isStopping, !state.isClosed else { return false }
            guard !state.isListing else {
                state.mustList = true
                return false
            }
            state.isListing = true
            state.mustList = false
            return true
        }
        if isFree { Task { await look() } }
    }

    private func look() async {
        let wait = await lookOnce()
        let (isStopping, troubles) = state.withLock { state in
            state.isListing = false
            state.troubles = wait == nil ? 0 : state.troubles + 1
            return (state.isStopping, state.troubles)
        }
        // "Enabled" says that LATEST is settled. While the function or the store is in trouble that is waited for, but not for
        // ever: a mapping that is being created can be neither changed nor deleted.
        if wait == nil || wait == .zero || isStopping || troubles >= Limits.looksBeforeEnabled { settleBeginning() }
        if isStopping { return checkStopped() }
        if state.withLock({ $0.mustList }) { return list() }
        if let wait, wait > .zero {
            timer.want(room.time.now() + wait) { [weak self] in self?.list() }
        }
    }

    /// Answers when to look again after a failure: zero when only a sign from the stream is news.
    private func lookOnce() async -> Duration? {
        let (mapping, troubles) = state.withLock { ($0.mapping, $0.troubles) }
        let wait = ShardPoller.backoff(troubles, Limits.troubleFirstMilliseconds, Limits.troubleLongestMilliseconds)
        guard let source else { return .zero }
        let function: FunctionVersion
        do {
            function = try await room.resolve(mapping)
        } catch {
            reporter.report(Problem.functionUnavailable, cause: error)
            return wait
        }
        learn(function)
        do {
            let principal = EventSourceRoom.principal(function.roleARN, mapping)
            let listing = try await find(mapping, source, principal)
            try await keep(listing, mapping)
            take(listing)
            recovered()
            return nil
        } catch let error as AWSError {
            reporter.report(StreamProblem.sourceRefused(error, mapping.sourceARN), cause: error)
            return StreamProblem.isGone(error) ? .zero : wait
        } catch {
            room.logger.error(
                "a stream's shards cannot be listed", metadata: ["mapping": "\(mapping.id)", "error": "\(error)"])
            return wait
        }
    }

    private func find(
        _ mapping: EventSourceMapping, _ source: any StreamSource, _ principal: Principal
    ) async throws -> Listing {
        let (lineage, hasLoaded) = state.withLock { ($0.lineage, $0.hasLoaded) }
        return try await room.database.read { transaction in
            let arn = mapping.sourceARN
            let stream = try source.describe(stream: arn, as: principal, in: transaction)
            var listing = Listing(stream: stream)
            while true {
                let page = try source.shards(
                    stream: arn, after: listing.shards.last?.id, limit: Limits.shardsPerPage, as: principal,
                    in: transaction)
                listing.shards += page
                guard page.count >= Limits.shardsPerPage else { break }
                guard listing.shards.count < Limits.shardsPerMapping else {
                    throw Failure(.limit, "The stream has more than \(Limits.shardsPerMapping) shards.")
                }
            }
            listing.isBegun = try CheckpointTable.isBegun(mapping.id, in: transaction)
            // Every checkpoint is read once in a run.
            let kept = hasLoaded ? [:] : try CheckpointTable.checkpoints(mapping.id, in: transaction)
            let windows = hasLoaded ? [:] : try CheckpointTable.windows(mapping.id, in: transaction)
            for shard in lineage.unknown(in: listing.shards) {
                let key = StreamShardKey(id: shard.id, createdAt: shard.createdAt)
                if let checkpoint = kept[key] {
                    listing.beginnings[key] = Beginning(checkpoint: checkpoint, window: windows[key])
                    continue
                }
                var checkpoint = Checkpoint()
                // A shard that came later is read from its beginning: nothing of it was there before.
                if !listing.isBegun, let start = mapping.stream?.start, start != .trimHorizon {
                    checkpoint.position = try source.position(
                        stream: arn, shard: shard.id, at: start, as: principal, in: transaction)
                    checkpoint.isEnded = shard.isClosed && start == .latest
                }
                listing.beginnings[key] = Beginning(checkpoint: checkpoint)
                listing.new.append(key)
            }
            let there = Set(listing.shards.map { StreamShardKey(id: $0.id, createdAt: $0.createdAt) })
            listing.gone = kept.keys.filter { !there.contains($0) }
            return listing
        }
    }

    /// Writes down where new shards begin, before anything of them is read, and forgets those that are gone.
    private func keep(_ listing: Listing, _ mapping: EventSourceMapping) async throws {
        var rest = listing.new[...]
        while !rest.isEmpty {
            let some = rest.prefix(Limits.shardsPerTransaction)
            rest = rest.dropFirst(Limits.shardsPerTransaction)
            try await room.database.write { transaction in
                for key in some {
                    let checkpoint = listing.beginnings[key]?.checkpoint ?? Checkpoint()
                    try CheckpointTable.insert(mapping.id, key, checkpoint, in: transaction)
                }
            }
        }
        let known = state.withLock { $0.lineage }
        let there = Dictionary(listing.shards.map { ($0.id, $0.createdAt) }, uniquingKeysWith: { first, _ in first })
        let gone =
            listing.gone
            + known.shards.filter { there[$0.key] != $0.value.createdAt }.map {
                StreamShardKey(id: $0.key, createdAt: $0.value.createdAt)
            }
        guard !gone.isEmpty || !listing.isBegun else { return }
        try await room.database.write { transaction in
            for key in gone { try CheckpointTable.delete(mapping.id, key, in: transaction) }
            try CheckpointTable.begin(mapping.id, in: transaction)
        }
    }

    private func take(_ listing: Listing) {
        let (begins, gone, closed) = state.withLock { state -> ([ShardRunner], [ShardRunner], [ShardRunner]) in
            guard !state.isClosed else { return ([], [], []) }
            state.hasLoaded = true
            state.streamARN = listing.stream.arn
            var ended: Set<String> = []
            for (key, beginning) in listing.beginnings {
                if beginning.checkpoint.isEnded {
                    ended.insert(key.id)
                } else {
                    state.beginnings[key.id] = beginning
                }
            }
            let change = state.lineage.list(listing.shards, ended: ended)
            let gone = change.gone.compactMap { key in
                state.runners[key.id]?.key == key ? state.runners.removeValue(forKey: key.id) : nil
            }
            for key in change.gone where listing.beginnings.keys.allSatisfy({ $0.id != key.id }) {
                state.beginnings[key.id] = nil
            }
            // Nothing is appended to them any more that would wake them: they have to find their ends.
            let closed = listing.shards.compactMap { $0.isClosed ? state.runners[$0.id] : nil }
            return (Self.begin(change.begins, &state, self), gone, closed)
        }
        for runner in gone {
            runner.stop()
            runner.abandon()
            runner.close()
        }
        set(off: begins)
        for runner in closed { runner.wake() }
    }
}
