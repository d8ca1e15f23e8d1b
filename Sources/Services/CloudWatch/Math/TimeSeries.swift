/// Values at times, oldest first.
struct TimeSeries: Sendable, Equatable {
    var label: String
    /// Seconds between two times; times are multiples of it apart.
    var period: Int64
    private(set) var times: [Int64] = []
    private(set) var values: [Double] = []

    init(label: String, period: Int64) {
        self.label = label
        self.period = period
    }

    var count: Int { times.count }

    /// Times must be given in ascending order. What is no finite number is no datapoint.
    mutating func append(_ time: Int64, _ value: Double) {
        guard value.isFinite else { return }
        times.append(time)
        values.append(value)
    }

    func map(_ body: (Double) -> Double) -> TimeSeries {
        var result = TimeSeries(label: label, period: period)
        for index in times.indices { result.append(times[index], body(values[index])) }
        return result
    }

    /// At the times that both have.
    func zip(_ other: TimeSeries, _ body: (Double, Double) -> Double) -> TimeSeries {
        var result = TimeSeries(label: label, period: max(period, other.period))
        var (a, b) = (0, 0)
        while a < count, b < other.count {
            if times[a] == other.times[b] {
                result.append(times[a], body(values[a], other.values[b]))
                a += 1
                b += 1
            } else if times[a] < other.times[b] {
                a += 1
            } else {
                b += 1
            }
        }
        return result
    }

    /// The value at a time.
    func value(at time: Int64) -> Double? {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if times[middle] < time { low = middle + 1 } else { high = middle }
        }
        return low < count && times[low] == time ? values[low] : nil
    }
}

/// What an expression can be.
enum MathValue: Sendable {
    case scalar(Double)
    case series(TimeSeries)
    case array([TimeSeries])
}
