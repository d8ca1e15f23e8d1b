import Contracts
import Platform
import Storage
import Wire

/// StartMessageMoveTask, CancelMessageMoveTask, ListMessageMoveTasks.
struct Moving: Sendable {
    let desk: Desk
    let tasks: MoveTasks

    func start(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.StartMessageMoveTaskRequest(request.input)
        guard let source = input.sourceArn, !source.isEmpty else { throw AWSError.missing("SourceArn") }
        if let rate = input.maxNumberOfMessagesPerSecond, !Limits.moveRate.contains(rate) {
            throw AWSError.invalid(
                String(rate), for: "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500, if provided.")
        }
        let task = try await desk.database.write { transaction in
            guard let queue = try desk.directory.find(arn: source, in: transaction) else {
                throw Self.noResource("SourceArn")
            }
            try desk.access.check(request, "StartMessageMoveTask", on: queue, in: transaction)
            let sources = try QueueTable.sources(of: queue.arn, queue.scope, after: "", limit: 1, in: transaction)
            guard !sources.isEmpty else {
                throw AWSError.invalid("Source queue must be configured as a Dead Letter Queue.")
            }
            if let destination = input.destinationArn {
                guard let target = try desk.directory.find(arn: destination, in: transaction) else {
                    throw Self.noResource("DestinationArn")
                }
                guard target.isFIFO == queue.isFIFO else {
                    throw AWSError.invalid("Source and destination must be queues of the same type.")
                }
                guard target.id != queue.id else {
                    throw AWSError.invalid("Source queue arn and destination queue arn can not be the same.")
                }
                try desk.access.check(request, "SendMessage", on: target, in: transaction)
            }
            let newest = try MoveTaskTable.list(queue: queue.id, limit: 1, in: transaction).first
            if newest?.status == .running || newest?.status == .cancelling {
                throw AWSError.invalid(
                    "There is already a task running. Only one active task is allowed for a source queue arn at a given "
                        + "time.")
            }
            let now = desk.time.now()
            let counts = try MessageTable.counts(
                queue: queue.id, now: now, expiry: queue.expiry(now: now), in: transaction)
            var task = MoveTask(
                id: 0, queue: queue.id, source: source, destination: input.destinationArn,
                rate: input.maxNumberOfMessagesPerSecond, status: .running, moved: 0, toMove: counts.visible,
                last: try MessageTable.newest(in: transaction), started: now, failure: nil)
            task.id = try MoveTaskTable.insert(task, in: transaction)
            return task
        }
        tasks.run(task.id)
        var output = Model.StartMessageMoveTaskResult()
        output.taskHandle = Self.handle(task)
        return OperationResponse(output.value)
    }

    func cancel(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CancelMessageMoveTaskRequest(request.input)
        guard let handle = input.taskHandle, !handle.isEmpty else { throw AWSError.missing("TaskHandle") }
        guard let (id, source) = Self.read(handle) else {
            throw AWSError.invalid("Value for parameter TaskHandle is invalid.")
        }
        let moved = try await desk.database.write { transaction in
            guard let queue = try desk.directory.find(arn: source, in: transaction) else {
                throw Self.noResource("SourceArn")
            }
            try desk.access.check(request, "CancelMessageMoveTask", on: queue, in: transaction)
            guard var task = try MoveTaskTable.get(id, in: transaction), task.queue == queue.id else {
                throw AWSError.resourceNotFound("Task does not exist.")
            }
            guard task.status == .running else {
                throw AWSError.invalid("Only active tasks can be cancelled.")
            }
            task.status = .cancelling
            try MoveTaskTable.update(task, in: transaction)
            return task.moved
        }
        var output = Model.CancelMessageMoveTaskResult()
        output.approximateNumberOfMessagesMoved = moved
        return OperationResponse(output.value)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListMessageMoveTasksRequest(request.input)
        guard let source = input.sourceArn, !source.isEmpty else { throw AWSError.missing("SourceArn") }
        let limit = input.maxResults ?? 1
        guard Limits.moveTasksListed.contains(limit) else {
            throw AWSError.invalid(String(limit), for: "MaxResults", "Must be between 1 and 10, if provided.")
        }
        let found = try await desk.database.read { transaction in
            guard let queue = try desk.directory.find(arn: source, in: transaction) else {
                throw Self.noResource("SourceArn")
            }
            try desk.access.check(request, "ListMessageMoveTasks", on: queue, in: transaction)
            return try MoveTaskTable.list(queue: queue.id, limit: limit, in: transaction)
        }
        var output = Model.ListMessageMoveTasksResult()
        output.results = found.map { task in
            var entry = Model.ListMessageMoveTasksResultEntry()
            if task.status == .running { entry.taskHandle = Self.handle(task) }
            entry.status = task.status.rawValue
            entry.sourceArn = task.source
            entry.destinationArn = task.destination
            entry.maxNumberOfMessagesPerSecond = task.rate
            entry.approximateNumberOfMessagesMoved = task.moved
            entry.approximateNumberOfMessagesToMove = task.toMove
            entry.failureReason = task.failure
            entry.startedTimestamp = Int(task.started.milliseconds)
            return entry
        }
        return OperationResponse(output.value)
    }

    private static func noResource(_ parameter: String) -> AWSError {
        .resourceNotFound("The resource that you specified for the \(parameter) parameter doesn't exist.")
    }

    private static func handle(_ task: MoveTask) -> String {
        let content: Value = ["taskId": .string(String(task.id)), "sourceArn": .string(task.source)]
        return Base64.encode(JSON.encode(content))
    }

    private static func read(_ handle: String) -> (id: Int64, source: String)? {
        guard let bytes = Base64.decode(handle), let content = try? JSON.parse(bytes),
            let id = content["taskId"]?.string.flatMap({ Int64($0) }), let source = content["sourceArn"]?.string
        else { return nil }
        return (id, source)
    }
}
