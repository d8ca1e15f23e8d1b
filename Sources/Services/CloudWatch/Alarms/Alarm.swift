import Platform
import Wire

struct AlarmKey: Hashable, Sendable {
    var scope: AccountRegion
    var name: String

    var arn: String {
        ARN(service: "cloudwatch", region: scope.region, account: scope.account, resource: "alarm:\(name)").description
    }

    init(scope: AccountRegion, name: String) {
        self.scope = scope
        self.name = name
    }

    /// nil for what is no alarm's ARN.
    init?(arn text: String) {
        guard let arn = ARN(text), arn.service == "cloudwatch", arn.resource.hasPrefix("alarm:") else { return nil }
        scope = AccountRegion(account: arn.account, region: arn.region)
        name = String(arn.resource.dropFirst("alarm:".count))
    }
}

/// A metric alarm: its configuration as it was put, and what follows from it.
struct Alarm: Sendable {
    enum Subject: Sendable {
        case metric(MetricID, Statistic, unit: Int64?)
        case math(QuerySet)
    }

    var key: AlarmKey
    /// Without its tags.
    private(set) var input: Model.PutMetricAlarmInput
    let subject: Subject
    let rules: AlarmRules
    /// Seconds.
    let period: Int64
    var tags: Fields
    var configured: Instant
    var state: AlarmState
    /// Grows with every change of configuration or state.
    var revision: Int64 = 0

    /// As configured; nil when it was left out.
    var datapointsToAlarm: Int? { input.datapointsToAlarm }
    var isFast: Bool { period < 60 }
    var actionsEnabled: Bool {
        get { input.actionsEnabled ?? true }
        set { input.actionsEnabled = newValue }
    }
    var metric: MetricID? { if case .metric(let id, _, _) = subject { id } else { nil } }

    /// What is done when it becomes a state.
    func actions(of state: StateValue) -> [String] {
        switch state {
        case .ok: input.okActions ?? []
        case .alarm: input.alarmActions ?? []
        case .insufficientData: input.insufficientDataActions ?? []
        }
    }

