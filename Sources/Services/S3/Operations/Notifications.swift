import Contracts
import Platform
import Storage
import Wire

extension S3Service {
    /// Puts one delivery into the outbox for every rule that the event fires.
    func notify(
        _ event: String, of subject: EventSubject, bucket: StoredBucket, cause: EventCause,
        in transaction: any WriteTransaction
    ) throws {
        try cause.call?.record(in: transaction)
        let rules = bucket.notifications.matching(event: event, key: subject.key)
        guard !rules.isEmpty || bucket.notifications.sendsToEventBridge else { return }
        let now = time.now()
        let record = ObjectEvent(
            name: event, subject: subject, time: now,
            sequencer: try Sequencer.next(now: now, in: transaction), requestID: cause.requestID,
            sourceIP: cause.sourceIP, principal: cause.principal)
        for rule in rules {
            let message = EventRecord.message(record, bucket: bucket, configurationID: rule.id)
            try send(message, to: rule.target, for: bucket, traceHeader: cause.traceHeader, in: transaction)
        }
        if bucket.notifications.sendsToEventBridge, let content = BusEvent(record, bucket: bucket) {
            let bus = ARN(
                service: "events", region: bucket.region, account: bucket.account, resource: "event-bus/default")
            let delivery = Delivery(
                id: Identifier.uuid(), target: bus.description, principal: bucket.principal,
                payload: JSON.encode(content.detail), createdAt: now,
                attributes: DeliveryAttributes(
                    traceHeader: cause.traceHeader,
                    event: DeliveryAttributes.EventKind(
                        source: "aws.s3", detailType: content.detailType, resources: [bucket.arn])))
            try outbox.send(delivery, in: transaction)
        }
    }

    private func send(
        _ message: Value, to target: String, for bucket: StoredBucket, traceHeader: String?,
        in transaction: any WriteTransaction
    ) throws {
        let delivery = Delivery(
            id: Identifier.uuid(), target: target, principal: bucket.principal, payload: JSON.encode(message),
            createdAt: time.now(),
            attributes: DeliveryAttributes(subject: "Amazon S3 Notification", traceHeader: traceHeader))
        try outbox.send(delivery, in: transaction)
    }

    func getBucketNotificationConfiguration(
        _ input: Model.GetBucketNotificationConfigurationRequest, _ request: OperationRequest
    ) async throws -> OperationResponse {
        let bucket = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        return OperationResponse(bucket.notifications.output.value)
    }

    func putBucketNotificationConfiguration(
        _ input: Model.PutBucketNotificationConfigurationRequest, _ request: OperationRequest
    ) async throws -> OperationResponse {
        let context = request.context
        let configuration = try NotificationConfiguration(input.notificationConfiguration ?? .init())
        try configuration.checkOverlaps()
        try await database.write { transaction in
            var bucket = try self.bucket(
                input.bucket, for: context, expectedOwner: input.expectedBucketOwner, in: transaction)
            if input.skipDestinationValidation != true {
                for rule in configuration.rules { try self.validate(rule, bucket: bucket, in: transaction) }
            }
            bucket.notifications = configuration
            try BucketTable.setNotifications(configuration, of: bucket.name, in: transaction)
            for rule in configuration.rules where rule.kind != .lambda && input.skipDestinationValidation != true {
                let message = EventRecord.testMessage(
                    bucket: bucket.name, time: self.time.now(), requestID: context.requestID)
                try self.send(message, to: rule.target, for: bucket, traceHeader: nil, in: transaction)
            }
        }
        return OperationResponse()
    }

    /// The target must exist and let S3 in for this bucket. Throws InvalidArgument as S3 does.
    private func validate(
        _ rule: NotificationConfiguration.Rule, bucket: StoredBucket, in transaction: any ReadTransaction
    ) throws {
        do {
            try outbox.validate(target: rule.target, for: bucket.principal, in: transaction)
        } catch let refusal as DeliveryRefusal {
            guard case .permanent(let code, _) = refusal else { return }
            let denied = code.contains("AccessDenied") || code.contains("NotAuthorized")
            let text = "Unable to validate the following destination configurations"
            guard denied else {
                throw S3Error.invalidArgument(
                    text, name: rule.target, value: "The destination \(rule.kind.noun) does not exist")
            }
            let reason =
                rule.kind == .lambda
                ? "Not authorized to invoke function [\(rule.target)]"
                : "Permissions on the destination \(rule.kind.noun) do not allow S3 to publish notifications from this "
                    + "bucket"
            throw S3Error.invalidArgument(
                text, name: rule.kind == .lambda ? "\(rule.target), null" : rule.target, value: reason)
        }
    }
}

extension StoredBucket {
    /// S3 acting for this bucket: what targets' policies are asked about.
    var principal: Principal { .service(name: "s3.amazonaws.com", sourceARN: arn, sourceAccount: account) }
}

