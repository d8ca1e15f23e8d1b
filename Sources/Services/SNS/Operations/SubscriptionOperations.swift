import Contracts
import Platform
import Storage
import Wire

struct SubscriptionOperations: Sendable {
    let database: any Database
    let access: Access
    let keys: KeyKeeper
    let confirmations: Confirmations
    let functionsMaySubscribeHTTP: Bool

    // MARK: Subscribe

    func subscribe(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.SubscribeInput(request.input)
        let context = request.context
        let topicKey = try request.topicKey(input.topicArn)
        let (transport, endpoint) = try Endpoint.check(input.protocol ?? "", input.endpoint ?? "", topic: topicKey)
        if transport.isHTTP, !functionsMaySubscribeHTTP, case .roleSession = context.principal {
            throw AWSError.invalidParameter(
                "Endpoint Reason: functions may not subscribe HTTP endpoints while --egress is isolated")
        }
        var asked: Fields = [:]
        for (name, value) in input.attributes ?? [] { asked[name] = .string(value) }
        let isConfirmed = !transport.isHTTP && Self.confirmsItself(transport, endpoint, context)
        var subscription = Subscription(
            topic: topicKey, id: Identifier.uuid(), owner: context.scope.account, transport: transport,
            endpoint: endpoint, attributes: [:], principal: context.principal.arn, server: context.endpoint,
            state: isConfirmed ? .confirmed : .pending, isAuthenticated: isConfirmed)
        if !isConfirmed {
            subscription.token = Identifier.hex(Limits.tokenCharacters)
            subscription.expires = context.now + Limits.tokenLifetime
        }
        // Also a refused subscription tells first that its topic is not there.
        try SubscriptionAttributes.set(asked, on: &subscription)
        let key: SigningKey?
        if topicKey.isFIFO {
            key = nil
        } else if isConfirmed {
            keys.begin()
            key = nil
        } else {
            key = try await keys.key()
        }
        let made = try await database.write { [subscription, asked] transaction in
            try add(subscription, asked: asked, key: key, context, in: transaction)
        }
        var output = Model.SubscribeResponse()
        let shows = made.state == .confirmed || input.returnSubscriptionArn == true
        output.subscriptionArn = shows ? made.arn : "pending confirmation"
        return OperationResponse(output.value)
    }

    /// The subscription that is there already for this endpoint, or the new one.
    private func add(
        _ new: Subscription, asked: Fields, key: SigningKey?, _ context: OperationContext,
        in transaction: any WriteTransaction
    ) throws -> Subscription {
        let topic = try TopicTable.require(new.topic, in: transaction)
        try access.check(
            context, "Subscribe", topic,
            more: ["sns:protocol": [new.transport.rawValue], "sns:endpoint": [new.endpoint]], in: transaction)
        try SubscriptionTable.sweep(now: context.now, in: transaction)
        if var old = try SubscriptionTable.find(new.topic, new.transport, endpoint: new.endpoint, in: transaction) {
            if old.state == .removed {
                try SubscriptionTable.delete(old, in: transaction)
            } else {
                guard SubscriptionAttributes.agree(old, with: asked) else {
                    throw AWSError.invalidParameter(
                        "Attributes Reason: Subscription already exists with different attributes")
                }
                if old.state == .pending {
                    // Asked again, with a token that is good for another two days.
                    old.token = old.token ?? new.token
                    old.expires = new.expires
                    try SubscriptionTable.put(old, in: transaction)
                    try confirmations.send(
                        .subscriptionConfirmation, to: old, topic: topic, key: key, now: context.now, in: transaction)
                }
                return old
            }
        }
        try checkRoom(for: new, topic: topic, now: context.now, in: transaction)
        try SubscriptionTable.put(new, in: transaction)
        if new.state == .pending {
            try confirmations.send(
                .subscriptionConfirmation, to: new, topic: topic, key: key, now: context.now, in: transaction)
        }
        return new
    }