    /// Checks what the model cannot say. Throws ValidationError and InvalidParameterCombination.
    init(
        key: AlarmKey, _ given: Model.PutMetricAlarmInput, tags: Fields, configured: Instant, state: AlarmState
    ) throws(AWSError) {
        self.key = key
        self.tags = tags
        self.configured = configured
        self.state = state
        input = given
        input.tags = nil
        if given.evaluationCriteria != nil || given.evaluationInterval != nil {
            throw .unsupported("An alarm on a PromQL query (EvaluationCriteria)")
        }
        if given.thresholdMetricId != nil { throw .unsupported("An anomaly detection alarm (ThresholdMetricId)") }
        guard let name = given.comparisonOperator else {
            throw .validation("The parameter ComparisonOperator is required.")
        }
        guard let comparison = AlarmRules.Comparison(rawValue: name) else {
            throw .unsupported("The comparison of anomaly detection \(name)")
        }
        guard let threshold = given.threshold else { throw .validation("The parameter Threshold is required.") }
        guard abs(threshold) <= Limits.largestValue else {
            throw .validation("The value \(threshold) for parameter Threshold is invalid.")
        }
        guard let periods = given.evaluationPeriods else {
            throw .validation("The parameter EvaluationPeriods is required.")
        }
        if let toAlarm = given.datapointsToAlarm, toAlarm > periods {
            throw .validation("DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
        }
        (subject, period) = try Self.subject(given, account: key.scope.account)
        try Self.checkLength(periods, Int(period))
        var missing = try Self.missingData(given.treatMissingData)
        if case .metric(let id, _, _) = subject, id.namespace == "AWS/DynamoDB" { missing = .ignore }
        rules = AlarmRules(
            comparison: comparison, threshold: threshold, evaluationPeriods: periods,
            datapointsToAlarm: given.datapointsToAlarm ?? periods, missingData: missing,
            significantSamples: try Self.significantSamples(given, subject))
        for action in (given.okActions ?? []) + (given.alarmActions ?? []) + (given.insufficientDataActions ?? [])
        where ARN(action) == nil {
            throw .validation("Invalid arn syntax: \(action)")
        }
    }

    private static func subject(
        _ given: Model.PutMetricAlarmInput, account: String
    ) throws(AWSError) -> (Subject, Int64) {
        if let models = given.metrics, !models.isEmpty {
            guard given.metricName == nil, given.namespace == nil, given.period == nil, given.statistic == nil,
                given.extendedStatistic == nil, given.dimensions == nil, given.unit == nil
            else {
                throw .invalidCombination(
                    "The parameters Metrics and MetricName, Namespace, Period, Statistic, ExtendedStatistic, Dimensions "
                        + "or Unit are mutually exclusive.")
            }
            guard models.count <= Limits.alarmMetrics * 2 else {
                throw .validation(
                    "The collection Metrics must not have a size greater than \(Limits.alarmMetrics * 2).")
            }
            let set = try QuerySet(models, account: account)
            guard set.queries.filter(\.returnsData).count == 1 else {
                throw .validation("Exactly one element of the metrics list should return data.")
            }
            let returned = set.queries.first(where: \.returnsData)
            return (.math(set), returned?.period ?? set.periods.longest)
        }
        guard let name = given.metricName, let namespace = given.namespace else {
            throw .validation("Either Metrics or both MetricName and Namespace must be specified.")
        }
        guard let period = given.period else { throw .validation("The parameter Period is required.") }
        guard [10, 20, 30].contains(period) || period % 60 == 0 else {
            throw .validation("Period must be 10, 20, 30 or a multiple of 60")
        }
        guard (given.statistic == nil) != (given.extendedStatistic == nil) else {
            throw .validation("Exactly one of Statistic and ExtendedStatistic must be specified.")
        }
        let text = given.statistic ?? given.extendedStatistic ?? ""
        guard let statistic = Statistic(text), given.statistic != nil || statistic.needsDistribution else {
            throw .validation("The value \(text) for parameter ExtendedStatistic is not supported.")
        }
        let id = MetricID(namespace: namespace, name: name, given.dimensions)
        return (.metric(id, statistic, unit: given.unit.flatMap { Unit.number($0) }), Int64(period))
    }

    private static func checkLength(_ periods: Int, _ period: Int) throws(AWSError) {
        let (length, overflow) = periods.multipliedReportingOverflow(by: period)
        let isLong = period >= 3_600
        let limit = isLong ? Limits.evaluatedSecondsOfLongPeriods : Limits.evaluatedSeconds
        guard !overflow, length <= limit else {
            throw .validation(
                isLong
                    ? "Metrics cannot be checked across more than 7 days (EvaluationPeriods * Period must be <= 604800)."
                    : "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).")
        }
    }

    private static func missingData(_ text: String?) throws(AWSError) -> AlarmRules.MissingData {
        guard let text else { return .missing }
        guard let treatment = AlarmRules.MissingData(rawValue: text) else {
            throw .validation(
                "Option \(text) is not supported for TreatMissingData parameter. Supported options are "
                    + "[breaching, notBreaching, ignore, missing].")
        }
        return treatment
    }

    /// "Percentile-based alarms and low data samples": 10/(1-percentile) samples, below the median 10/percentile.
    private static func significantSamples(
        _ given: Model.PutMetricAlarmInput, _ subject: Subject
    ) throws(AWSError) -> Double? {
        guard let text = given.evaluateLowSampleCountPercentile else { return nil }
        guard text == "ignore" || text == "evaluate" else {
            throw .validation(
                "Option \(text) is not supported for EvaluateLowSampleCountPercentile parameter. Supported options are "
                    + "[evaluate, ignore].")
        }
        guard text == "ignore", case .metric(_, .percentile(let percent), _) = subject else { return nil }
        let part = percent / 100
        let tail = part >= 0.5 ? 1 - part : part
        return tail > 0 ? 10 / tail : nil
    }

    // MARK: As documents

    /// What an answer shows.
    var model: Model.MetricAlarm {
        var model = Model.MetricAlarm()
        model.alarmName = key.name
        model.alarmArn = key.arn
        model.alarmDescription = input.alarmDescription
        model.alarmConfigurationUpdatedTimestamp = configured
        model.actionsEnabled = actionsEnabled
        model.okActions = input.okActions ?? []
        model.alarmActions = input.alarmActions ?? []
        model.insufficientDataActions = input.insufficientDataActions ?? []
        model.stateValue = state.value.rawValue
        model.stateReason = state.reason
        model.stateReasonData = state.reasonData
        model.stateUpdatedTimestamp = state.updated
        model.stateTransitionedTimestamp = state.transitioned
        model.metricName = input.metricName
        model.namespace = input.namespace
        model.statistic = input.statistic
        model.extendedStatistic = input.extendedStatistic
        model.dimensions = input.dimensions ?? []
        model.period = input.period
        model.unit = input.unit
        model.evaluationPeriods = input.evaluationPeriods
        model.datapointsToAlarm = input.datapointsToAlarm
        model.threshold = input.threshold
        model.comparisonOperator = input.comparisonOperator
        model.treatMissingData = input.treatMissingData
        model.evaluateLowSampleCountPercentile = input.evaluateLowSampleCountPercentile
        model.metrics = input.metrics
        return model
    }
}
