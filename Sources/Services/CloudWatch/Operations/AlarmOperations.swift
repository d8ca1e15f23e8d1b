import Contracts
import Platform
import Storage
import Wire

struct AlarmOperations: Sendable {
    let database: any Database
    let access: Access
    let changes: AlarmChanges
    let evaluations: AlarmEvaluations

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let input = Model.PutMetricAlarmInput(request.input)
        let key = AlarmKey(scope: context.scope, name: input.alarmName ?? "")
        // PutMetricAlarm, "AlarmName": UTF-8 without ASCII control characters.
        guard key.name.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw AWSError.validation("The alarm name must not contain ASCII control characters.")
        }
        let given = try TagOperations.tags(input.tags ?? [])
        let now = context.now
        // Whatever the alarm may do, in any state.
        let actions =
            (input.alarmActions ?? []) + (input.okActions ?? []) + (input.insufficientDataActions ?? [])
        let fresh = try Alarm(key: key, input, tags: given, configured: now, state: .initial(now))
        try await database.write { [access, changes, evaluations] transaction in
            try access.check(
                request, "PutMetricAlarm", key.arn, keys: ["cloudwatch:alarmactions": actions], in: transaction)
            let old = try AlarmTable.get(key, in: transaction)
            var alarm = fresh
            if let old {
                // An update leaves the state and the tags as they are.
                alarm.state = old.state
                alarm.tags = old.tags
                alarm.revision = old.revision
            } else if try AlarmTable.count(context.scope, in: transaction) >= Limits.alarms {
                throw AWSError("LimitExceeded", "The quota of \(Limits.alarms) alarms has been reached.")
            }
            try AlarmTable.put(alarm, in: transaction)
            try HistoryTable.append(
                AlarmMessages.configurationUpdate(alarm, type: old == nil ? "Create" : "Update", now: now),
                context.scope, in: transaction)
            try changes.tellBus(
                alarm, AlarmMessages.configurationChange,
                AlarmMessages.busDetail(alarm, operation: old == nil ? "create" : "update", previous: old), at: now,
                in: transaction)
            evaluations.added(alarm, in: transaction)
        }
        return OperationResponse()
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let names = Model.DeleteAlarmsInput(request.input).alarmNames ?? []
        try await database.write { [access, changes] transaction in
            for name in names {
                let key = AlarmKey(scope: context.scope, name: name)
                try access.check(request, "DeleteAlarms", key.arn, in: transaction)
                // Names of alarms that are not there are passed over.
                guard let alarm = try AlarmTable.get(key, in: transaction) else { continue }
                _ = try AlarmTable.delete(key, in: transaction)
                try HistoryTable.append(
                    AlarmMessages.configurationUpdate(alarm, type: "Delete", now: context.now), context.scope,
                    in: transaction)
                try changes.tellBus(
                    alarm, AlarmMessages.configurationChange,
                    AlarmMessages.busDetail(alarm, operation: "delete", previous: nil), at: context.now,
                    in: transaction)
            }
        }
        return OperationResponse()
    }

    func enableActions(_ request: OperationRequest) async throws -> OperationResponse {
        let names = Model.EnableAlarmActionsInput(request.input).alarmNames ?? []
        return try await setActions(names, enabled: true, "EnableAlarmActions", request)
    }

    func disableActions(_ request: OperationRequest) async throws -> OperationResponse {
        let names = Model.DisableAlarmActionsInput(request.input).alarmNames ?? []
        return try await setActions(names, enabled: false, "DisableAlarmActions", request)
    }

    private func setActions(
        _ names: [String], enabled: Bool, _ action: String, _ request: OperationRequest
    ) async throws -> OperationResponse {
        let context = request.context
        try await database.write { [access] transaction in
            for name in names {
                let key = AlarmKey(scope: context.scope, name: name)
                try access.check(request, action, key.arn, in: transaction)
                guard var alarm = try AlarmTable.get(key, in: transaction), alarm.actionsEnabled != enabled else {
                    continue
                }
                alarm.actionsEnabled = enabled
                alarm.configured = context.now
                try AlarmTable.put(alarm, in: transaction)
                try HistoryTable.append(
                    AlarmMessages.configurationUpdate(alarm, type: "Update", now: context.now), context.scope,
                    in: transaction)
            }
        }
        return OperationResponse()
    }

    func setState(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let input = Model.SetAlarmStateInput(request.input)
        let key = AlarmKey(scope: context.scope, name: input.alarmName ?? "")
        guard let value = StateValue(rawValue: input.stateValue ?? "") else { throw AWSError.internalFailure() }
        if let data = input.stateReasonData, (try? JSON.validate(Array(data.utf8))) == nil {
            throw AWSError("InvalidFormat", "StateReasonData is not valid JSON")
        }
        let now = context.now
        try await database.write { [access, changes] transaction in
            try access.check(request, "SetAlarmState", key.arn, in: transaction)
            guard let alarm = try AlarmTable.get(key, in: transaction) else { throw AWSError.noAlarm() }
            let state = AlarmState(
                value: value, reason: input.stateReason ?? "", reasonData: input.stateReasonData, updated: now,
                transitioned: value == alarm.state.value ? alarm.state.transitioned : now)
            try changes.set(state, of: alarm, in: transaction)
        }
        return OperationResponse()
    }

    // MARK: Reading

    func describe(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let input = Model.DescribeAlarmsInput(request.input)
        if input.alarmNames != nil, input.alarmNamePrefix != nil {
            throw AWSError.validation("AlarmNamePrefix and AlarmNames are mutually exclusive")
        }
        if input.childrenOfAlarmName != nil || input.parentsOfAlarmName != nil {
            throw AWSError.unsupported("A composite alarm (ChildrenOfAlarmName, ParentsOfAlarmName)")
        }
        let limit = input.maxRecords ?? Limits.defaultDescribePage
        var after = ""
        if let token = input.nextToken {
            guard let name = PageToken.decodeText(token) else { throw AWSError.invalidToken }
            after = name
        }
        var output = Model.DescribeAlarmsOutput()
        output.compositeAlarms = []
        output.metricAlarms = []
        guard input.alarmTypes?.contains("MetricAlarm") ?? true else { return OperationResponse(output.value) }
        let (found, isMore) = try await database.read { [access, after] transaction in
            try access.check(request, "DescribeAlarms", "*", in: transaction)
            return try Self.find(input, context.scope, after: after, limit: limit, in: transaction)
        }
        output.metricAlarms = found.map(\.model)
        if isMore { output.nextToken = found.last.map { PageToken.encode($0.key.name) } }
        return OperationResponse(output.value)
    }

    private static func find(
        _ input: Model.DescribeAlarmsInput, _ scope: AccountRegion, after: String, limit: Int,
        in transaction: any ReadTransaction
    ) throws -> (alarms: [Alarm], isMore: Bool) {
        func fits(_ alarm: Alarm) -> Bool {
            if let value = input.stateValue, alarm.state.value.rawValue != value { return false }
            guard let prefix = input.actionPrefix else { return true }
            let actions = [StateValue.ok, .alarm, .insufficientData].flatMap(alarm.actions)
            return actions.contains { $0.hasPrefix(prefix) }
        }
        var found: [Alarm] = []
        if let names = input.alarmNames {
            for name in Set(names).sorted() where name > after {
                guard let alarm = try AlarmTable.get(AlarmKey(scope: scope, name: name), in: transaction), fits(alarm)
                else {
                    continue
                }
                if found.count == limit { return (found, true) }
                found.append(alarm)
            }
            return (found, false)
        }
        let prefix = input.alarmNamePrefix ?? ""
        // The first name with the prefix comes after everything that sorts before it.
        var place = after
        if place < prefix {
            if let alarm = try AlarmTable.get(AlarmKey(scope: scope, name: prefix), in: transaction), fits(alarm) {
                found.append(alarm)
            }
            place = prefix
        }
        while true {
            let alarms = try AlarmTable.list(scope, after: place, limit: Limits.describePage, in: transaction)
            for alarm in alarms {
                guard alarm.key.name.hasPrefix(prefix) else { return (found, false) }
                if fits(alarm) {
                    if found.count == limit { return (found, true) }
                    found.append(alarm)
                }
                place = alarm.key.name
            }
            if alarms.count < Limits.describePage { return (found, false) }
        }
    }

    func describeForMetric(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let input = Model.DescribeAlarmsForMetricInput(request.input)
        let id = MetricID(namespace: input.namespace ?? "", name: input.metricName ?? "", input.dimensions)
        let alarms = try await database.read { [access] transaction in
            try access.check(request, "DescribeAlarmsForMetric", "*", in: transaction)
            return try AlarmTable.list(
                context.scope, namespace: id.namespace, metric: id.name, limit: Int(Limits.alarms), in: transaction)
        }
        var output = Model.DescribeAlarmsForMetricOutput()
        output.metricAlarms = alarms.filter { alarm in
            alarm.metric == id && (input.statistic == nil || alarm.input.statistic == input.statistic)
                && (input.extendedStatistic == nil || alarm.input.extendedStatistic == input.extendedStatistic)
                && (input.period == nil || alarm.input.period == input.period)
                && (input.unit == nil || alarm.input.unit == input.unit)
        }.map(\.model)
        return OperationResponse(output.value)
    }

    func history(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let input = Model.DescribeAlarmHistoryInput(request.input)
        let limit = input.maxRecords ?? Limits.describePage
        var place: HistoryTable.Place?
        if let token = input.nextToken {
            let parts = PageToken.decodeText(token)?.split(separator: " ").compactMap { Int64($0) } ?? []
            guard parts.count == 2 else { throw AWSError.invalidToken }
            place = HistoryTable.Place(time: parts[0], number: parts[1])
        }
        let from = input.startDate?.milliseconds ?? .min
        let to = input.endDate?.milliseconds ?? .max
        let isAscending = input.scanBy == "TimestampAscending"
        let hasMetricAlarms = input.alarmTypes?.contains("MetricAlarm") ?? true
        let (items, next) = try await database.read { [access, place] transaction in
            try access.check(request, "DescribeAlarmHistory", "*", in: transaction)
            var found: [HistoryTable.Item] = []
            var place = place
            while hasMetricAlarms {
                let items = try HistoryTable.list(
                    context.scope, alarm: input.alarmName, from: from, to: to, after: place, ascending: isAscending,
                    limit: Limits.describePage, in: transaction)
                for item in items {
                    if found.count == limit { return (found, place) }
                    place = HistoryTable.Place(time: item.time.milliseconds, number: item.number)
                    if input.historyItemType == nil || item.type == input.historyItemType { found.append(item) }
                }
                if items.count < Limits.describePage { break }
            }
            return (found, nil)
        }
        var output = Model.DescribeAlarmHistoryOutput()
        output.alarmHistoryItems = items.map { item in
            var shown = Model.AlarmHistoryItem()
            shown.alarmName = item.alarm
            shown.alarmType = "MetricAlarm"
            shown.timestamp = item.time
            shown.historyItemType = item.type
            shown.historySummary = item.summary
            shown.historyData = item.data
            return shown
        }
        output.nextToken = next.map { PageToken.encode("\($0.time) \($0.number)") }
        return OperationResponse(output.value)
    }
}