    private func checkRoom(
        for new: Subscription, topic: Topic, now: Instant, in transaction: any ReadTransaction
    ) throws {
        let counts = try SubscriptionTable.counts(new.topic, now: now, in: transaction)
        let isLarge = topic.messageBytes > Limits.messageBytes
        if isLarge, new.transport.isHTTP {
            throw AWSError.invalidParameter(
                "Protocol Reason: A topic with a MaximumMessageSize above 256 KiB takes subscriptions of Amazon SQS, "
                    + "Amazon Data Firehose and Lambda only")
        }
        let most =
            new.topic.isFIFO
            ? Limits.fifoSubscriptions : isLarge ? Limits.largeMessageSubscriptions : Limits.subscriptions
        guard counts.confirmed + counts.pending < most else {
            throw AWSError(
                "SubscriptionLimitExceeded", status: 403, "Subscription limit of \(most) per topic exceeded")
        }
        if new.filterPolicy != nil, counts.filtered >= Limits.filterPoliciesPerTopic {
            throw AWSError(
                "FilterPolicyLimitExceeded", status: 403,
                "Filter policy limit of \(Limits.filterPoliciesPerTopic) per topic exceeded")
        }
    }

    /// Functions need no confirmation, nor do queues of the caller's own account.
    private static func confirmsItself(
        _ transport: SubscriptionProtocol, _ endpoint: String, _ context: OperationContext
    ) -> Bool {
        transport == .lambda || ARN(endpoint)?.account == context.scope.account
    }

    // MARK: Confirm and unsubscribe

    func confirm(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ConfirmSubscriptionInput(request.input)
        let context = request.context
        guard let topicKey = try? TopicKey(arn: input.topicArn) else { throw AWSError.invalidParameter("Topic") }
        let token = input.token ?? ""
        guard token.utf8.count == Limits.tokenCharacters,
            token.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { throw AWSError("InvalidParameter", "Invalid token") }
        let guardsIt = input.authenticateOnUnsubscribe?.lowercased() == "true"
        let isSigned = request.isSigned
        if guardsIt, !isSigned, context.principal == .anonymous {
            throw AWSError.forbidden("AuthenticateOnUnsubscribe needs a signed request")
        }
        let arn = try await database.write { transaction in
            guard try TopicTable.get(topicKey, in: transaction) != nil else { throw AWSError.invalidParameter("Topic") }
            guard var subscription = try SubscriptionTable.find(token: token, in: transaction),
                subscription.topic == topicKey, subscription.expires.map({ $0 > context.now }) ?? true
            else { throw AWSError.invalidParameter("Token") }
            // The token stays, so that a confirmation that is made twice is as good as one.
            if subscription.state != .confirmed {
                subscription.state = .confirmed
                subscription.isAuthenticated = isSigned
                subscription.isGuarded = guardsIt
                subscription.expires = nil
                try SubscriptionTable.put(subscription, in: transaction)
            }
            return subscription.arn
        }
        var output = Model.ConfirmSubscriptionResponse()
        output.subscriptionArn = arn
        return OperationResponse(output.value)
    }

    func unsubscribe(_ request: OperationRequest) async throws -> OperationResponse {
        let key = try SubscriptionKey(arn: Model.UnsubscribeInput(request.input).subscriptionArn)
        let context = request.context
        let isSigned = request.isSigned
        // Only who follows the link of a message gets a last one, with a way back.
        let signing = isSigned || key.topic.isFIFO ? keys.current : try await keys.key()
        try await database.write { transaction in
            guard var subscription = try SubscriptionTable.get(key.topic, id: key.id, in: transaction),
                subscription.state != .removed
            else { return }
            if isSigned {
                try checkOwner(subscription, context, "Unsubscribe", in: transaction)
            } else if subscription.isGuarded {
                throw AWSError.forbidden("The subscription takes authenticated requests to unsubscribe only")
            }
            if subscription.state == .confirmed { try TopicTable.countDeleted(key.topic, in: transaction) }
            guard !isSigned, subscription.transport.isHTTP, subscription.state == .confirmed,
                let topic = try TopicTable.get(key.topic, in: transaction)
            else { return try SubscriptionTable.delete(subscription, in: transaction) }
            subscription.state = .removed
            subscription.token = Identifier.hex(Limits.tokenCharacters)
            subscription.expires = context.now + Limits.tokenLifetime
            try SubscriptionTable.put(subscription, in: transaction)
            try confirmations.send(
                .unsubscribeConfirmation, to: subscription, topic: topic, key: signing, now: context.now,
                in: transaction)
        }
        return OperationResponse()
    }

