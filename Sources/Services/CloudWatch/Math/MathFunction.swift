/// The functions of metric math that are there.
enum MathFunction: String, Sendable {
    case abs = "ABS"
    case average = "AVG"
    case ceiling = "CEIL"
    case datapointCount = "DATAPOINT_COUNT"
    case date = "DATE"
    case day = "DAY"
    case difference = "DIFF"
    case differenceOfTime = "DIFF_TIME"
    case epoch = "EPOCH"
    case fill = "FILL"
    case first = "FIRST"
    case floor = "FLOOR"
    case hour = "HOUR"
    case choose = "IF"
    case last = "LAST"
    case log = "LOG"
    case log10 = "LOG10"
    case maximum = "MAX"
    case metricCount = "METRIC_COUNT"
    case metrics = "METRICS"
    case minimum = "MIN"
    case minute = "MINUTE"
    case month = "MONTH"
    case period = "PERIOD"
    case rate = "RATE"
    case removeEmpty = "REMOVE_EMPTY"
    case runningSum = "RUNNING_SUM"
    case slice = "SLICE"
    case sort = "SORT"
    case standardDeviation = "STDDEV"
    case sum = "SUM"
    case timeSeries = "TIME_SERIES"
    case year = "YEAR"

    /// How many arguments it takes.
    var arguments: ClosedRange<Int> {
        switch self {
        case .metrics: 0...1
        case .fill: 2...2
        case .choose: 2...3
        case .slice: 2...3
        case .sort: 3...4
        default: 1...1
        }
    }
}
