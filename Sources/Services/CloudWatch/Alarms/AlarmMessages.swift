import Contracts
import Platform
import Wire

/// One change of an alarm's state.
struct AlarmTransition: Sendable {
    var from: AlarmState
    var to: AlarmState
}

/// What alarms tell others: functions, topics, event buses, their own history. Pure.
enum AlarmMessages {
    // MARK: Functions (lambda-semantics 6.6)

    static func functionEvent(_ alarm: Alarm, _ transition: AlarmTransition) -> Value {
        [
            "source": "aws.cloudwatch", "alarmArn": .string(alarm.key.arn),
            "accountId": .string(alarm.key.scope.account), "time": .string(AlarmTexts.time(transition.to.updated)),
            "region": .string(alarm.key.scope.region),
            "alarmData": [
                "alarmName": .string(alarm.key.name), "state": state(transition.to),
                "previousState": state(transition.from), "configuration": configuration(alarm),
            ],
        ]
    }

    // MARK: Event buses (CloudWatch user guide, "Alarm events and EventBridge")

    static let stateChange = "CloudWatch Alarm State Change"
    static let configurationChange = "CloudWatch Alarm Configuration Change"

    static func busDetail(_ alarm: Alarm, _ transition: AlarmTransition) -> Value {
        [
            "alarmName": .string(alarm.key.name), "configuration": configuration(alarm),
            "previousState": state(transition.from), "state": state(transition.to),
        ]
    }

    /// `operation`: create, update or delete.
    static func busDetail(_ alarm: Alarm, operation: String, previous: Alarm?) -> Value {
        var detail: Fields = [
            "alarmName": .string(alarm.key.name), "operation": .string(operation), "state": state(alarm.state),
            "configuration": configuration(alarm, isWhole: true),
        ]
        detail["previousConfiguration"] = previous.map { configuration($0, isWhole: true) }
        return .map(detail)
    }

    private static func state(_ state: AlarmState) -> Value {
        var fields: Fields = ["value": .string(state.value.rawValue), "reason": .string(state.reason)]
        fields["reasonData"] = state.reasonData.map { .string($0) }
        fields["timestamp"] = .string(AlarmTexts.time(state.updated))
        return .map(fields)
    }

    private static func configuration(_ alarm: Alarm, isWhole: Bool = false) -> Value {
        let input = alarm.input
        let description: Value? = input.alarmDescription.map { .string($0) }
        var fields = Fields()
        if !isWhole {
            fields["description"] = description
        } else {
            fields["evaluationPeriods"] = .int(Int64(alarm.rules.evaluationPeriods))
            fields["threshold"] = .double(alarm.rules.threshold)
            fields["comparisonOperator"] = .string(alarm.rules.comparison.rawValue)
            fields["treatMissingData"] = .string(input.treatMissingData ?? "missing")
        }
        switch alarm.subject {
        case .metric(let id, _, _):
            let metric: Fields = [
                "id": .string(Identifier.uuid()),
                "metricStat": stat(
                    id, period: alarm.period, statistic: input.statistic ?? input.extendedStatistic ?? "",
                    unit: input.unit),
                "returnData": true,
            ]
            fields["metrics"] = [.map(metric)]
        case .math:
            fields["metrics"] = .list((input.metrics ?? []).map(metric))
        }
        if isWhole {
            fields["alarmName"] = .string(alarm.key.name)
            fields["timestamp"] = .string(AlarmTexts.time(alarm.configured))
            fields["actionsEnabled"] = .bool(alarm.actionsEnabled)
            fields["okActions"] = .strings(input.okActions ?? [])
            fields["alarmActions"] = .strings(input.alarmActions ?? [])
            fields["insufficientDataActions"] = .strings(input.insufficientDataActions ?? [])
            fields["description"] = description
        }
        return .map(fields)
    }

    private static func metric(_ query: Model.MetricDataQuery) -> Value {
        var fields: Fields = ["id": .string(query.id ?? "")]
        if let found = query.metricStat, let metric = found.metric {
            fields["metricStat"] = stat(
                MetricID(namespace: metric.namespace ?? "", name: metric.metricName ?? "", metric.dimensions),
                period: Int64(found.period ?? 0), statistic: found.stat ?? "", unit: found.unit)
        }
        if let expression = query.expression { fields["expression"] = .string(expression) }
        if let label = query.label { fields["label"] = .string(label) }
        fields["returnData"] = .bool(query.returnData ?? true)
        return .map(fields)
    }

