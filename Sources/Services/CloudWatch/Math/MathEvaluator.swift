import Glibc
import Platform
import Wire

/// Works expressions out over the series that they name. Bounded: each value that it goes through is counted.
struct MathEvaluator {
    /// What the ids stand for, and which of them METRICS() gives.
    let resolve: (String) throws(AWSError) -> MathValue
    let metrics: () throws(AWSError) -> [(id: String, series: TimeSeries)]
    /// Seconds: what FILL and TIME_SERIES fill. Periods begin at `start`.
    let start: Int64
    let end: Int64
    let period: Int64
    /// Values that it may go through.
    let budget: Int
    var steps = 0

    init(
        start: Int64, end: Int64, period: Int64, budget: Int = Limits.mathSteps,
        resolve: @escaping (String) throws(AWSError) -> MathValue,
        metrics: @escaping () throws(AWSError) -> [(id: String, series: TimeSeries)]
    ) {
        self.start = start
        self.end = end
        self.period = max(period, 1)
        self.budget = budget
        self.resolve = resolve
        self.metrics = metrics
    }

    mutating func evaluate(_ expression: Expression) throws(AWSError) -> MathValue {
        switch expression {
        case .number(let number): return .scalar(number)
        case .text, .word: throw .validation("A text or word stands where a value is expected in an expression.")
        case .reference(let id): return try count(try resolve(id))
        case .negate(let inner): return try map(try evaluate(inner)) { -$0 }
        case .list(let parts):
            var all: [TimeSeries] = []
            for part in parts {
                switch try evaluate(part) {
                case .scalar(let number): all.append(try constant(number))
                case .series(let series): all.append(series)
                case .array(let array): all += array
                }
                guard all.count <= Limits.seriesPerArray else { throw Self.tooMany }
            }
            return .array(all)
        case .binary: return try chain(expression)
        case .call(let function, let arguments):
            guard function.arguments.contains(arguments.count) else {
                throw .validation("The function \(function.rawValue) has the wrong number of arguments.")
            }
            return try count(try call(function, arguments))
        }
    }

    /// `a + b + c …`, of which there may be a thousand: from left to right in a loop, so that it takes no stack.
    private mutating func chain(_ expression: Expression) throws(AWSError) -> MathValue {
        var rest: [(operation: Expression.Operator, right: Expression)] = []
        var node = expression
        while case .binary(let operation, let left, let right) = node {
            rest.append((operation, right))
            node = left
        }
        var value = try evaluate(node)
        for (operation, right) in rest.reversed() {
            value = try combine(value, try evaluate(right)) { Self.apply(operation, $0, $1) }
        }
        return value
    }

    private static let tooMany = AWSError.validation("The expressions of the request go through too much data.")

    private mutating func count(_ value: MathValue) throws(AWSError) -> MathValue {
        switch value {
        case .scalar: steps += 1
        case .series(let series): steps += series.count + 1
        case .array(let all): steps += all.reduce(all.count) { $0 + $1.count }
        }
        guard steps <= budget else { throw Self.tooMany }
        return value
    }

    // MARK: Arithmetic

    private static func apply(_ operation: Expression.Operator, _ a: Double, _ b: Double) -> Double {
        switch operation {
        case .add: a + b
        case .subtract: a - b
        case .multiply: a * b
        // A division by zero is no datapoint.
        case .divide: b == 0 ? .nan : a / b
        case .power: pow(a, b)
        case .less: a < b ? 1 : 0
        case .lessOrEqual: a <= b ? 1 : 0
        case .greater: a > b ? 1 : 0
        case .greaterOrEqual: a >= b ? 1 : 0
        case .equal: a == b ? 1 : 0
        case .notEqual: a != b ? 1 : 0
        case .and: a != 0 && b != 0 ? 1 : 0
        case .or: a != 0 || b != 0 ? 1 : 0
        }
    }

    private func map(_ value: MathValue, _ body: (Double) -> Double) throws(AWSError) -> MathValue {
        switch value {
        case .scalar(let number): .scalar(body(number))
        case .series(let series): .series(series.map(body))
        case .array(let all): .array(all.map { $0.map(body) })
        }
    }

