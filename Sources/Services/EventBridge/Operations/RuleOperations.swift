import Contracts
import EventPatterns
import Platform
import Schedules
import Storage
import Wire

struct RuleOperations: Sendable {
    let database: any Database
    let access: Access
    let schedules: RuleSchedules
    let interest: CallInterest

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutRuleRequest(request.input)
        let context = request.context
        let key = RuleKey(bus: BusKey(input.eventBusName, in: context.scope), name: input.name ?? "")
        let (pattern, expression) = (Self.given(input.eventPattern), Self.given(input.scheduleExpression))
        guard pattern != nil || expression != nil else {
            throw AWSError.validation("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        }
        if let expression {
            guard key.bus.isDefault else {
                throw AWSError.validation("ScheduleExpression is supported only on the default event bus.")
            }
            guard ScheduleExpression(rule: expression) != nil else {
                throw AWSError.validation("Parameter ScheduleExpression is not valid.")
            }
        }
        if let pattern { try PatternRules.check(pattern) }
        let tags = try TagRules.fields(input.tags ?? [])
        var document: Fields = ["State": .string(input.state ?? "ENABLED")]
        document["EventPattern"] = pattern.map { .string($0) }
        document["ScheduleExpression"] = expression.map { .string($0) }
        document["Description"] = input.description.map { .string($0) }
        document["RoleArn"] = input.roleArn.map { .string($0) }
        document["CreatedBy"] = .string(context.scope.account)
        let made = Rule(key: key, document: document)
        let selected = pattern.map(PatternRules.conditions) ?? [:]
        try await database.write { [access, schedules, interest] transaction in
            try access.check(
                request, "PutRule", key.arn, account: key.bus.scope.account, keys: selected, in: transaction)
            try access.checkPassing(input.roleArn, request, rule: key, in: transaction)
            _ = try BusTable.require(key.bus, in: transaction)
            var rule = made
            let old = try RuleTable.get(key, in: transaction)
            if let old {
                // Tags of a rule that is there already are not changed (API reference).
                rule.tags = old.tags
                if old.text("ScheduleExpression") == expression, old.isEnabled { rule.anchor = old.anchor }
            } else {
                guard try RuleTable.count(key.bus, in: transaction) < Limits.rules else {
                    throw AWSError.limitExceeded
                }
                rule.tags = tags
            }
            try schedules.plan(&rule, now: context.now, in: transaction)
            try RuleTable.put(rule, in: transaction)
            interest.changed(key.bus, in: transaction)
        }
        var output = Model.PutRuleResponse()
        output.ruleArn = key.arn
        return OperationResponse(output.value)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteRuleRequest(request.input)
        let key = RuleKey(bus: BusKey(input.eventBusName, in: request.context.scope), name: input.name ?? "")
        try await database.write { [access, interest] transaction in
            try access.check(request, "DeleteRule", key.arn, account: key.bus.scope.account, in: transaction)
            _ = try BusTable.require(key.bus, in: transaction)
            guard try TargetTable.list(key, limit: 1, in: transaction).isEmpty else {
                throw AWSError.validation("Rule can't be deleted since it has targets.")
            }
            try RuleTable.delete(key, in: transaction)
            interest.changed(key.bus, in: transaction)
        }
        return OperationResponse()
    }

    func describe(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DescribeRuleRequest(request.input)
        let key = RuleKey(bus: BusKey(input.eventBusName, in: request.context.scope), name: input.name ?? "")
        let rule = try await database.read { [access] transaction in
            try access.check(request, "DescribeRule", key.arn, account: key.bus.scope.account, in: transaction)
            _ = try BusTable.require(key.bus, in: transaction)
            return try RuleTable.require(key, in: transaction)
        }
        var output = Model.DescribeRuleResponse(Self.shown(rule).value)
        output.createdBy = rule.text("CreatedBy")
        return OperationResponse(output.value)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListRulesRequest(request.input)
        let context = request.context
        let bus = BusKey(input.eventBusName, in: context.scope)
        let after = try Paging.place(input.nextToken)
        let limit = input.limit ?? Limits.page
        let rules = try await database.read { [access] transaction in
            try access.check(
                context, "ListRules", RuleKey(bus: bus, name: "*").arn, account: bus.scope.account,
                in: transaction)
            _ = try BusTable.require(bus, in: transaction)
            return try RuleTable.list(
                bus, prefix: input.namePrefix ?? "", after: after, limit: limit + 1, in: transaction)
        }
        var output = Model.ListRulesResponse()
        output.rules = rules.prefix(limit).map { Self.shown($0) }
        if rules.count > limit { output.nextToken = PageToken.encode(rules[limit - 1].key.name) }
        return OperationResponse(output.value)
    }

    func namesByTarget(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListRuleNamesByTargetRequest(request.input)
        let context = request.context
        let bus = BusKey(input.eventBusName, in: context.scope)
        let after = try Paging.place(input.nextToken)
        let limit = input.limit ?? Limits.page
        let names = try await database.read { [access] transaction in
            try access.check(
                context, "ListRuleNamesByTarget", RuleKey(bus: bus, name: "*").arn,
                account: bus.scope.account, in: transaction)
            _ = try BusTable.require(bus, in: transaction)
            return try TargetTable.rules(
                withTarget: input.targetArn ?? "", of: bus, after: after, limit: limit + 1, in: transaction)
        }
        var output = Model.ListRuleNamesByTargetResponse()
        output.ruleNames = Array(names.prefix(limit))
        if names.count > limit { output.nextToken = PageToken.encode(names[limit - 1]) }
        return OperationResponse(output.value)
    }

    func enable(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.EnableRuleRequest(request.input)
        return try await set("ENABLED", "EnableRule", input.name, input.eventBusName, request)
    }

    func disable(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DisableRuleRequest(request.input)
        return try await set("DISABLED", "DisableRule", input.name, input.eventBusName, request)
    }

    private func set(
        _ state: String, _ action: String, _ name: String?, _ bus: String?, _ request: OperationRequest
    ) async throws -> OperationResponse {
        let context = request.context
        let key = RuleKey(bus: BusKey(bus, in: context.scope), name: name ?? "")
        try await database.write { [access, schedules, interest] transaction in
            try access.check(context, action, key.arn, account: key.bus.scope.account, in: transaction)
            _ = try BusTable.require(key.bus, in: transaction)
            var rule = try RuleTable.require(key, in: transaction)
            if !rule.isEnabled { rule.anchor = nil }
            rule.document["State"] = .string(state)
            try schedules.plan(&rule, now: context.now, in: transaction)
            try RuleTable.put(rule, in: transaction)
            interest.changed(key.bus, in: transaction)
        }
        return OperationResponse()
    }

    /// An empty text counts as none, as tools send it.
    private static func given(_ text: String?) -> String? { text.flatMap { $0.isEmpty ? nil : $0 } }

    private static func shown(_ rule: Rule) -> Model.Rule {
        var item = Model.Rule()
        item.name = rule.key.name
        item.arn = rule.key.arn
        item.eventPattern = rule.text("EventPattern")
        item.scheduleExpression = rule.text("ScheduleExpression")
        item.state = rule.state
        item.description = rule.text("Description")
        item.roleArn = rule.text("RoleArn")
        item.eventBusName = rule.key.bus.name
        return item
    }
}

extension RuleSchedules {
    /// Sets when the rule, as it is now, fires next.
    func plan(_ rule: inout Rule, now: Instant, in transaction: any WriteTransaction) throws {
        guard let expression = rule.text("ScheduleExpression"), rule.isEnabled else {
            rule.due = nil
            rule.anchor = nil
            return
        }
        let anchor = rule.anchor ?? now
        rule.anchor = anchor
        rule.due = Self.next(expression, anchor: anchor, after: now)
        changed(rule.due, in: transaction)
    }
}

enum PatternRules {
    /// What a valid pattern selects by, as PutRule's condition keys; what it leaves open is absent (guide, "Using IAM policy
    /// conditions"). All that any alternative of `$or` names counts; what is no plain text, e.g. a prefix, is given as its
    /// JSON, so that a policy that allows some values does not allow it.
    static func conditions(_ pattern: String) -> ConditionValues {
        guard let document = try? JSON.parse(pattern) else { return [:] }
        var keys: ConditionValues = [:]
        for path in conditionPaths {
            let found = values(path[...], in: document).map { $0.string ?? JSON.encodeString($0) }
            if !found.isEmpty { keys["events:" + path.joined(separator: ".").lowercased()] = found }
        }
        return keys
    }

