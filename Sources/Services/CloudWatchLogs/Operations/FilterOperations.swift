import Contracts
import Platform
import Storage
import Wire

/// Subscription filters and metric filters.
struct FilterOperations: Sendable {
    let database: any Database
    let outbox: any DeliveryOutbox
    /// Nil: every role lets the service assume it.
    let authorizer: (any Authorizer)?

    // MARK: Subscription filters

    func putSubscription(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutSubscriptionFilterRequest(request.input)
        let (scope, now) = (request.context.scope, request.context.now)
        let pattern = try FilterPattern(input.filterPattern ?? "")
        let destination = try Self.destination(input, scope)
        let (groupName, name) = (input.logGroupName ?? "", input.filterName ?? "")
        let (target, roleARN) = (input.destinationArn ?? "", input.roleArn)
        var document = request.input
        document["logGroupName"] = nil
        document["filterName"] = nil
        if input.distribution == nil { document["distribution"] = "ByLogStream" }
        if input.applyOnTransformedLogs == nil { document["applyOnTransformedLogs"] = false }
        let kept = document
        try await database.write { [outbox, authorizer] transaction in
            let group = try GroupRow.require(groupName, scope, in: transaction)
            let old = try FilterTable.find(.subscription, name, of: group.id, in: transaction)
            guard old != nil || group.subscriptions < Limits.subscriptionsPerGroup else { throw Self.tooMany }
            try Self.checkRegexes(pattern, name, of: group, in: transaction)
            let principal = try SubscriptionPrincipal.choose(
                target, role: roleARN, group: group, outbox: outbox, in: transaction)
            if let roleARN, let authorizer {
                guard
                    try authorizer.isAssumable(
                        roleARN, by: "logs.amazonaws.com", account: scope.account,
                        // As AWS names it (guide, "Log group-level subscription filters": confused deputy prevention).
                        source: "arn:aws:logs:\(scope.region):\(scope.account):*", in: transaction)
                else { throw Self.noStream }
            }
            guard let principal else { throw destination == .function ? Self.noFunction : Self.noStream }
            let row = FilterRow(
                group: groupName, name: name, created: old?.created ?? now.milliseconds, document: kept)
            try FilterTable.put(.subscription, row, of: group, now: now, in: transaction)
            if destination == .stream {
                try outbox.send(
                    Delivery(
                        id: Identifier.uuid(), target: target, principal: principal,
                        payload: try Gzip.compress(SubscriptionDocument.control(now: now)), createdAt: now,
                        retry: DeliveryRetry(maximumAge: Limits.deliveryAge)), in: transaction)
            }
        }
        return OperationResponse()
    }

    private enum Destination {
        case function
        case stream
    }

    /// Checks destination and role against each other.
    private static func destination(
        _ input: Model.PutSubscriptionFilterRequest, _ scope: AccountRegion
    ) throws(AWSError) -> Destination {
        let text = input.destinationArn ?? ""
        guard let arn = ARN(text) else { throw LogsError.invalid("Invalid destinationArn: \(text)") }
        switch arn.service {
        case "lambda":
            guard arn.account == scope.account else {
                throw AWSError(
                    "AccessDeniedException",
                    "Cross-account lambda invocation passing is not allowed. You must use DestinationPolicies to create "
                        + "cross account lambda triggers.")
            }
            guard input.roleArn == nil else {
                throw LogsError.invalid("destinationArn for vendor lambda cannot be used with roleArn")
            }
            return .function
        case "kinesis":
            guard let role = input.roleArn else {
                throw LogsError.invalid("destinationArn for vendor kinesis cannot be used without roleArn")
            }
            guard let parsed = ARN(role), parsed.service == "iam", parsed.resource.hasPrefix("role/"),
                parsed.account == scope.account
            else { throw LogsError.invalid("Invalid roleArn: \(role)") }
            return .stream
        case "firehose", "logs":
            throw LogsError.invalid("Martlet cannot send log events to \(arn.service) yet: \(text)")
        default:
            throw LogsError.invalid(
                "PutSubscriptionFilter operation cannot work with destinationArn for vendor \(arn.service)")
        }
    }