    private mutating func combine(
        _ a: MathValue, _ b: MathValue, _ body: (Double, Double) -> Double
    ) throws(AWSError) -> MathValue {
        let result: MathValue
        switch (a, b) {
        case (.scalar(let x), .scalar(let y)): result = .scalar(body(x, y))
        case (.scalar(let x), .series(let y)): result = .series(y.map { body(x, $0) })
        case (.series(let x), .scalar(let y)): result = .series(x.map { body($0, y) })
        case (.series(let x), .series(let y)): result = .series(x.zip(y, body))
        case (.array(let x), .scalar(let y)): result = .array(x.map { $0.map { body($0, y) } })
        case (.scalar(let x), .array(let y)): result = .array(y.map { $0.map { body(x, $0) } })
        case (.array(let x), .series(let y)): result = .array(x.map { $0.zip(y, body) })
        case (.series(let x), .array(let y)):
            result = .array(
                y.map { other in
                    var made = x.zip(other, body)
                    made.label = other.label
                    return made
                })
        case (.array, .array):
            throw .validation("Two arrays of time series cannot be combined by an operator.")
        }
        return try count(result)
    }

    /// A value at every period.
    private mutating func constant(_ number: Double) throws(AWSError) -> TimeSeries {
        steps += Int(clamping: max(end - start, 0) / period)
        guard steps <= budget else { throw Self.tooMany }
        var series = TimeSeries(label: "\(number)", period: period)
        for time in stride(from: start, to: end, by: Int64.Stride(period)) { series.append(time, number) }
        return series
    }

    // MARK: Functions

    private mutating func call(_ function: MathFunction, _ arguments: [Expression]) throws(AWSError) -> MathValue {
        switch function {
        case .metrics: return .array(try metricsNamed(arguments.first))
        case .fill: return try fill(arguments)
        case .choose: return try choose(arguments)
        case .sort: return try sorted(arguments)
        case .slice: return try slice(arguments)
        case .first, .last:
            let all = try array(arguments[0])
            guard let one = function == .first ? all.first : all.last else {
                return .series(TimeSeries(label: "", period: period))
            }
            return .series(one)
        case .metricCount: return .scalar(Double(try array(arguments[0]).count))
        case .removeEmpty: return .array(try array(arguments[0]).filter { $0.count > 0 })
        case .timeSeries:
            guard case .scalar(let number) = try evaluate(arguments[0]) else {
                throw .validation("TIME_SERIES takes a scalar.")
            }
            return .series(try constant(number))
        case .period:
            guard case .series(let series) = try evaluate(arguments[0]) else {
                throw .validation("PERIOD takes a time series.")
            }
            return .scalar(Double(series.period))
        case .average, .sum, .minimum, .maximum, .standardDeviation, .datapointCount:
            return try aggregate(function, try evaluate(arguments[0]))
        case .abs: return try map(try evaluate(arguments[0])) { Swift.abs($0) }
        case .ceiling: return try map(try evaluate(arguments[0])) { $0.rounded(.up) }
        case .floor: return try map(try evaluate(arguments[0])) { $0.rounded(.down) }
        case .log: return try map(try evaluate(arguments[0])) { Glibc.log($0) }
        case .log10: return try map(try evaluate(arguments[0])) { Glibc.log10($0) }
        case .difference, .differenceOfTime, .rate, .runningSum, .epoch, .date, .day, .hour, .minute, .month, .year:
            return try overTime(function, try evaluate(arguments[0]))
        }
    }

    private mutating func array(_ expression: Expression) throws(AWSError) -> [TimeSeries] {
        switch try evaluate(expression) {
        case .array(let all): return all
        case .series(let series): return [series]
        case .scalar: throw .validation("A time series is expected in an expression where a scalar stands.")
        }
    }

