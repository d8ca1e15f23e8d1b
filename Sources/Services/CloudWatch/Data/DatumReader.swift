import Platform
import Wire

/// Takes a PutMetricData apart and checks what the model cannot say. Pure.
enum DatumReader {
    struct Datum: Sendable {
        var metric: MetricID
        var place: PointPlace
        var point: StatisticPoint
    }

    /// Data of one request, those of the same metric, time and unit joined. Throws InvalidParameterValue,
    /// InvalidParameterCombination and MissingParameter.
    static func read(_ input: Model.PutMetricDataInput, now: Instant) throws(AWSError) -> [Datum] {
        let namespace = input.namespace ?? ""
        var given: [(place: String, model: Model.MetricDatum)] = []
        for (index, model) in (input.metricData ?? []).enumerated() {
            given.append(("MetricData.member.\(index + 1)", model))
        }
        for (entity, data) in (input.entityMetricData ?? []).enumerated() {
            for (index, model) in (data.metricData ?? []).enumerated() {
                given.append(("EntityMetricData.member.\(entity + 1).MetricData.member.\(index + 1)", model))
            }
        }
        guard !given.isEmpty else { throw .missing("The parameter MetricData is required.") }
        guard given.count <= Limits.dataPerPut else {
            throw .invalidValue("The collection MetricData must not have a size greater than \(Limits.dataPerPut).")
        }
        struct Key: Hashable {
            var metric: MetricID
            var place: PointPlace
        }
        var joined: [Key: Int] = [:]
        var data: [Datum] = []
        for (name, model) in given {
            let datum = try datum(model, name, namespace: namespace, now: now)
            let key = Key(metric: datum.metric, place: datum.place)
            if let index = joined[key] {
                data[index].point.merge(datum.point)
            } else {
                joined[key] = data.count
                data.append(datum)
            }
        }
        return data
    }

    /// Names and values are ASCII without control characters, and not blank; a name begins with no colon (PutMetricData,
    /// "Dimension").
    private static func checkText(of dimensions: [Model.Dimension], _ name: String) throws(AWSError) {
        for (index, dimension) in dimensions.enumerated() {
            let parts = [("Name", dimension.name ?? ""), ("Value", dimension.value_ ?? "")]
            for (part, text) in parts {
                let place = "\(name).Dimensions.member.\(index + 1).\(part)"
                guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
                    throw .invalidValue("The value \(text) for parameter \(place) contains non-ASCII characters.")
                }
                guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), text.utf8.contains(where: { $0 != 0x20 }),
                    part == "Value" || !text.hasPrefix(":")
                else { throw .invalidValue("The value \(text) for parameter \(place) is invalid.") }
            }
        }
    }

    private static func datum(
        _ model: Model.MetricDatum, _ name: String, namespace: String, now: Instant
    ) throws(AWSError) -> Datum {
        let metric = MetricID(namespace: namespace, name: model.metricName ?? "", model.dimensions)
        guard !metric.hasRepeatedDimension else {
            throw .invalidValue("No two dimensions of the parameter \(name).Dimensions may have the same name.")
        }
        try checkText(of: model.dimensions ?? [], name)
        let point = try point(model, name)
        let seconds = (model.timestamp ?? now).seconds
        guard seconds <= now.seconds + Limits.newestDatum else {
            throw .invalidValue(
                "The parameter \(name).Timestamp must specify a time no more than two hours in the future.")
        }
        guard seconds >= now.seconds - Limits.oldestDatum else {
            throw .invalidValue("The parameter \(name).Timestamp must specify a time within the past two weeks.")
        }
        var resolution: Int64 = 60
        if let asked = model.storageResolution {
            guard asked == 1 || asked == 60 else {
                throw .invalidValue("The parameter \(name).StorageResolution must be 1 or 60.")
            }
            // What came too late to be kept by the second goes where that would be by now.
            resolution = asked == 1 && seconds > now.seconds - Limits.retention[0].age ? 1 : 60
        }
        let unit = model.unit.flatMap { Unit.number($0) } ?? Unit.none
        return Datum(
            metric: metric, place: PointPlace(seconds: seconds, resolution: resolution, unit: unit), point: point)
    }

    private static func point(_ model: Model.MetricDatum, _ name: String) throws(AWSError) -> StatisticPoint {
        let given: [(String, Bool)] = [
            ("Value", model.value_ != nil), ("StatisticValues", model.statisticValues != nil),
            ("Values", model.values != nil),
        ]
        let present = given.filter(\.1).map(\.0)
        if present.count > 1 {
            // The pairs as AWS names them (recorded): Value before StatisticValues before Values.
            throw .invalidCombination(
                "The parameters \(name).\(present[0]) and \(name).\(present[1]) are mutually exclusive and you have "
                    + "specified both.")
        }
        if let value = model.value_ {
            guard model.counts == nil else {
                throw .invalidCombination(
                    "The parameters \(name).Value and \(name).Counts are mutually exclusive and you have specified both."
                )
            }
            return StatisticPoint(value: try checked(value, "\(name).Value"))
        }
        if let set = model.statisticValues { return try point(set, "\(name).StatisticValues") }
        guard let values = model.values else {
            throw .missing(
                "At least one of the parameters \(name).Value, \(name).Values or \(name).StatisticValues must be specified."
            )
        }
        guard values.count <= Limits.valuesPerDatum else {
            throw .invalidValue(
                "The collection \(name).Values must not have a size greater than \(Limits.valuesPerDatum).")
        }
        let counts = model.counts ?? [Double](repeating: 1, count: values.count)
        guard counts.count == values.count else {
            throw .invalidValue("The parameters \(name).Values and \(name).Counts must be of the same size.")
        }
        var pairs: [(value: Double, weight: Double)] = []
        for index in values.indices {
            let value = try checked(values[index], "\(name).Values.member.\(index + 1)")
            let count = try checked(counts[index], "\(name).Counts.member.\(index + 1)")
            guard count >= 0 else {
                throw .invalidValue("The value \(count) for parameter \(name).Counts.member.\(index + 1) is invalid.")
            }
            if count > 0 { pairs.append((value, count)) }
        }
        guard let point = StatisticPoint(pairs), point.sum.isFinite, point.count.isFinite else {
            throw .invalidValue("The parameter \(name).Values has no values.")
        }
        return point
    }

    private static func point(_ set: Model.StatisticSet, _ name: String) throws(AWSError) -> StatisticPoint {
        let count = try checked(set.sampleCount ?? 0, "\(name).SampleCount")
        let sum = try checked(set.sum ?? 0, "\(name).Sum")
        let minimum = try checked(set.minimum ?? 0, "\(name).Minimum")
        let maximum = try checked(set.maximum ?? 0, "\(name).Maximum")
        guard count > 0 else { throw .invalidValue("The value \(count) for parameter \(name).SampleCount is invalid.") }
        guard minimum <= maximum else {
            throw .invalidValue("The parameter \(name).Minimum must not be greater than \(name).Maximum.")
        }
        return StatisticPoint(count: count, sum: sum, minimum: minimum, maximum: maximum)
    }

    private static func checked(_ value: Double, _ name: String) throws(AWSError) -> Double {
        guard abs(value) <= Limits.largestValue else {
            throw .invalidValue("The value \(AlarmTexts.number(value)) for parameter \(name) is invalid.")
        }
        // A negative zero is zero: it would be told apart where bits are compared.
        return value == 0 ? 0 : value
    }
}
