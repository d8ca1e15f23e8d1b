import Contracts
import Platform
import Wire

/// A metric filter, ready to be matched.
struct MetricFilter: Sendable {
    enum Amount: Sendable {
        case constant(Double)
        case field(FieldSelector)
    }

    struct Transformation: Sendable {
        var name: String
        var namespace: String
        var amount: Amount
        /// Of events that do not match.
        var otherwise: Double?
        var dimensions: [(name: String, selector: FieldSelector)]
        var unit: String
    }

    var pattern: FilterPattern
    var transformations: [Transformation]

    /// Nil for a row that cannot be read.
    init?(_ row: FilterRow) {
        let document = Model.MetricFilter(row.document)
        guard let pattern = try? FilterPattern(document.filterPattern ?? ""),
            let transformations = try? (document.metricTransformations ?? []).map({ try Transformation($0, pattern) })
        else { return nil }
        self.pattern = pattern
        self.transformations = transformations
    }

    /// What the events come to, same values of a minute together.
    func samples(_ events: [NewEvent]) -> [MetricSample] {
        var counts: [Key: Double] = [:]
        var order: [Key] = []
        func count(_ key: Key) {
            if let old = counts[key] {
                counts[key] = old + 1
            } else {
                counts[key] = 1
                order.append(key)
            }
        }
        for event in events {
            let match = pattern.match(event.message)
            let minute = event.timestamp.flooredDivision(by: 60_000)
            for (index, transformation) in transformations.enumerated() {
                if let match {
                    guard let value = transformation.value(in: match),
                        let dimensions = transformation.dimensions(in: match)
                    else { continue }
                    count(Key(transformation: index, minute: minute, value: value, dimensions: dimensions))
                } else if let otherwise = transformation.otherwise {
                    count(Key(transformation: index, minute: minute, value: otherwise, dimensions: []))
                }
            }
        }
        return order.map { key in
            let transformation = transformations[key.transformation]
            return MetricSample(
                namespace: transformation.namespace, name: transformation.name,
                dimensions: Array(zip(transformation.dimensions.map(\.name), key.dimensions)).map { ($0.0, $0.1) },
                timestamp: Instant(milliseconds: key.minute &* 60_000), value: key.value, count: counts[key] ?? 1,
                unit: transformation.unit)
        }
    }

    private struct Key: Hashable {
        var transformation: Int
        var minute: Int64
        var value: Double
        var dimensions: [String]
    }
}

extension MetricFilter.Transformation {
    /// Checks a transformation of PutMetricFilter. Throws InvalidParameterException.
    init(_ model: Model.MetricTransformation, _ pattern: FilterPattern) throws(AWSError) {
        name = model.metricName ?? ""
        namespace = model.metricNamespace ?? ""
        otherwise = model.defaultValue
        unit = model.unit ?? "None"
        let value = model.metricValue ?? ""
        if let number = Operand.number(in: Array(value.utf8)) {
            amount = .constant(number)
        } else if let selector = FieldSelector(value), pattern.offers(selector) {
            amount = .field(selector)
        } else {
            throw LogsError.invalid(
                "Invalid metric transformation: metric value \(value) must be a valid number or selector")
        }
        let named = model.dimensions ?? []
        guard named.isEmpty || otherwise == nil else {
            throw LogsError.invalid(
                "Invalid metric transformation: dimensions and default value are mutually exclusive properties")
        }
        guard named.count <= Limits.dimensionsPerFilter else {
            throw LogsError.invalid(
                "Invalid metric transformation: a maximum of \(Limits.dimensionsPerFilter) dimensions is allowed")
        }
        guard named.isEmpty || pattern.hasFields else {
            throw LogsError.invalid("The specified filter pattern does not support dimensions")
        }
        dimensions = []
        for (name, text) in named {
            guard let selector = FieldSelector(text), pattern.offers(selector) else {
                throw LogsError.invalid("Invalid metric transformation: dimension value must be valid selector")
            }
            dimensions.append((name, selector))
        }
    }

    fileprivate func value(in match: FilterPattern.Match) -> Double? {
        switch amount {
        case .constant(let number): number
        case .field(let selector): selector.text(in: match).flatMap { Operand.number(in: Array($0.utf8)) }
        }
    }

    /// Nil when the event lacks one: then there is no metric.
    fileprivate func dimensions(in match: FilterPattern.Match) -> [String]? {
        var values: [String] = []
        for (_, selector) in dimensions {
            guard let text = selector.text(in: match), !text.isEmpty,
                text.unicodeScalars.count <= Limits.dimensionValueCharacters
            else { return nil }
            values.append(text)
        }
        return values
    }
}