    private func metricsNamed(_ filter: Expression?) throws(AWSError) -> [TimeSeries] {
        var part = ""
        if let filter {
            guard case .text(let text) = filter else { throw .validation("METRICS takes a text.") }
            part = text
        }
        return try metrics().filter { part.isEmpty || $0.id.contains(part) }.map(\.series)
    }

    private func aggregate(_ function: MathFunction, _ value: MathValue) throws(AWSError) -> MathValue {
        switch value {
        case .scalar(let number): return .scalar(Self.summary(function, [number]))
        case .series(let series): return .scalar(Self.summary(function, series.values))
        case .array(let all):
            var byTime: [Int64: [Double]] = [:]
            for series in all {
                for index in series.times.indices {
                    byTime[series.times[index], default: []].append(series.values[index])
                }
            }
            var result = TimeSeries(label: function.rawValue, period: all.map(\.period).max() ?? period)
            for time in byTime.keys.sorted() { result.append(time, Self.summary(function, byTime[time] ?? [])) }
            return .series(result)
        }
    }

    private static func summary(_ function: MathFunction, _ values: [Double]) -> Double {
        if function == .datapointCount { return Double(values.count) }
        guard !values.isEmpty else { return function == .sum ? 0 : .nan }
        let sum = values.reduce(0, +)
        switch function {
        case .average: return sum / Double(values.count)
        case .minimum: return values.min() ?? .nan
        case .maximum: return values.max() ?? .nan
        case .standardDeviation:
            let mean = sum / Double(values.count)
            return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)).squareRoot()
        default: return sum
        }
    }

    private func overTime(_ function: MathFunction, _ value: MathValue) throws(AWSError) -> MathValue {
        switch value {
        case .scalar: throw .validation("\(function.rawValue) takes a time series.")
        case .series(let series): return .series(Self.overTime(function, series))
        case .array(let all): return .array(all.map { Self.overTime(function, $0) })
        }
    }

    private static func overTime(_ function: MathFunction, _ series: TimeSeries) -> TimeSeries {
        var result = TimeSeries(label: series.label, period: series.period)
        var total = 0.0
        for index in series.times.indices {
            let (time, value) = (series.times[index], series.values[index])
            switch function {
            case .runningSum:
                total += value
                result.append(time, total)
            case .difference where index > 0: result.append(time, value - series.values[index - 1])
            case .differenceOfTime where index > 0: result.append(time, Double(time - series.times[index - 1]))
            case .rate where index > 0:
                let elapsed = Double(time - series.times[index - 1])
                result.append(time, (value - series.values[index - 1]) / elapsed)
            case .difference, .differenceOfTime, .rate: break
            case .epoch: result.append(time, Double(time))
            default:
                let civil = CivilTime(Instant(milliseconds: time &* 1_000))
                switch function {
                case .minute: result.append(time, Double(civil.minute))
                case .hour: result.append(time, Double(civil.hour))
                // Monday is 1.
                case .day: result.append(time, Double(civil.weekday == 0 ? 7 : civil.weekday))
                case .date: result.append(time, Double(civil.day))
                case .month: result.append(time, Double(civil.month))
                default: result.append(time, Double(civil.year))
                }
            }
        }
        return result
    }

    private mutating func fill(_ arguments: [Expression]) throws(AWSError) -> MathValue {
        let value = try evaluate(arguments[0])
        enum Filling {
            case value(Double)
            case series(TimeSeries)
            case previous
            case linear
        }
        let filling: Filling
        switch arguments[1] {
        case .word("REPEAT"): filling = .previous
        case .word("LINEAR"): filling = .linear
        default:
            switch try evaluate(arguments[1]) {
            case .scalar(let number): filling = .value(number)
            case .series(let series): filling = .series(series)
            case .array: throw .validation("FILL takes a number, a time series, REPEAT or LINEAR.")
            }
        }
        // Counted before it is made.
        let given =
            switch value {
            case .scalar: [TimeSeries]()
            case .series(let one): [one]
            case .array(let many): many
            }
        for series in given {
            steps += Int(clamping: max(end - start, 0) / max(series.period, 1))
            guard steps <= budget else { throw Self.tooMany }
        }
        func filled(_ series: TimeSeries) -> TimeSeries {
            var result = TimeSeries(label: series.label, period: series.period)
            var index = 0
            for time in stride(from: start, to: end, by: Int64.Stride(max(series.period, 1))) {
                while index < series.count, series.times[index] < time { index += 1 }
                if index < series.count, series.times[index] == time {
                    result.append(time, series.values[index])
                    continue
                }
                switch filling {
                case .value(let number): result.append(time, number)
                case .series(let other): if let number = other.value(at: time) { result.append(time, number) }
                case .previous: if index > 0 { result.append(time, series.values[index - 1]) }
                case .linear:
                    guard index > 0, index < series.count else { continue }
                    let (t0, t1) = (series.times[index - 1], series.times[index])
                    let (v0, v1) = (series.values[index - 1], series.values[index])
                    result.append(time, v0 + (v1 - v0) * Double(time - t0) / Double(t1 - t0))
                }
            }
            return result
        }
        switch value {
        case .scalar: throw .validation("FILL takes a time series.")
        case .series(let series): return .series(filled(series))
        case .array(let all): return .array(all.map(filled))
        }
    }

    /// IF(condition, whenTrue, whenFalse); without the third nothing where the condition is false.
    private mutating func choose(_ arguments: [Expression]) throws(AWSError) -> MathValue {
        let condition = try evaluate(arguments[0])
        let yes = try evaluate(arguments[1])
        let no = arguments.count > 2 ? try evaluate(arguments[2]) : nil
        switch condition {
        case .scalar(let number):
            if number != 0 { return yes }
            return no ?? .series(TimeSeries(label: "", period: period))
        case .array: throw .validation("The condition of IF is a time series or a scalar.")
        case .series(let series):
            var result = TimeSeries(label: series.label, period: series.period)
            for index in series.times.indices {
                let time = series.times[index]
                let chosen = series.values[index] != 0 ? yes : no
                switch chosen {
                case .scalar(let number)?: result.append(time, number)
                case .series(let values)?: if let number = values.value(at: time) { result.append(time, number) }
                case .array?: throw .validation("IF cannot choose arrays of time series by a time series.")
                case nil: break
                }
            }
            return .series(result)
        }
    }

    private mutating func slice(_ arguments: [Expression]) throws(AWSError) -> MathValue {
        let all = try array(arguments[0])
        func position(_ expression: Expression) throws(AWSError) -> Int {
            guard case .scalar(let number) = try evaluate(expression), let whole = Int(exactly: number), whole >= 0
            else {
                throw .validation("SLICE takes whole numbers.")
            }
            return min(whole, all.count)
        }
        let from = try position(arguments[1])
        let to = arguments.count > 2 ? try position(arguments[2]) : all.count
        return .array(from < to ? Array(all[from..<to]) : [])
    }

    /// SORT(array, AVG|MIN|MAX|SUM, ASC|DESC, number of series).
    private mutating func sorted(_ arguments: [Expression]) throws(AWSError) -> MathValue {
        let all = try array(arguments[0])
        guard case .word(let by) = arguments[1], ["AVG", "MIN", "MAX", "SUM"].contains(by),
            let function = MathFunction(rawValue: by),
            case .word(let order) = arguments[2], order == "ASC" || order == "DESC"
        else { throw .validation("SORT takes an array, one of AVG, MIN, MAX and SUM, and ASC or DESC.") }
        let ranked = all.map { series -> (Double, TimeSeries) in
            let rank = Self.summary(function, series.values)
            return (rank.isNaN ? -.infinity : rank, series)
        }.sorted { order == "ASC" ? $0.0 < $1.0 : $0.0 > $1.0 }.map(\.1)
        guard arguments.count > 3 else { return .array(ranked) }
        guard case .scalar(let number) = try evaluate(arguments[3]), let limit = Int(exactly: number), limit >= 0 else {
            throw .validation("SORT takes a whole number of series.")
        }
        return .array(Array(ranked.prefix(limit)))
    }
}