    private static let conditionPaths = [
        ["source"], ["detail-type"], ["detail", "service"], ["detail", "eventTypeCode"],
        ["detail", "userIdentity", "principalId"],
    ]

    private static func values(_ path: ArraySlice<String>, in document: Value) -> [Value] {
        guard let name = path.first else { return document.list ?? [] }
        let own = document[name].map { values(path.dropFirst(), in: $0) } ?? []
        // The pattern's reader has bounded how deep they go.
        let alternatives = (document["$or"]?.list ?? []).map { values(path, in: $0) }
        // One that leaves the path open selects all, which no list of allowed values may let pass.
        let isOpen = own.isEmpty && alternatives.contains { $0.isEmpty } && !alternatives.allSatisfy(\.isEmpty)
        return own + alternatives.flatMap { $0 } + (isOpen ? [.null] : [])
    }

    /// Whether an object of the document has a name twice: what is selected by then, its readers do not agree about.
    private static func repeatsNames(_ pattern: String) -> Bool {
        guard let document = try? JSON.parse(pattern) else { return true }
        var (written, isText, isEscaped) = (0, false, false)
        for byte in pattern.utf8 {
            if isEscaped {
                isEscaped = false
            } else if isText {
                if byte == UInt8(ascii: "\\") { isEscaped = true } else if byte == UInt8(ascii: "\"") { isText = false }
            } else if byte == UInt8(ascii: "\"") {
                isText = true
            } else if byte == UInt8(ascii: ":") {
                written += 1
            }
        }
        return written != members(document)
    }

    private static func members(_ value: Value) -> Int {
        if let fields = value.fields { return fields.entries.reduce(fields.count) { $0 + members($1.value) } }
        return (value.list ?? []).reduce(0) { $0 + members($1) }
    }

    /// Throws InvalidEventPatternException.
    static func check(_ pattern: String) throws(AWSError) {
        _ = try compile(pattern)
        if repeatsNames(pattern) {
            throw AWSError(
                "InvalidEventPatternException",
                "Event pattern is not valid. Reason: A name appears twice in an object, or it is no JSON")
        }
    }

    static func compile(_ pattern: String) throws(AWSError) -> EventPattern {
        do throws(PatternError) {
            return try EventPattern(json: Array(pattern.utf8), dialect: .eventBridge)
        } catch {
            throw AWSError(
                "InvalidEventPatternException", "Event pattern is not valid. Reason: \(error.message)")
        }
    }
}
