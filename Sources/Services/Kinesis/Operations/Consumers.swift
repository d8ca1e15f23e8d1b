import Contracts
import Platform
import Storage
import Wire

/// Consumers with enhanced fan-out. They are ACTIVE when they are answered.
struct Consumers: Sendable {
    let desk: Desk
    let subscriptions: Subscriptions

    func register(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.RegisterStreamConsumerInput(request.input)
        let target = try StreamTarget(name: nil, arn: input.streamARN, id: input.streamId, request.context)
        let name = input.consumerName ?? ""
        let tags = try Tags.merged(input.tags ?? [], into: Fields(), resource: name)
        let (consumer, stream) = try await desk.write(request, target) { stream, now, transaction in
            guard try ConsumerTable.get(stream.id, name, in: transaction) == nil else {
                throw AWSError.consumerExists(name, stream)
            }
            guard try ConsumerTable.count(stream.id, in: transaction) < Limits.consumers else {
                throw AWSError.limit(
                    "Limit exceeded: a stream cannot have more than \(Limits.consumers) registered consumers.")
            }
            try ConsumerTable.insert(stream.id, name, tags: tags, now: now, in: transaction)
            return (Consumer(id: 0, stream: stream.id, name: name, created: now), stream)
        }
        var output = Model.RegisterStreamConsumerOutput()
        output.consumer = consumer.model(of: stream)
        return OperationResponse(output.value)
    }

    func deregister(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeregisterStreamConsumerInput(request.input)
        let place = try Self.place(input.consumerARN, input.streamARN, input.consumerName, input.streamId)
        let consumer = try await desk.database.write { [desk] transaction in
            let (consumer, _) = try Self.find(place, desk, request, in: transaction)
            try ConsumerTable.delete(consumer.id, in: transaction)
            return consumer
        }
        subscriptions.end(consumer: consumer.id)
        return OperationResponse()
    }

    func describe(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DescribeStreamConsumerInput(request.input)
        let place = try Self.place(input.consumerARN, input.streamARN, input.consumerName, input.streamId)
        let (consumer, stream) = try await desk.database.read { [desk] transaction in
            try Self.find(place, desk, request, in: transaction)
        }
        var description = Model.ConsumerDescription()
        description.consumerName = consumer.name
        description.consumerARN = consumer.arn(of: stream.arn)
        description.consumerStatus = "ACTIVE"
        description.consumerCreationTimestamp = consumer.created
        description.streamARN = stream.arn
        var output = Model.DescribeStreamConsumerOutput()
        output.consumerDescription = description
        return OperationResponse(output.value)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListStreamConsumersInput(request.input)
        let target = try StreamTarget(name: nil, arn: input.streamARN, id: input.streamId, request.context)
        let limit = min(input.maxResults ?? Limits.consumersPerList, Limits.consumersPerList)
        var token: ConsumerListToken?
        if let text = input.nextToken {
            guard let read = desk.tokens.consumerList(text) else { throw AWSError.invalidToken }
            token = read
        }
        let created = input.streamCreationTimestamp
        let (stream, rows, now) = try await desk.read(request, target) { [token] stream, now, transaction in
            if let created, created.seconds != stream.created.seconds {
                throw AWSError.noStream(stream.name, stream.scope.account)
            }
            if let token {
                guard token.stream == stream.id else { throw AWSError.invalidToken }
                guard now - token.created <= .seconds(Limits.tokenSeconds) else { throw AWSError.expiredToken }
            }
            let rows = try ConsumerTable.list(
                stream.id, after: token?.after ?? "", limit: limit + 1, in: transaction)
            return (stream, rows, now)
        }
        let page = rows.prefix(limit)
        var output = Model.ListStreamConsumersOutput()
        output.consumers = page.map { $0.model(of: stream) }
        if rows.count > limit, let last = page.last {
            output.nextToken = desk.tokens.text(
                ConsumerListToken(stream: stream.id, after: last.name, created: now))
        }
        return OperationResponse(output.value)
    }

    // MARK: Which consumer

    private enum Place: Sendable {
        case arn(String)
        case named(String, streamARN: String)
    }

    private static func place(
        _ arn: String?, _ stream: String?, _ name: String?, _ streamID: String?
    ) throws(AWSError) -> Place {
        if let arn { return .arn(arn) }
        if let stream, let name { return .named(name, streamARN: stream) }
        throw .invalid("Either ConsumerARN, or StreamARN and ConsumerName must be provided.")
    }

    private static func find(
        _ place: Place, _ desk: Desk, _ request: OperationRequest, in transaction: any ReadTransaction
    ) throws -> (Consumer, Stream) {
        switch place {
        case .arn(let arn):
            guard case .consumer(let consumer, let stream) = try desk.resource(arn, request, in: transaction) else {
                throw AWSError.noResource(arn)
            }
            return (consumer, stream)
        case .named(let name, let streamARN):
            guard case .stream(let stream) = try desk.resource(streamARN, in: transaction) else {
                throw AWSError.noResource(streamARN)
            }
            guard let consumer = try ConsumerTable.get(stream.id, name, in: transaction) else {
                throw AWSError.noConsumer(name, stream.scope.account)
            }
            _ = try desk.resource(consumer.arn(of: stream.arn), request, in: transaction)
            return (consumer, stream)
        }
    }
}

extension Consumer {
    func model(of stream: Stream) -> Model.Consumer {
        var model = Model.Consumer()
        model.consumerName = name
        model.consumerARN = arn(of: stream.arn)
        model.consumerStatus = "ACTIVE"
        model.consumerCreationTimestamp = created
        return model
    }
}
