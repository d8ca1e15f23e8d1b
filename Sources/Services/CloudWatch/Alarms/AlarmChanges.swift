import Contracts
import Platform
import Storage
import Wire

/// Carries changes of alarms out: state, history, actions and events in one transaction.
struct AlarmChanges: Sendable {
    let outbox: any DeliveryOutbox

    /// The alarm becomes `state`; what it has to do for that is done, if its actions are enabled and it was another before.
    func set(_ state: AlarmState, of alarm: Alarm, in transaction: any WriteTransaction) throws {
        var changed = alarm
        let transition = AlarmTransition(from: alarm.state, to: state)
        changed.state = state
        try AlarmTable.put(changed, in: transaction)
        guard transition.from.value != state.value else { return }
        let scope = alarm.key.scope
        try HistoryTable.append(AlarmMessages.stateUpdate(changed, transition), scope, in: transaction)
        try tellBus(
            changed, AlarmMessages.stateChange, AlarmMessages.busDetail(changed, transition), at: state.updated,
            in: transaction)
        guard changed.actionsEnabled else { return }
        for target in changed.actions(of: state.value) {
            let failure = try act(target, changed, transition, in: transaction)
            try HistoryTable.append(
                AlarmMessages.action(changed, target, failure: failure, transition), scope, in: transaction)
        }
    }

    /// nil, or why it was not done.
    private func act(
        _ target: String, _ alarm: Alarm, _ transition: AlarmTransition, in transaction: any WriteTransaction
    ) throws -> String? {
        let now = transition.to.updated
        let account = alarm.key.scope.account
        var delivery: Delivery
        switch ARN(target)?.service {
        case "lambda":
            delivery = Delivery(
                id: Identifier.uuid(), target: target,
                principal: .service(
                    name: "lambda.alarms.cloudwatch.amazonaws.com", sourceARN: alarm.key.arn, sourceAccount: account),
                payload: JSON.encode(AlarmMessages.functionEvent(alarm, transition)), createdAt: now)
        case "sns":
            delivery = Delivery(
                id: Identifier.uuid(), target: target,
                principal: .service(
                    name: "cloudwatch.amazonaws.com", sourceARN: alarm.key.arn, sourceAccount: account),
                payload: JSON.encode(AlarmMessages.topicMessage(alarm, transition)), createdAt: now)
            delivery.attributes.subject = AlarmMessages.subject(alarm, transition.to)
        default: return "Martlet has no such kind of action"
        }
        do {
            try outbox.validate(target: target, for: delivery.principal, in: transaction)
        } catch DeliveryRefusal.permanent(_, let message) {
            return message
        } catch is DeliveryRefusal {
            // It may be there in a moment: the outbox tries again.
        }
        try outbox.send(delivery, in: transaction)
        return nil
    }

    func tellBus(
        _ alarm: Alarm, _ detailType: String, _ detail: Value, at now: Instant, in transaction: any WriteTransaction
    ) throws {
        let scope = alarm.key.scope
        let bus = ARN(service: "events", region: scope.region, account: scope.account, resource: "event-bus/default")
        let delivery = Delivery(
            id: Identifier.uuid(), target: bus.description,
            principal: .service(
                name: "cloudwatch.amazonaws.com", sourceARN: alarm.key.arn, sourceAccount: scope.account),
            payload: JSON.encode(detail), createdAt: now,
            attributes: DeliveryAttributes(
                event: DeliveryAttributes.EventKind(
                    source: "aws.cloudwatch", detailType: detailType, resources: [alarm.key.arn])))
        try outbox.send(delivery, in: transaction)
    }
}
