import Contracts
import Platform
import Storage
import Wire

struct ListOperations: Sendable {
    let database: any Database
    let access: Access

    func metrics(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let input = Model.ListMetricsInput(request.input)
        if let other = input.owningAccount, other != context.scope.account {
            throw AWSError.unsupported("Cross-account observability (OwningAccount)")
        }
        let age = input.recentlyActive == nil ? Limits.listedFor : Limits.recentlyActive
        let since = context.now.seconds - age
        var place = MetricTable.Place()
        if let token = input.nextToken { place = try Self.place(token) }
        let (found, next) = try await database.read { [access, place] transaction in
            try access.check(request, "ListMetrics", in: transaction)
            return try Self.find(input, context.scope, from: place, since: since, in: transaction)
        }
        var output = Model.ListMetricsOutput()
        output.metrics = found.map { row in
            var metric = Model.Metric()
            metric.namespace = row.id.namespace
            metric.metricName = row.id.name
            metric.dimensions = row.id.modelDimensions
            return metric
        }
        output.nextToken = next
        return OperationResponse(output.value)
    }

    /// A page of metrics with data since a time (seconds), and the token of the next.
    private static func find(
        _ input: Model.ListMetricsInput, _ scope: AccountRegion, from start: MetricTable.Place, since: Int64,
        in transaction: any ReadTransaction
    ) throws -> ([MetricTable.Row], String?) {
        let filters = input.dimensions ?? []
        var found: [MetricTable.Row] = []
        var place = start
        var seen = 0
        while seen < Limits.listScan {
            let step = min(Limits.listPage + 1, Limits.listScan - seen)
            let rows = try MetricTable.list(
                scope, namespace: input.namespace, name: input.metricName, after: place, limit: step, in: transaction)
            for row in rows {
                let fits = row.last >= since && matches(row.id, name: input.metricName, filters)
                if fits, found.count == Limits.listPage { return (found, token(place)) }
                place = MetricTable.Place(
                    namespace: row.id.namespace, name: row.id.name, dimensions: row.id.dimensionText)
                if fits { found.append(row) }
            }
            seen += rows.count
            if rows.count < step { return (found, nil) }
        }
        return (found, token(place))
    }

    /// Every filter names a dimension that the metric has, with this value if it names one.
    private static func matches(_ id: MetricID, name: String?, _ filters: [Model.DimensionFilter]) -> Bool {
        if let name, id.name != name { return false }
        return filters.allSatisfy { filter in
            id.dimensions.contains { $0.name == filter.name && (filter.value_ == nil || $0.value == filter.value_) }
        }
    }

    private static func token(_ place: MetricTable.Place) -> String {
        PageToken.encode(JSON.encodeString(.strings([place.namespace, place.name, place.dimensions])))
    }

    private static func place(_ token: String) throws(AWSError) -> MetricTable.Place {
        guard let text = PageToken.decodeText(token), let parts = (try? JSON.parse(text))?.list, parts.count == 3,
            let namespace = parts[0].string, let name = parts[1].string, let dimensions = parts[2].string
        else { throw .invalidValue("The parameter NextToken is invalid.") }
        return MetricTable.Place(namespace: namespace, name: name, dimensions: dimensions)
    }
}