    private static func stat(_ id: MetricID, period: Int64, statistic: String, unit: String?) -> Value {
        var fields: Fields = [
            "metric": [
                "namespace": .string(id.namespace), "name": .string(id.name),
                "dimensions": .stringMap(id.dimensions.map { ($0.name, $0.value) }),
            ],
            "period": .int(period), "stat": .string(statistic),
        ]
        if let unit { fields["unit"] = .string(unit) }
        return .map(fields)
    }

    // MARK: Topics

    static func subject(_ alarm: Alarm, _ state: AlarmState) -> String {
        let text = "\(state.value.rawValue): \"\(alarm.key.name)\" in \(AlarmTexts.regionName(alarm.key.scope.region))"
        // A subject has at most 100 characters.
        return text.count > 100 ? String(text.prefix(97)) + "..." : text
    }

    static func topicMessage(_ alarm: Alarm, _ transition: AlarmTransition) -> Value {
        let input = alarm.input
        return [
            "AlarmName": .string(alarm.key.name),
            "AlarmDescription": input.alarmDescription.map { .string($0) } ?? .null,
            "AWSAccountId": .string(alarm.key.scope.account),
            "AlarmConfigurationUpdatedTimestamp": .string(AlarmTexts.time(alarm.configured)),
            "NewStateValue": .string(transition.to.value.rawValue),
            "NewStateReason": .string(transition.to.reason),
            "StateChangeTime": .string(AlarmTexts.time(transition.to.updated)),
            "Region": .string(AlarmTexts.regionName(alarm.key.scope.region)), "AlarmArn": .string(alarm.key.arn),
            "OldStateValue": .string(transition.from.value.rawValue),
            "OKActions": .strings(input.okActions ?? []), "AlarmActions": .strings(input.alarmActions ?? []),
            "InsufficientDataActions": .strings(input.insufficientDataActions ?? []),
            "Trigger": .map(trigger(alarm)),
        ]
    }

    private static func trigger(_ alarm: Alarm) -> Fields {
        let input = alarm.input
        var fields = Fields()
        if case .metric(let id, _, _) = alarm.subject {
            fields["MetricName"] = .string(id.name)
            fields["Namespace"] = .string(id.namespace)
            if let statistic = input.statistic {
                fields["StatisticType"] = "Statistic"
                fields["Statistic"] = .string(topicStatistic(statistic))
            } else {
                fields["StatisticType"] = "ExtendedStatistic"
                fields["ExtendedStatistic"] = .string(input.extendedStatistic ?? "")
            }
            fields["Unit"] = input.unit.map { .string($0) } ?? .null
            fields["Dimensions"] = .list(
                (input.dimensions ?? []).map { ["value": .string($0.value_ ?? ""), "name": .string($0.name ?? "")] })
        }
        fields["Period"] = .int(alarm.period)
        fields["EvaluationPeriods"] = .int(Int64(alarm.rules.evaluationPeriods))
        if let count = alarm.datapointsToAlarm { fields["DatapointsToAlarm"] = .int(Int64(count)) }
        fields["ComparisonOperator"] = .string(alarm.rules.comparison.rawValue)
        fields["Threshold"] = .double(alarm.rules.threshold)
        fields["TreatMissingData"] = .string(input.treatMissingData ?? "missing")
        fields["EvaluateLowSampleCountPercentile"] = .string(input.evaluateLowSampleCountPercentile ?? "")
        if case .math = alarm.subject { fields["Metrics"] = .list((input.metrics ?? []).map(topicMetric)) }
        return fields
    }

    /// Messages name these statistics in capitals, with a break in SAMPLE_COUNT.
    private static func topicStatistic(_ name: String) -> String {
        name == "SampleCount" ? "SAMPLE_COUNT" : name.uppercased()
    }

    private static func topicMetric(_ query: Model.MetricDataQuery) -> Value {
        var fields = Fields()
        if let expression = query.expression { fields["Expression"] = .string(expression) }
        fields["Id"] = .string(query.id ?? "")
        if let label = query.label { fields["Label"] = .string(label) }
        if let found = query.metricStat, let metric = found.metric {
            fields["MetricStat"] = [
                "Metric": [
                    "Dimensions": .list(
                        (metric.dimensions ?? []).map {
                            ["value": .string($0.value_ ?? ""), "name": .string($0.name ?? "")]
                        }),
                    "MetricName": .string(metric.metricName ?? ""), "Namespace": .string(metric.namespace ?? ""),
                ],
                "Period": .int(Int64(found.period ?? 0)), "Stat": .string(found.stat ?? ""),
            ]
        }
        fields["ReturnData"] = .bool(query.returnData ?? true)
        return .map(fields)
    }

