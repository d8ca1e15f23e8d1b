import Platform
import Storage
import Wire

/// The queries of a GetMetricData or of a metric math alarm, checked: metrics and expressions over them.
struct QuerySet: Sendable {
    struct Query: Sendable {
        enum Kind: Sendable {
            case metric(MetricID, Statistic, unit: Int64?)
            case expression(Expression)
        }
        var id: String
        var kind: Kind
        var label: String?
        /// Seconds; of an expression nil when it takes that of what it names.
        var period: Int64?
        var returnsData: Bool
    }

    private(set) var queries: [Query] = []
    private var positions: [String: Int] = [:]

    /// Throws ValidationError. `minimumPeriods` refuses what CloudWatch does: 1, 5, 10, 20, 30 or a multiple of 60.
    init(_ models: [Model.MetricDataQuery], account: String) throws(AWSError) {
        guard models.count <= Limits.dataQueries else {
            throw .validation(
                "The collection MetricDataQueries must not have a size greater than \(Limits.dataQueries).")
        }
        for (index, model) in models.enumerated() {
            let query = try Self.query(model, place: "MetricDataQueries.member.\(index + 1)", account: account)
            guard positions[query.id] == nil else {
                throw .validation("The values for parameter id in MetricDataQueries are not unique.")
            }
            positions[query.id] = queries.count
            queries.append(query)
        }
        guard queries.contains(where: \.returnsData) else {
            throw .validation("At least one of the MetricDataQueries must return data.")
        }
        try checkReferences()
    }

    private static func query(
        _ model: Model.MetricDataQuery, place: String, account: String
    ) throws(AWSError) -> Query {
        let id = model.id ?? ""
        guard let first = id.utf8.first, (97...122).contains(first),
            id.utf8.allSatisfy({
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 95
            })
        else {
            throw .validation(
                "The value \(id) for parameter \(place).Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.")
        }
        if let other = model.accountId, other != account {
            throw .unsupported("Cross-account observability (\(place).AccountId)")
        }
        let kind: Query.Kind
        var period = model.period.map(Int64.init)
        switch (model.metricStat, model.expression) {
        case (nil, nil), (_?, _?):
            throw .validation(
                "The parameter \(place) must have exactly one of the parameters Expression and MetricStat.")
        case (nil, let text?): kind = .expression(try Expression(text))
        case (let stat?, nil):
            let metric = stat.metric ?? Model.Metric()
            guard let namespace = metric.namespace, let name = metric.metricName else {
                throw .validation("The parameter \(place).MetricStat.Metric needs Namespace and MetricName.")
            }
            guard let statistic = Statistic(stat.stat ?? "") else {
                throw .validation(
                    "The value \(stat.stat ?? "") for parameter \(place).MetricStat.Stat is not supported.")
            }
            period = Int64(stat.period ?? 0)
            let unit = stat.unit.flatMap { Unit.number($0) }
            kind = .metric(MetricID(namespace: namespace, name: name, metric.dimensions), statistic, unit: unit)
        }
        if let period, !Self.isPeriod(period) {
            throw .validation(
                "The value \(period) for parameter \(place).Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
        }
        return Query(
            id: id, kind: kind, label: model.label, period: period, returnsData: model.returnData ?? true)
    }

    static func isPeriod(_ period: Int64) -> Bool {
        [1, 5, 10, 20, 30].contains(period) || period > 0 && period % 60 == 0 && period <= 86_400 * 366
    }

    /// Every id exists, and none leads to itself.
    private func checkReferences() throws(AWSError) {
        var done = Set<String>()
        var open = Set<String>()
        func visit(_ id: String, _ depth: Int) throws(AWSError) {
            guard !done.contains(id) else { return }
            guard let position = positions[id] else {
                throw .validation("Error in an expression: The id '\(id)' is not defined in the request.")
            }
            guard depth < Limits.expressionDepth, open.insert(id).inserted else {
                throw .validation("Error in expression '\(id)': Circular or too long chain of expressions.")
            }
            if case .expression(let expression) = queries[position].kind {
                for other in expression.references.sorted() { try visit(other, depth + 1) }
            }
            open.remove(id)
            done.insert(id)
        }
        for query in queries { try visit(query.id, 0) }
    }

    /// The longest and shortest period of its metrics, seconds.
    var periods: (shortest: Int64, longest: Int64) {
        let all = queries.compactMap(\.period)
        return (all.min() ?? 60, all.max() ?? 60)
    }

    /// How many datapoints its queries can have in a second, at most.
    func pointsPerSecond() -> Double {
        let shortest = periods.shortest
        return queries.reduce(0) { $0 + 1 / Double($1.period ?? shortest) }
    }

    /// One series of an answer, with the number of samples behind each datapoint where that is known.
    struct Result: Sendable {
        var query: Query
        var series: TimeSeries
        var samples: [Int64: Double] = [:]
    }

    /// Works out what returns data, from `start` to before `end` (seconds). `budget`: values that expressions may go through.
    func evaluate(
        _ scope: AccountRegion, from start: Int64, to end: Int64, budget: Int = Limits.mathSteps,
        in transaction: any ReadTransaction
    ) throws -> [Result] {
        let run = QueryRun(self, scope, start: start, end: end, budget: budget, transaction)
        var results: [Result] = []
        for query in queries where query.returnsData {
            switch try run.value(of: query.id) {
            case .scalar:
                throw AWSError.validation(
                    "Error in expression '\(query.id)': The result is a scalar, and not a time series.")
            case .series(var series):
                series.label = query.label ?? run.label(of: query)
                results.append(Result(query: query, series: series, samples: run.samples[query.id] ?? [:]))
            case .array(let all):
                for var series in all {
                    if let label = query.label { series.label = "\(label) \(series.label)" }
                    results.append(Result(query: query, series: series))
                }
            }
        }
        return results
    }

    func query(_ id: String) -> Query? { positions[id].map { queries[$0] } }
}

/// One evaluation of a set: each query is worked out once.
private final class QueryRun {
    private let set: QuerySet
    private let scope: AccountRegion
    private let start: Int64
    private let end: Int64
    private let budget: Int
    private let transaction: any ReadTransaction
    private var values: [String: MathValue] = [:]
    private(set) var samples: [String: [Int64: Double]] = [:]
    private var steps = 0
    /// What reading threw: expressions throw only AWSError.
    private var failure: (any Error)?