extension NotificationConfiguration {
    /// Reads and validates what a client sent; ids that it left out are made here. Throws InvalidArgument and MalformedXML.
    init(_ input: Model.NotificationConfiguration) throws {
        sendsToEventBridge = input.eventBridgeConfiguration != nil
        for item in input.topicConfigurations ?? [] {
            try add(.topic, id: item.id, target: item.topicArn, events: item.events, filter: item.filter)
        }
        for item in input.queueConfigurations ?? [] {
            try add(.queue, id: item.id, target: item.queueArn, events: item.events, filter: item.filter)
        }
        for item in input.lambdaFunctionConfigurations ?? [] {
            try add(.lambda, id: item.id, target: item.lambdaFunctionArn, events: item.events, filter: item.filter)
        }
        guard rules.count <= Limits.notificationConfigurations else {
            throw AWSError(
                "TooManyConfigurations", status: 400,
                "You have attempted to create more notification configurations than allowed.")
        }
        guard Set(rules.map(\.id)).count == rules.count else {
            throw AWSError(
                "InvalidArgument", status: 400, "Same ID used for multiple configurations. IDs must be unique")
        }
    }

    private mutating func add(
        _ kind: Kind, id: String?, target: String?, events: [String]?, filter: Model.NotificationConfigurationFilter?
    ) throws {
        // More than there are would only be repeated; every event is compared with every other rule's.
        guard let target, let events, !events.isEmpty, events.count <= EventName.all.count else {
            throw S3Error.malformedXML
        }
        guard let arn = ARN(target), arn.service == kind.service else {
            throw S3Error.invalidArgument("The ARN could not be parsed", name: kind.arnMember, value: target)
        }
        if let unknown = events.first(where: { !EventName.all.contains($0) }) {
            throw S3Error.invalidArgument(
                "The event is not supported for notifications", name: "Event", value: unknown)
        }
        if let id, id.utf8.count > Limits.notificationIdBytes {
            throw S3Error.invalidArgument("ID is too long", name: "Id", value: id)
        }
        var rule = Rule(
            id: id.flatMap { $0.isEmpty ? nil : $0 } ?? Identifier.uuid(), kind: kind, target: target, events: events)
        try rule.setFilter(filter?.key?.filterRules ?? [])
        rules.append(rule)
    }

    /// As GetBucketNotificationConfiguration answers it.
    var output: Model.NotificationConfiguration {
        var output = Model.NotificationConfiguration()
        let topics = rules.filter { $0.kind == .topic }.map { rule in
            var item = Model.TopicConfiguration()
            (item.id, item.topicArn, item.events, item.filter) = (rule.id, rule.target, rule.events, rule.filter)
            return item
        }
        let queues = rules.filter { $0.kind == .queue }.map { rule in
            var item = Model.QueueConfiguration()
            (item.id, item.queueArn, item.events, item.filter) = (rule.id, rule.target, rule.events, rule.filter)
            return item
        }
        let functions = rules.filter { $0.kind == .lambda }.map { rule in
            var item = Model.LambdaFunctionConfiguration()
            (item.id, item.lambdaFunctionArn, item.events, item.filter) = (
                rule.id, rule.target, rule.events, rule.filter
            )
            return item
        }
        if !topics.isEmpty { output.topicConfigurations = topics }
        if !queues.isEmpty { output.queueConfigurations = queues }
        if !functions.isEmpty { output.lambdaFunctionConfigurations = functions }
        if sendsToEventBridge { output.eventBridgeConfiguration = Model.EventBridgeConfiguration() }
        return output
    }
}

extension NotificationConfiguration.Rule {
    fileprivate mutating func setFilter(_ filterRules: [Model.FilterRule]) throws {
        for (index, filter) in filterRules.enumerated() {
            let value = filter.value_ ?? ""
            guard value.utf8.count <= Limits.filterValueBytes else {
                throw S3Error.invalidArgument(
                    "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation",
                    name: "FilterRule.Value", value: value)
            }
            switch (filter.name ?? "").lowercased() {
            case "prefix":
                guard prefix == nil else { throw repeated("prefix") }
                prefix = value
            case "suffix":
                guard suffix == nil else { throw repeated("suffix") }
                suffix = value
                if index == 0 { suffixFirst = true }
            default:
                throw S3Error.invalidArgument(
                    "filter rule name must be either prefix or suffix", name: "FilterRule.Name",
                    value: filter.name ?? "")
            }
        }
    }

    private func repeated(_ name: String) -> AWSError {
        S3Error.invalidArgument(
            "Cannot specify more than one \(name) rule in a filter.", name: "FilterRule.Name", value: name)
    }

    /// Names come back capitalised, whatever the client wrote.
    fileprivate var filter: Model.NotificationConfigurationFilter? {
        var filterRules: [Model.FilterRule] = []
        for (name, value) in [("Prefix", prefix), ("Suffix", suffix)] {
            guard let value else { continue }
            var item = Model.FilterRule()
            (item.name, item.value_) = (name, value)
            filterRules.append(item)
        }
        guard !filterRules.isEmpty else { return nil }
        if suffixFirst { filterRules.reverse() }
        var key = Model.S3KeyFilter()
        key.filterRules = filterRules
        var filter = Model.NotificationConfigurationFilter()
        filter.key = key
        return filter
    }
}