    /// The subscription's and the topic's owner may, and who of theirs is allowed to.
    private func checkOwner(
        _ subscription: Subscription, _ context: OperationContext, _ action: String, in transaction: any ReadTransaction
    ) throws {
        let account = context.principal.account
        guard account == subscription.owner || account == subscription.topic.scope.account else {
            throw AWSError.forbidden(
                "User: \(context.principal.arn) is not authorized to perform: SNS:\(action) on resource: "
                    + "\(subscription.arn)")
        }
        try access.check(
            context, action, resource: subscription.topic.arn, owner: account, in: transaction)
    }

    // MARK: Attributes

    func getAttributes(_ request: OperationRequest) async throws -> OperationResponse {
        let key = try Self.key(Model.GetSubscriptionAttributesInput(request.input).subscriptionArn)
        let context = request.context
        var output = Model.GetSubscriptionAttributesResponse()
        output.attributes = try await database.read { transaction in
            let subscription = try require(key, now: context.now, in: transaction)
            try checkOwner(subscription, context, "GetSubscriptionAttributes", in: transaction)
            let topic = try TopicTable.require(key.topic, in: transaction)
            return SubscriptionAttributes.shown(subscription, topic: topic)
        }
        return OperationResponse(output.value)
    }

    func setAttributes(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.SetSubscriptionAttributesInput(request.input)
        let key = try Self.key(input.subscriptionArn)
        let context = request.context
        let (name, value) = (input.attributeName ?? "", input.attributeValue ?? "")
        try await database.write { transaction in
            var subscription = try require(key, now: context.now, in: transaction)
            try checkOwner(subscription, context, "SetSubscriptionAttributes", in: transaction)
            let hadFilter = subscription.filterPolicy != nil
            try SubscriptionAttributes.set(name, value, on: &subscription, isSubscribe: false)
            if !hadFilter, subscription.filterPolicy != nil {
                let counts = try SubscriptionTable.counts(key.topic, now: context.now, in: transaction)
                guard counts.filtered < Limits.filterPoliciesPerTopic else {
                    throw AWSError(
                        "FilterPolicyLimitExceeded", status: 403,
                        "Filter policy limit of \(Limits.filterPoliciesPerTopic) per topic exceeded")
                }
            }
            try SubscriptionTable.put(subscription, in: transaction)
        }
        return OperationResponse()
    }

    private static func key(_ arn: String?) throws -> SubscriptionKey {
        do throws(AWSError) {
            return try SubscriptionKey(arn: arn)
        } catch {
            throw error.message.hasSuffix(": SubscriptionId") ? AWSError.subscriptionNotFound : error
        }
    }

    private func require(
        _ key: SubscriptionKey, now: Instant, in transaction: any ReadTransaction
    ) throws -> Subscription {
        guard let subscription = try SubscriptionTable.get(key.topic, id: key.id, in: transaction),
            subscription.state != .removed, subscription.expires.map({ $0 > now }) ?? true
        else { throw AWSError.subscriptionNotFound }
        return subscription
    }