    private static let noFunction = LogsError.invalid(
        "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your "
            + "function.")
    private static let noStream = LogsError.invalid(
        "Could not deliver test message to specified Kinesis stream. Check if the given kinesis stream is in ACTIVE state."
    )
    private static let tooMany = AWSError("LimitExceededException", "Resource limit exceeded.")

    /// Patterns with regular expressions are few in a group.
    private static func checkRegexes(
        _ pattern: FilterPattern, _ name: String, of group: GroupRow, in transaction: any ReadTransaction
    ) throws {
        guard pattern.regexes > 0, group.subscriptions + group.metricFilters > 0 else { return }
        var count = 1
        for kind in [FilterRow.Kind.subscription, .metric] {
            let rows = try FilterTable.list(
                kind, of: group.id, limit: Int(Limits.metricFiltersPerGroup), in: transaction)
            count += rows.count { row in
                let text = row.document["filterPattern"]?.string ?? ""
                return row.name != name && ((try? FilterPattern(text))?.regexes ?? 0) > 0
            }
        }
        guard count <= Limits.regexPatternsPerGroup else { throw tooMany }
    }

    func describeSubscriptions(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DescribeSubscriptionFiltersRequest(request.input)
        let (scope, groupName) = (request.context.scope, input.logGroupName ?? "")
        let (after, prefix) = (try PageToken.read(input.nextToken) ?? "", input.filterNamePrefix ?? "")
        let limit = min(input.limit ?? Limits.filtersPerPage, Limits.filtersPerPage)
        let rows = try await database.read { transaction in
            let group = try GroupRow.require(groupName, scope, in: transaction)
            return try FilterTable.list(
                .subscription, of: group.id, after: after, prefix: prefix, limit: limit + 1, in: transaction)
        }
        var output = Model.DescribeSubscriptionFiltersResponse()
        output.subscriptionFilters = rows.prefix(limit).map { Model.SubscriptionFilter(Self.shown($0)) }
        if rows.count > limit { output.nextToken = PageToken.encode(rows[limit - 1].name) }
        return OperationResponse(output.value)
    }

    func deleteSubscription(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteSubscriptionFilterRequest(request.input)
        try await delete(.subscription, input.filterName, of: input.logGroupName, request.context)
        return OperationResponse()
    }

    // MARK: Metric filters

    func putMetric(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutMetricFilterRequest(request.input)
        let (scope, now) = (request.context.scope, request.context.now)
        let pattern = try FilterPattern(input.filterPattern ?? "")
        for transformation in input.metricTransformations ?? [] {
            _ = try MetricFilter.Transformation(transformation, pattern)
        }
        let (groupName, name) = (input.logGroupName ?? "", input.filterName ?? "")
        var document = request.input
        document["logGroupName"] = nil
        document["filterName"] = nil
        if input.applyOnTransformedLogs == nil { document["applyOnTransformedLogs"] = false }
        let kept = document
        try await database.write { transaction in
            let group = try GroupRow.require(groupName, scope, in: transaction)
            let old = try FilterTable.find(.metric, name, of: group.id, in: transaction)
            guard old != nil || group.metricFilters < Limits.metricFiltersPerGroup else { throw Self.tooMany }
            try Self.checkRegexes(pattern, name, of: group, in: transaction)
            let row = FilterRow(
                group: groupName, name: name, created: old?.created ?? now.milliseconds, document: kept)
            try FilterTable.put(.metric, row, of: group, now: now, in: transaction)
        }
        return OperationResponse()
    }

    func describeMetrics(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DescribeMetricFiltersRequest(request.input)
        guard (input.metricName == nil) == (input.metricNamespace == nil) else {
            throw LogsError.invalid("metricName and metricNamespace must be given together.")
        }
        let scope = request.context.scope
        let limit = min(input.limit ?? Limits.filtersPerPage, Limits.filtersPerPage)
        let start = try MetricFilterPlace(token: input.nextToken)
        let query = MetricFilterQuery(
            group: input.logGroupName, prefix: input.filterNamePrefix ?? "", metric: input.metricName,
            namespace: input.metricNamespace)
        let (rows, next) = try await database.read { transaction in
            try query.page(scope, from: start, limit: limit, in: transaction)
        }
        var output = Model.DescribeMetricFiltersResponse()
        output.metricFilters = rows.map { row in
            var filter = Model.MetricFilter(Self.shown(row))
            filter.logGroupName = row.group
            return filter
        }
        output.nextToken = next?.token
        return OperationResponse(output.value)
    }

