import Contracts
import Platform
import Storage
import Wire

/// PutMetricData and what reads the data again.
struct DataOperations: Sendable {
    let database: any Database
    let access: Access

    /// Without a task: this is what applications call all the time. Answered when it is on disk.
    func put(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let context = request.context
        let input = Model.PutMetricDataInput(request.input)
        let data: [DatumReader.Datum]
        do throws(AWSError) {
            data = try DatumReader.read(input, now: context.now)
        } catch {
            return completion(.failure(error))
        }
        database.write { [access] transaction in
            try access.check(
                request, "PutMetricData", keys: ["cloudwatch:namespace": [input.namespace ?? ""]], in: transaction)
            for datum in data {
                let metric = try MetricTable.touch(
                    datum.metric, context.scope, time: datum.place.time, in: transaction)
                try PointTable.add(datum.point, to: metric, at: datum.place, in: transaction)
            }
        } completion: { result in
            completion(result.map { OperationResponse() })
        }
    }

    // MARK: GetMetricStatistics

    func statistics(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let input = Model.GetMetricStatisticsInput(request.input)
        let period = Int64(input.period ?? 0)
        guard QuerySet.isPeriod(period) else {
            throw AWSError.invalidValue("The parameter Period must be a multiple of 60.")
        }
        guard let start = input.startTime, let end = input.endTime, start < end else {
            throw AWSError.invalidValue("The parameter StartTime must be less than the parameter EndTime.")
        }
        let window = Window(
            start: Self.rounded(start.seconds, period: period, now: context.now.seconds), end: end.seconds,
            period: period)
        let asked = (end.seconds - start.seconds) / period
        guard asked <= Limits.statisticPoints else {
            throw AWSError.invalidCombination(
                "You have requested up to \(asked) datapoints, which exceeds the limit of "
                    + "\(Limits.statisticPoints). You may reduce the datapoints requested by increasing Period, or "
                    + "decreasing the time range.")
        }
        let (simple, extended) = (input.statistics ?? [], input.extendedStatistics ?? [])
        guard !simple.isEmpty || !extended.isEmpty else {
            throw AWSError.missing(
                "At least one of the parameters Statistics and ExtendedStatistics must be specified.")
        }
        guard simple.isEmpty || extended.isEmpty else {
            throw AWSError.invalidCombination(
                "The parameters Statistics and ExtendedStatistics are mutually exclusive and you have specified both.")
        }
        let statistics = try (simple + extended).map { name throws(AWSError) in
            guard let statistic = Statistic(name), extended.isEmpty || statistic.needsDistribution else {
                throw AWSError.invalidValue("The value \(name) for parameter ExtendedStatistics is not supported.")
            }
            return (name, statistic)
        }
        let id = MetricID(namespace: input.namespace ?? "", name: input.metricName ?? "", input.dimensions)
        let unit = input.unit.flatMap { Unit.number($0) }
        let points = try await database.read { [access] transaction in
            try access.check(request, "GetMetricStatistics", in: transaction)
            return try SeriesReader.pointsByUnit(
                of: id, context.scope, in: window, unit: unit,
                withSpread: statistics.contains { $0.1.needsDistribution }, joinsUnits: false, transaction)
        }
        var output = Model.GetMetricStatisticsOutput()
        output.label = id.name
        output.datapoints = points.compactMap { Self.datapoint($0.time, $0.unit, $0.point, statistics) }
        return OperationResponse(output.value)
    }

    private static func datapoint(
        _ time: Int64, _ unit: Int64, _ point: StatisticPoint, _ statistics: [(String, Statistic)]
    ) -> Model.Datapoint? {
        var shown = Model.Datapoint()
        shown.timestamp = Instant(milliseconds: time * 1_000)
        var extended: [(key: String, value: Double)] = []
        var isEmpty = true
        for (name, statistic) in statistics {
            guard let value = statistic.value(of: point) else { continue }
            isEmpty = false
            switch statistic {
            case .sampleCount: shown.sampleCount = value
            case .average: shown.average = value
            case .sum: shown.sum = value
            case .minimum: shown.minimum = value
            case .maximum: shown.maximum = value
            default: extended.append((name, value))
            }
        }
        shown.unit = Unit.name(unit)
        if !extended.isEmpty { shown.extendedStatistics = extended }
        return isEmpty ? nil : shown
    }