    // MARK: Lists

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let place = try ListToken.decode(Model.ListSubscriptionsInput(request.input).nextToken, parts: 3)
        let context = request.context
        let found = try await database.read { transaction in
            try access.check(
                context, "ListSubscriptions",
                resource: "arn:aws:sns:\(context.scope.region):\(context.scope.account):*", in: transaction)
            return try SubscriptionTable.list(
                owner: context.scope.account, region: context.scope.region, after: place, limit: Limits.page + 1,
                now: context.now, in: transaction)
        }
        var output = Model.ListSubscriptionsResponse()
        output.subscriptions = found.prefix(Limits.page).map(Self.shape)
        if found.count > Limits.page {
            let last = found[Limits.page - 1]
            output.nextToken = ListToken.encode(last.topic.scope.account, last.topic.name, last.id)
        }
        return OperationResponse(output.value)
    }

    func listByTopic(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListSubscriptionsByTopicInput(request.input)
        let key = try request.topicKey(input.topicArn)
        let place = try ListToken.decode(input.nextToken, parts: 1)
        let context = request.context
        let found = try await database.read { transaction in
            let topic = try TopicTable.require(key, in: transaction)
            try access.check(context, "ListSubscriptionsByTopic", topic, in: transaction)
            return try SubscriptionTable.list(
                key, after: place.first ?? "", limit: Limits.page + 1, now: context.now, in: transaction)
        }
        var output = Model.ListSubscriptionsByTopicResponse()
        output.subscriptions = found.prefix(Limits.page).map(Self.shape)
        if found.count > Limits.page { output.nextToken = ListToken.encode(found[Limits.page - 1].id) }
        return OperationResponse(output.value)
    }

    private static func shape(_ subscription: Subscription) -> Model.Subscription {
        var shape = Model.Subscription()
        shape.subscriptionArn = subscription.state == .pending ? "PendingConfirmation" : subscription.arn
        shape.owner = subscription.owner
        shape.protocol = subscription.transport.rawValue
        shape.endpoint = subscription.endpoint
        shape.topicArn = subscription.topic.arn
        return shape
    }
}

/// What can be subscribed.
enum Endpoint {
    static func check(
        _ name: String, _ endpoint: String, topic: TopicKey
    ) throws(AWSError) -> (SubscriptionProtocol, String) {
        switch name {
        case "email", "email-json", "sms", "application": throw .outOfScope("The protocol \(name)")
        case "firehose": throw .invalidParameter("Martlet has no Data Firehose: the protocol firehose is not available")
        default: break
        }
        guard let transport = SubscriptionProtocol(rawValue: name) else {
            throw .invalidParameter("Amazon SNS does not support this protocol string: \(name)")
        }
        guard !endpoint.isEmpty, endpoint.utf8.count <= Limits.endpointBytes else {
            throw .invalidParameter("Endpoint")
        }
        switch transport {
        case .http, .https: try checkURL(endpoint, transport)
        case .sqs:
            guard let arn = ARN(endpoint), arn.service == "sqs" else { throw .invalidParameter("SQS endpoint ARN") }
            guard topic.isFIFO || !arn.resource.hasSuffix(".fifo") else {
                throw .invalidParameter(
                    "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
            }
        case .lambda:
            guard let arn = ARN(endpoint), arn.service == "lambda", arn.resource.hasPrefix("function:") else {
                throw .invalidParameter("Lambda endpoint ARN")
            }
        }
        if topic.isFIFO, transport != .sqs {
            throw .invalidParameter("Invalid parameter: Endpoint Reason: Please use SQS queue for FIFO topics")
        }
        return (transport, endpoint)
    }

    private static func checkURL(_ url: String, _ transport: SubscriptionProtocol) throws(AWSError) {
        guard url.hasPrefix("\(transport.rawValue)://") else {
            throw .invalidParameter("Endpoint must match the specified protocol")
        }
        let authority = url.dropFirst(transport.rawValue.count + 3).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.isEmpty, url.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .invalidParameter("Unreachable Endpoint")
        }
    }
}
