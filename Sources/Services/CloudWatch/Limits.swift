import Platform

/// CloudWatch's quotas, with unit and source (API reference and service quotas page), and our own bounds.
enum Limits {
    // MARK: Data

    /// Metrics of one PutMetricData.
    static let dataPerPut = 1_000
    /// Values of one datum (MetricDatum.Values).
    static let valuesPerDatum = 150
    /// Dimensions of one metric.
    static let dimensions = 30
    /// Values are at most 2^360 in size (MetricDatum.Value).
    static let largestValue = 0x1p360
    /// How far a timestamp may lie back (two weeks) and ahead (two hours), in seconds (PutMetricData).
    static let oldestDatum: Int64 = 14 * 86_400
    static let newestDatum: Int64 = 7_200
    /// Bytes of one PutMetricData.
    static let putBytes = 1 << 20

    /// How long data of each resolution is kept, in seconds of age; then it goes into the next one (CloudWatch concepts,
    /// "Metrics retention").
    static let retention: [(resolution: Int64, age: Int64)] = [
        (1, 3 * 3_600), (60, 15 * 86_400), (300, 63 * 86_400), (3_600, 455 * 86_400),
    ]
    /// Values that a distribution tells apart before it groups neighbours, and as many groups. Ours: CloudWatch's own
    /// buckets (SEH1) are about 10 % wide; these begin with 2 %.
    static let distributionEntries = 200
    static let distributionWidth = 1.02

    // MARK: What the server itself measures

    /// Values of different metrics and minutes that wait to be written; past it new ones are dropped and counted. Ours.
    static let bufferedPoints = 20_000
    /// How long a measured value waits for others before it is written. Ours.
    static let bufferDelay: Duration = .seconds(1)
    /// Before what could not be written is written once more. Ours.
    static let rewriteDelay: Duration = .seconds(1)
    /// Points of one transaction. Ours.
    static let pointsPerTransaction = 1_000

    // MARK: Queries

    /// Metrics of one ListMetrics answer.
    static let listPage = 500
    /// Metrics that one ListMetrics looks at. Ours; over it the answer has a token, as on AWS it may at any time.
    static let listScan = 5_000
    /// Seconds that a metric without data stays in ListMetrics (two weeks), and that is "recently active" (PT3H).
    static let listedFor: Int64 = 14 * 86_400
    static let recentlyActive: Int64 = 3 * 3_600
    static let dataQueries = 500
    /// Datapoints of one GetMetricData answer.
    static let dataPoints = 100_800
    /// Datapoints of one GetMetricStatistics answer.
    static let statisticPoints: Int64 = 1_440
    /// Seconds of data that one GetMetricData goes through, all its queries together: two million minutes. Ours.
    static let readSeconds = 120_000_000.0
    static let expressionBytes = 2_048
    /// Depth of an expression. Ours.
    static let expressionDepth = 64
    /// Values that the expressions of one query may go through. Ours: a second of one processor.
    static let mathSteps = 20_000_000
    /// Arrays of time series that an expression makes have at most so many. Ours.
    static let seriesPerArray = 500

    // MARK: Alarms

    static let alarmsPerDelete = 100
    static let describePage = 100
    static let defaultDescribePage = 50
    static let actionsPerState = 5
    static let tags = 50
    /// Alarms of an account and Region. Ours; AWS has 5,000 and more on request.
    static let alarms: Int64 = 10_000
    /// Metrics of a metric math alarm.
    static let alarmMetrics = 10
    /// Seconds that Period × EvaluationPeriods may be: a day, a week with periods of an hour and more.
    static let evaluatedSeconds = 86_400
    static let evaluatedSecondsOfLongPeriods = 604_800
    /// Periods beyond EvaluationPeriods that are looked at for data in place of missing data. AWS names no number; its
    /// examples look at 5 periods for 3.
    static let furtherPeriods = 2
    /// How long after the end of a period alarms are evaluated, so that what was measured until then is written. Ours.
    static let evaluationDelay: Duration = .seconds(5)
    static let fastEvaluationDelay: Duration = .seconds(2)
    /// Seconds between evaluations of an alarm; of one with a period below a minute.
    static let evaluationInterval: Int64 = 60
    static let fastEvaluationInterval: Int64 = 10
    /// The shortest time between evaluations, whatever the time scale. Ours.
    static let shortestEvaluationInterval: Duration = .milliseconds(250)
    /// Alarms evaluated on one snapshot, and the nanoseconds after which no more are: others need its reader. Ours.
    static let alarmsPerStep = 50
    static let alarmStepNanoseconds: UInt64 = 100_000_000
    /// Values that the expressions of one alarm may go through, every minute: some 25 ms. Ours.
    static let alarmMathSteps = 500_000
    /// History of an alarm: how long it is kept (30 days), and how many items (ours).
    static let historyAge: Int64 = 30 * 86_400
    static let historyItems: Int64 = 1_000
    static let historyDataCharacters = 4_095
    static let stateReasonCharacters = 1_023
    static let stateReasonDataCharacters = 4_000
    /// Datapoints that a reason shows.
    static let shownDatapoints = 5

    // MARK: Dashboards

    /// Bytes of a dashboard's body. Ours.
    static let dashboardBytes = 1 << 20
    static let dashboardPage = 1_000

    // MARK: Upkeep

    static let sweepInterval: Duration = .seconds(3_600)
    static let firstSweep: Duration = .seconds(300)
    /// Metrics that one step of the sweep looks at, and rows that it changes. Ours: some 20 ms of the only writer.
    static let metricsPerSweep = 200
    static let rowsPerSweep = 2_000
}