    /// A start time rounded down as the documentation says: to whole minutes, five minutes after 15 days, hours after 63;
    /// with shorter periods to those.
    static func rounded(_ start: Int64, period: Int64, now: Int64) -> Int64 {
        let age = now - start
        let step: Int64 = age > 63 * 86_400 ? 3_600 : age > 15 * 86_400 ? 300 : min(period, 60)
        return start.flooredDivision(by: max(step, 1)) * max(step, 1)
    }

    // MARK: GetMetricData

    func data(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let input = Model.GetMetricDataInput(request.input)
        guard let start = input.startTime, let end = input.endTime, start < end else {
            throw AWSError.validation("The parameter StartTime must be less than the parameter EndTime.")
        }
        let set = try QuerySet(input.metricDataQueries ?? [], account: context.scope.account)
        let most = input.maxDatapoints ?? Limits.dataPoints
        guard (1...Limits.dataPoints).contains(most) else {
            throw AWSError.validation(
                "The parameter MaxDatapoints must be greater than 0 and not greater than \(Limits.dataPoints).")
        }
        let isAscending = input.scanBy == "TimestampAscending"
        let periods = set.periods
        let whole = Window(
            start: Self.rounded(start.seconds, period: periods.shortest, now: context.now.seconds), end: end.seconds,
            period: periods.longest)
        let page = try DataPage(
            whole, pointsPerSecond: set.pointsPerSecond(), limit: most, isAscending: isAscending,
            token: input.nextToken, longest: Limits.readSeconds / Double(set.queries.count))
        // A page is never shorter than the longest period, which may hold millions of the shortest.
        guard Double(page.end - page.start) * set.pointsPerSecond() <= 10 * Double(Limits.dataPoints) else {
            throw AWSError.validation(
                "The periods of the queries are too far apart for one answer: ask for them separately.")
        }
        let results = try await database.read { [access] transaction in
            try access.check(request, "GetMetricData", in: transaction)
            return try set.evaluate(context.scope, from: page.start, to: page.end, in: transaction)
        }
        var output = Model.GetMetricDataOutput()
        output.metricDataResults = results.map { result in
            var shown = Model.MetricDataResult()
            shown.id = result.query.id
            shown.label = result.series.label
            let times = result.series.times.map { Instant(milliseconds: $0 * 1_000) }
            shown.timestamps = isAscending ? times : times.reversed()
            shown.values = isAscending ? result.series.values : result.series.values.reversed()
            shown.statusCode = page.next == nil ? "Complete" : "PartialData"
            return shown
        }
        output.messages = []
        output.nextToken = page.next.map { PageToken.encode("\($0)") }
        return OperationResponse(output.value)
    }
}

/// The part of a time range that one answer of GetMetricData covers: whole periods, so many that its datapoints stay within the
/// limit.
struct DataPage: Sendable, Equatable {
    let start: Int64
    let end: Int64
    /// Where the next page begins (ascending) or ends.
    let next: Int64?

    /// `longest`: seconds that one answer covers at most, if that is more than a period. Throws InvalidNextToken.
    init(
        _ whole: Window, pointsPerSecond: Double, limit: Int, isAscending: Bool, token: String?,
        longest: Double = 1e12
    ) throws(AWSError) {
        var place = isAscending ? whole.start : whole.end
        if let token {
            guard let text = PageToken.decodeText(token), let time = Int64(text), time > whole.start, time < whole.end
            else { throw .invalidToken }
            place = time
        }
        let seconds = min(Double(limit) / max(pointsPerSecond, 1e-9), longest)
        let periods = max(Int64(seconds) / whole.period, 1)
        let length = periods * whole.period
        if isAscending {
            start = place
            end = min(place + length, whole.end)
            next = end < whole.end ? end : nil
        } else {
            end = place
            // On the grid of periods that begins at the start.
            let wanted = (place - length - whole.start).flooredDivision(by: whole.period) * whole.period + whole.start
            let from = max(
                place - wanted > length && wanted + whole.period < place ? wanted + whole.period : wanted, whole.start)
            start = from
            next = start > whole.start ? start : nil
        }
    }
}
