import Contracts
import EventPatterns
import Platform
import Storage
import Wire

struct EventOperations: Sendable {
    let database: any Database
    let access: Access
    let fanOut: FanOut

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutEventsRequest(request.input)
        let context = request.context
        guard input.endpointId == nil else {
            throw AWSError.validation("Martlet has no global endpoints: EndpointId cannot be given.")
        }
        let entries = input.entries ?? []
        guard entries.reduce(0, { $0 + EventEntry.size($1) }) <= Limits.putEventsBytes else {
            throw AWSError.validation("Total size of the entries in the request is over the limit.")
        }
        let checked = entries.map { entry in
            Result { () throws(EventEntry.Rejection) in try EventEntry(entry, context) }
        }
        let results = try await database.write { transaction in
            try publish(checked, for: context, account: context.scope.account, now: context.now, transaction)
        }
        var output = Model.PutEventsResponse()
        output.failedEntryCount = results.filter { if case .failure = $0 { true } else { false } }.count
        output.entries = results.map { result in
            var entry = Model.PutEventsResultEntry()
            switch result {
            case .success(let id): entry.eventId = id
            case .failure(let rejection):
                entry.errorCode = rejection.code
                entry.errorMessage = rejection.message
            }
            return entry
        }
        return OperationResponse(output.value)
    }

    /// Puts the entries on their buses, all in one transaction; answers the events' ids.
    private func publish(
        _ entries: [Result<EventEntry, EventEntry.Rejection>], for caller: OperationContext, account: String,
        now: Instant, _ transaction: any WriteTransaction
    ) throws -> [Result<String, EventEntry.Rejection>] {
        var budget = FanOutBudget()
        var buses: [BusKey: Bus?] = [:]
        return try entries.map { entry in
            switch entry {
            case .failure(let rejection): return .failure(rejection)
            case .success(let entry):
                let bus = try buses[entry.bus] ?? BusTable.get(entry.bus, in: transaction)
                buses[entry.bus] = .some(bus)
                do {
                    try access.checkPutEvents(
                        caller, bus: entry.bus, policy: bus?.policy, source: entry.event.value["source"]?.string,
                        detailType: entry.event.value["detail-type"]?.string, in: transaction)
                } catch let error as AWSError {
                    // Of the caller's own account the call fails, as for any operation.
                    guard entry.bus.scope.account != account else { throw error }
                    return .failure(EventEntry.Rejection(code: error.code, message: error.message))
                }
                // AWS answers an id for a bus that is not there, and drops the event.
                if bus != nil {
                    try fanOut.publish(entry.event, on: entry.bus, &budget, now: now, in: transaction)
                }
                return .success(entry.event.id)
            }
        }
    }

    func test(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TestEventPatternRequest(request.input)
        let scope = request.context.scope
        let resource = "arn:aws:events:\(scope.region):\(scope.account):*"
        try await database.read { [access] in
            try access.check(request, "TestEventPattern", resource, account: scope.account, in: $0)
        }
        let pattern = try PatternRules.compile(input.eventPattern ?? "")
        guard let event = try? JSON.parse(input.event ?? ""), event.fields != nil else {
            throw AWSError.validation("Parameter Event is not valid.")
        }
        var output = Model.TestEventPatternResponse()
        output.result = pattern.matches(event)
        return OperationResponse(output.value)
    }
}