    init(
        _ set: QuerySet, _ scope: AccountRegion, start: Int64, end: Int64, budget: Int,
        _ transaction: any ReadTransaction
    ) {
        self.set = set
        self.scope = scope
        self.start = start
        self.end = end
        self.budget = budget
        self.transaction = transaction
    }

    func value(of id: String) throws -> MathValue {
        do throws(AWSError) {
            return try resolve(id)
        } catch {
            throw failure ?? error
        }
    }

    func label(of query: QuerySet.Query) -> String {
        if case .metric(let id, _, _) = query.kind { id.name } else { query.id }
    }

    private func resolve(_ id: String) throws(AWSError) -> MathValue {
        if let known = values[id] { return known }
        guard let query = set.query(id) else { throw .internalFailure() }
        let value: MathValue
        switch query.kind {
        case .metric(let metric, let statistic, let unit):
            value = .series(try read(query, metric, statistic, unit))
        case .expression(let expression):
            // What it names first, so that no evaluation stands inside another.
            for other in expression.references.sorted() { _ = try resolve(other) }
            let period = query.period ?? longestPeriod(of: expression)
            var evaluator = MathEvaluator(
                start: start, end: end, period: period, budget: budget,
                resolve: { (other: String) throws(AWSError) in try self.resolve(other) },
                metrics: { () throws(AWSError) in try self.allMetrics() })
            evaluator.steps = steps
            value = try evaluator.evaluate(expression)
            steps = evaluator.steps
        }
        values[id] = value
        return value
    }

    private func longestPeriod(of expression: Expression) -> Int64 {
        let named = expression.references.compactMap { set.query($0)?.period }
        return named.max() ?? set.periods.longest
    }

    private func allMetrics() throws(AWSError) -> [(id: String, series: TimeSeries)] {
        var all: [(id: String, series: TimeSeries)] = []
        for query in set.queries {
            guard case .metric = query.kind, case .series(var series) = try resolve(query.id) else { continue }
            series.label = query.label ?? query.id
            all.append((query.id, series))
        }
        return all
    }

    private func read(
        _ query: QuerySet.Query, _ metric: MetricID, _ statistic: Statistic, _ unit: Int64?
    ) throws(AWSError) -> TimeSeries {
        let window = Window(start: start, end: end, period: query.period ?? 60)
        var series = TimeSeries(label: query.label ?? metric.name, period: window.period)
        do {
            var counts: [Int64: Double] = [:]
            for point in try SeriesReader.datapoints(of: metric, scope, statistic, in: window, unit: unit, transaction)
            {
                series.append(point.time, point.value)
                counts[point.time] = point.samples
            }
            samples[query.id] = counts
        } catch {
            failure = error
            throw .internalFailure()
        }
        return series
    }
}
