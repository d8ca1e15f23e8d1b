import Contracts
import Platform
import Storage
import Wire

struct TriggerOperations: Sendable {
    let journal: ReferenceJournal
    let outbox: any DeliveryOutbox
    let access: Access

    private var database: any Database { journal.database }

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutRepositoryTriggersInput(request.input)
        let key = try request.key(input.repositoryName)
        let triggers = try Self.checked(input.triggers, key)
        let (now, id) = (request.context.now, Identifier.uuid())
        try await database.write { transaction in
            try access.check(request, "PutRepositoryTriggers", key.arn, in: transaction)
            var repository = try RepositoryTable.require(key, in: transaction)
            repository.triggers = triggers
            repository.triggersID = id
            repository.modified = now
            try RepositoryTable.update(repository, in: transaction)
        }
        var output = Model.PutRepositoryTriggersOutput()
        output.configurationId = id
        return OperationResponse(output.value)
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetRepositoryTriggersInput(request.input)
        let repository = try await access.repository(input.repositoryName, "GetRepositoryTriggers", request, database)
        var output = Model.GetRepositoryTriggersOutput()
        output.configurationId = repository.triggersID
        output.triggers = repository.triggers.map { trigger in
            var shape = Model.RepositoryTrigger()
            shape.name = trigger.name
            shape.destinationArn = trigger.destination
            shape.customData = trigger.customData
            shape.branches = trigger.branches
            shape.events = trigger.events.map(\.rawValue)
            return shape
        }
        return OperationResponse(output.value)
    }

    /// Sends each of the given triggers a test event, whether or not it is one of the repository's.
    func test(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TestRepositoryTriggersInput(request.input)
        let key = try request.key(input.repositoryName)
        let triggers = try Self.checked(input.triggers, key)
        let repository = try await access.repository(input.repositoryName, "TestRepositoryTriggers", request, database)
        let (caller, now) = (request.context.principal.arn, request.context.now)
        let results = try await database.write { transaction in
            let branch = repository.defaultBranch ?? "main"
            let name = ReferenceName.heads + branch
            let tip = try ReferenceTable.target(repository.id, name, in: transaction)
            let change = ReferenceChange(name: name, old: tip ?? ObjectID.zero, new: tip ?? ObjectID.zero)
            let event = TriggerEvent(
                name: "TriggerEventTest", repository: key, triggersID: repository.triggersID ?? Identifier.uuid(),
                caller: caller, time: now)
            return try triggers.map { trigger in
                do {
                    try outbox.validate(target: trigger.destination, for: repository.principal, in: transaction)
                    for message in event.messages(trigger, [change]) {
                        try outbox.send(journal.delivery(message, to: trigger, of: repository), in: transaction)
                    }
                    return (name: trigger.name, failure: nil as String?)
                } catch let refusal as DeliveryRefusal {
                    switch refusal {
                    case .permanent(_, let message), .temporary(_, let message):
                        return (name: trigger.name, failure: message)
                    }
                }
            }
        }
        var output = Model.TestRepositoryTriggersOutput()
        output.successfulExecutions = results.filter { $0.failure == nil }.map(\.name)
        output.failedExecutions = results.compactMap { result in
            result.failure.map { text in
                var failure = Model.RepositoryTriggerExecutionFailure()
                failure.trigger = result.name
                failure.failureMessage = text
                return failure
            }
        }
        return OperationResponse(output.value)
    }

    // MARK: Checks

    private static func checked(
        _ given: [Model.RepositoryTrigger]?, _ repository: RepositoryKey
    ) throws(AWSError) -> [Trigger] {
        guard let given else {
            throw .code(
                "RepositoryTriggersListRequiredException", "The list of triggers for the repository is required.")
        }
        guard given.count <= Limits.triggers else {
            throw .code(
                "MaximumRepositoryTriggersExceededException",
                "The number of triggers allowed for the repository was exceeded.")
        }
        var triggers: [Trigger] = []
        for shape in given {
            let trigger = try checked(shape, repository)
            guard !triggers.contains(where: { $0.name == trigger.name }) else {
                throw .code(
                    "InvalidRepositoryTriggerNameException", "The name of the trigger is not valid: it is used twice.")
            }
            triggers.append(trigger)
        }
        return triggers
    }

    private static func checked(
        _ shape: Model.RepositoryTrigger, _ repository: RepositoryKey
    ) throws(AWSError) -> Trigger {
        guard let name = shape.name, !name.isEmpty else {
            throw .code("RepositoryTriggerNameRequiredException", "A name for the trigger is required.")
        }
        guard name.unicodeScalars.count <= Limits.triggerNameCharacters,
            name.utf8.allSatisfy({ byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            })
        else { throw .code("InvalidRepositoryTriggerNameException", "The name of the trigger is not valid.") }
        let destination = try destination(shape.destinationArn, repository)
        if let data = shape.customData, data.unicodeScalars.count > Limits.triggerDataCharacters {
            throw .code(
                "InvalidRepositoryTriggerCustomDataException", "The custom data provided for the trigger is not valid.")
        }
        let branches = shape.branches ?? []
        guard branches.count <= Limits.triggerBranches else {
            throw .code("MaximumBranchesExceededException", "The number of branches for the trigger was exceeded.")
        }
        guard branches.allSatisfy(ReferenceName.isBranch) else {
            throw .code(
                "InvalidRepositoryTriggerBranchNameException",
                "One or more branch names specified for the trigger is not valid.")
        }
        let texts = shape.events ?? []
        guard !texts.isEmpty else {
            throw .code(
                "RepositoryTriggerEventsListRequiredException",
                "At least one event for the trigger is required, but was not specified.")
        }
        let events = texts.compactMap { Trigger.Event(rawValue: $0) }
        guard events.count == texts.count, !events.contains(.all) || events.count == 1 else {
            throw .code(
                "InvalidRepositoryTriggerEventsException",
                "One or more events specified for the trigger is not valid. Check to make sure that all events specified "
                    + "match the requirements for allowed events.")
        }
        return Trigger(
            name: name, destination: destination, customData: shape.customData, branches: branches, events: events)
    }

    private static func destination(_ text: String?, _ repository: RepositoryKey) throws(AWSError) -> String {
        guard let text, !text.isEmpty else {
            throw .code(
                "RepositoryTriggerDestinationArnRequiredException",
                "A destination ARN for the target service for the trigger is required, but was not specified.")
        }
        guard let arn = ARN(text), arn.service == "lambda" || arn.service == "sns", !arn.resource.hasSuffix(".fifo")
        else {
            throw .code(
                "InvalidRepositoryTriggerDestinationArnException",
                "The Amazon Resource Name (ARN) for the trigger is not valid for the specified destination. The most "
                    + "common reason for this error is that the ARN does not meet the requirements for the service type."
            )
        }
        guard arn.region == repository.scope.region else {
            throw .code(
                "InvalidRepositoryTriggerRegionException",
                "The AWS Region for the trigger target does not match the AWS Region for the repository. Triggers must be "
                    + "created in the same Region as the target for the trigger.")
        }
        return text
    }
}