    // MARK: History

    static func stateUpdate(_ alarm: Alarm, _ transition: AlarmTransition) -> HistoryTable.Item {
        func state(_ state: AlarmState) -> Value {
            var fields: Fields = [
                "stateValue": .string(state.value.rawValue), "stateReason": .string(state.reason),
            ]
            if let text = state.reasonData {
                fields["stateReasonData"] = (try? JSON.parse(text)) ?? .string(text)
            }
            return .map(fields)
        }
        var data: Value = ["version": "1.0", "oldState": state(transition.from), "newState": state(transition.to)]
        var text = JSON.encodeString(data)
        if text.utf8.count > Limits.historyDataCharacters {
            var (old, new) = (transition.from, transition.to)
            (old.reasonData, new.reasonData) = (nil, nil)
            data = ["version": "1.0", "oldState": state(old), "newState": state(new)]
            text = JSON.encodeString(data)
        }
        return HistoryTable.Item(
            alarm: alarm.key.name, time: transition.to.updated, type: "StateUpdate",
            summary: "Alarm updated from \(transition.from.value.rawValue) to \(transition.to.value.rawValue)",
            data: text)
    }

    /// `failure`: why an action was not carried out.
    static func action(
        _ alarm: Alarm, _ target: String, failure: String?, _ transition: AlarmTransition
    ) -> HistoryTable.Item {
        var data: Fields = ["actionState": failure == nil ? "Succeeded" : "Failed"]
        data["stateUpdateTimestamp"] = .int(transition.to.updated.milliseconds)
        data["notificationResource"] = .string(target)
        if let failure { data["error"] = .string(String(failure.prefix(500))) }
        let summary =
            failure.map { "Failed to execute action \(target). Received error: \"\($0)\"" }
            ?? "Successfully executed action \(target)"
        return HistoryTable.Item(
            alarm: alarm.key.name, time: transition.to.updated, type: "Action", summary: summary,
            data: JSON.encodeString(.map(data)))
    }

    static func configurationUpdate(_ alarm: Alarm, type: String, now: Instant) -> HistoryTable.Item {
        let (member, word) =
            switch type {
            case "Create": ("createdAlarm", "created")
            case "Delete": ("deletedAlarm", "deleted")
            default: ("updatedAlarm", "updated")
            }
        let input = alarm.input
        var shown: Fields = ["alarmName": .string(alarm.key.name)]
        if let description = input.alarmDescription { shown["alarmDescription"] = .string(description) }
        shown["alarmArn"] = .string(alarm.key.arn)
        shown["alarmConfigurationUpdatedTimestamp"] = .string(AlarmTexts.time(alarm.configured))
        if case .metric(let id, _, _) = alarm.subject {
            shown["namespace"] = .string(id.namespace)
            shown["metricName"] = .string(id.name)
            if let statistic = input.statistic { shown["statistic"] = .string(statistic) }
            if let statistic = input.extendedStatistic { shown["extendedStatistic"] = .string(statistic) }
            shown["period"] = .int(alarm.period)
            shown["dimensions"] = .list(
                id.dimensions.map { ["value": .string($0.value), "name": .string($0.name)] })
        }
        shown["threshold"] = .double(alarm.rules.threshold)
        shown["comparisonOperator"] = .string(alarm.rules.comparison.rawValue)
        shown["evaluationPeriods"] = .int(Int64(alarm.rules.evaluationPeriods))
        shown["stateValue"] = .string(alarm.state.value.rawValue)
        shown["stateUpdatedTimestamp"] = .string(AlarmTexts.time(alarm.state.updated))
        shown["actionsEnabled"] = .bool(alarm.actionsEnabled)
        shown["okActions"] = .strings(input.okActions ?? [])
        shown["alarmActions"] = .strings(input.alarmActions ?? [])
        shown["insufficientDataActions"] = .strings(input.insufficientDataActions ?? [])
        return HistoryTable.Item(
            alarm: alarm.key.name, time: now, type: "ConfigurationUpdate",
            summary: "Alarm \"\(alarm.key.name)\" \(word)",
            data: JSON.encodeString(
                .map(Fields([("version", "1.0"), ("type", .string(type)), (member, .map(shown))]))))
    }
}