    func deleteMetric(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteMetricFilterRequest(request.input)
        try await delete(.metric, input.filterName, of: input.logGroupName, request.context)
        return OperationResponse()
    }

    func testMetric(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TestMetricFilterRequest(request.input)
        let pattern = try FilterPattern(input.filterPattern ?? "")
        var output = Model.TestMetricFilterResponse()
        output.matches = (input.logEventMessages ?? []).enumerated().compactMap { index, message in
            guard let match = pattern.match(message) else { return nil }
            var record = Model.MetricFilterMatchRecord()
            record.eventNumber = index + 1
            record.eventMessage = message
            var seen: Set<String> = []
            record.extractedValues = pattern.extracted(match).filter { seen.insert($0.name).inserted }
                .map { (key: $0.name, value: $0.value) }
            return record
        }
        return OperationResponse(output.value)
    }

    // MARK: Both

    private func delete(
        _ kind: FilterRow.Kind, _ name: String?, of group: String?, _ context: OperationContext
    ) async throws {
        let (name, group, scope, now) = (name ?? "", group ?? "", context.scope, context.now)
        try await database.write { transaction in
            let group = try GroupRow.require(group, scope, in: transaction)
            guard try FilterTable.delete(kind, name, of: group, now: now, in: transaction) else {
                throw AWSError(
                    "ResourceNotFoundException", "The specified \(kind.rawValue) filter does not exist.")
            }
        }
    }

    private static func shown(_ row: FilterRow) -> Value {
        var value = row.document
        value["filterName"] = .string(row.name)
        value["logGroupName"] = .string(row.group)
        value["creationTime"] = .int(row.created)
        return value
    }
}

/// A place in the list of an account's metric filters.
struct MetricFilterPlace: Sendable {
    var group = ""
    var name = ""

    init(group: String, name: String) { (self.group, self.name) = (group, name) }

    init(token: String?) throws(AWSError) {
        guard let text = try PageToken.read(token) else { return }
        // Neither name may have a colon.
        guard let colon = text.firstIndex(of: ":") else { throw LogsError.badToken }
        group = String(text[..<colon])
        name = String(text[text.index(after: colon)...])
    }

    var token: String { PageToken.encode("\(group):\(name)") }
}

/// Which metric filters are asked for.
struct MetricFilterQuery: Sendable {
    var group: String?
    var prefix: String
    var metric: String?
    var namespace: String?

    /// One page, and where the next begins.
    func page(
        _ scope: AccountRegion, from start: MetricFilterPlace, limit: Int, in transaction: any ReadTransaction
    ) throws -> (rows: [FilterRow], next: MetricFilterPlace?) {
        let group = try group.map { try GroupRow.require($0, scope, in: transaction) }
        var place = start
        var rows: [FilterRow] = []
        // Filters by name or metric are searched for in a bounded part of the list; the rest is another page.
        for _ in 0..<20 {
            let batch =
                if let group {
                    try FilterTable.list(
                        .metric, of: group.id, after: place.name, prefix: prefix, limit: Limits.filtersPerPage,
                        in: transaction)
                } else {
                    try FilterTable.listMetric(
                        scope, after: (place.group, place.name), limit: Limits.filtersPerPage, in: transaction)
                }
            for row in batch {
                if isWanted(row) {
                    guard rows.count < limit else { return (rows, place) }
                    rows.append(row)
                }
                place = MetricFilterPlace(group: row.group, name: row.name)
            }
            if batch.count < Limits.filtersPerPage { return (rows, nil) }
        }
        return (rows, place)
    }

    private func isWanted(_ row: FilterRow) -> Bool {
        guard row.name.hasPrefix(prefix) else { return false }
        guard let metric, let namespace else { return true }
        return Model.MetricFilter(row.document).metricTransformations?.contains {
            $0.metricName == metric && $0.metricNamespace == namespace
        } ?? false
    }
}
