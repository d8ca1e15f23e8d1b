import Contracts
import Platform

/// One firing of a schedule: what its target gets.
struct TargetCall: Sendable {
    var schedule: Schedule
    /// The time that it fires for.
    var scheduled: Instant
    /// Of this firing, the same over all its attempts.
    var executionID: String
    var now: Instant

    /// A delivery as the schedule's role.
    func delivery() -> Delivery {
        let (target, key) = (schedule.target, schedule.key)
        let role = Principal.roleSession(
            roleARN: target.roleArn ?? "", sessionName: String(key.name.prefix(Limits.sessionCharacters)),
            account: key.group.scope.account)
        var delivery = Delivery(
            id: Identifier.uuid(), target: target.arn ?? "", principal: role, payload: payload(target), createdAt: now,
            retry: DeliveryRetry(
                maximumRetries: target.retryPolicy?.maximumRetryAttempts ?? Limits.retries,
                maximumAge: target.retryPolicy?.maximumEventAgeInSeconds.map { .seconds($0) } ?? Limits.eventAge))
        delivery.attributes.messageGroupID = target.sqsParameters?.messageGroupId
        delivery.attributes.partitionKey = target.kinesisParameters?.partitionKey
        if let event = target.eventBridgeParameters {
            delivery.attributes.event = DeliveryAttributes.EventKind(
                source: event.source ?? "", detailType: event.detailType ?? "", resources: [key.arn])
        }
        if let queue = target.deadLetterConfig?.arn {
            delivery.deadLetter = DeadLetter(target: queue, principal: role)
            // User guide, "Configuring a dead-letter queue", "Retrieve the dead-letter event". Nothing here is cut short.
            delivery.deadLetter?.source = [
                ("SCHEDULE_ARN", key.arn), ("EXECUTION_ID", executionID), ("SCHEDULED_TIME", scheduled.iso8601()),
                ("IS_PAYLOAD_TRUNCATED", "false"),
            ].map { MessageAttribute(name: $0, dataType: "String", content: .string($1)) }
        }
        return delivery
    }

    private func payload(_ target: Model.Target) -> [UInt8] {
        if let input = target.input { return Array(filled(input).utf8) }
        if target.eventBridgeParameters != nil { return Array("{}".utf8) }
        let scope = schedule.key.group.scope
        // The detail is a text (reference 6.4).
        return JSON.encode([
            "version": "0", "id": .string(Identifier.uuid()), "detail-type": "Scheduled Event",
            "source": "aws.scheduler", "account": .string(scope.account), "time": .string(scheduled.iso8601()),
            "region": .string(scope.region), "resources": [.string(schedule.key.arn)], "detail": "{}",
        ])
    }

    /// The input with its context attributes (user guide, "Adding context attributes").
    func filled(_ input: String) -> String {
        guard input.contains("<aws.scheduler.") else { return input }
        var text = input
        for (name, value) in [
            ("schedule-arn", schedule.key.arn), ("scheduled-time", scheduled.iso8601()),
            ("execution-id", executionID), ("attempt-number", "1"),
        ] {
            text = text.replacing("<aws.scheduler.\(name)>", with: value)
        }
        return text
    }
}
