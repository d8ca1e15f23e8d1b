import Contracts
import Platform

/// Metrics in log events (CloudWatch user guide, "Specification: Embedded metric format"). What does not keep to the
/// specification is passed over: the event is a log event all the same.
enum EmbeddedMetrics {
    private static let mark = Needle(#""_aws""#.utf8)

    /// Whether an event may have metrics: cheap, for every line.
    static func mayBe(in message: String) -> Bool {
        message.utf8.first == UInt8(ascii: "{") && message.utf8.count <= Limits.embeddedBytes
            && message.withBytes { mark.isIn($0) }
    }

    static func areIn(_ events: [NewEvent]) -> Bool { events.contains { mayBe(in: $0.message) } }

    /// The metrics of one event; none when it is no such document. `now` in milliseconds.
    static func samples(_ message: String, now: Int64) -> [MetricSample] {
        guard mayBe(in: message), let root = try? JSON.parse(message), let metadata = root["_aws"],
            let directives = metadata["CloudWatchMetrics"]?.list, let time = metadata["Timestamp"]?.int,
            time >= now - Limits.metricOldest, time <= now + Limits.metricNewest
        else { return [] }
        var samples: [MetricSample] = []
        for directive in directives {
            samples += self.samples(directive, root, at: Instant(milliseconds: time))
            guard samples.count <= Limits.embeddedSamples else { return Array(samples.prefix(Limits.embeddedSamples)) }
        }
        return samples
    }

    private static func samples(_ directive: Value, _ root: Value, at time: Instant) -> [MetricSample] {
        guard let namespace = directive["Namespace"]?.string, isName(namespace),
            let metrics = directive["Metrics"]?.list, metrics.count <= Limits.embeddedMetricsPerDirective,
            let sets = dimensionSets(directive["Dimensions"], root)
        else { return [] }
        var samples: [MetricSample] = []
        for metric in metrics {
            guard let name = metric["Name"]?.string, isName(name), let values = values(root[name]),
                let resolution = resolution(metric["StorageResolution"])
            else { continue }
            let unit = metric["Unit"]?.string ?? "None"
            guard units.contains(unit) else { continue }
            for dimensions in sets {
                for value in values {
                    samples.append(
                        MetricSample(
                            namespace: namespace, name: name, dimensions: dimensions, timestamp: time, value: value,
                            unit: unit, resolution: resolution))
                    guard samples.count < Limits.embeddedSamples else { return samples }
                }
            }
        }
        return samples
    }

    /// One without dimensions when there are none; nil when a set is malformed or names what the document does not have.
    private static func dimensionSets(_ value: Value?, _ root: Value) -> [[(name: String, value: String)]]? {
        guard let value else { return [[]] }
        guard let lists = value.list, lists.count <= Limits.embeddedMetricsPerDirective else { return nil }
        var sets: [[(name: String, value: String)]] = []
        for list in lists {
            guard let names = list.list, names.count <= Limits.embeddedDimensions else { return nil }
            var set: [(name: String, value: String)] = []
            for name in names {
                guard let name = name.string, isName(name), let text = root[name]?.string, !text.isEmpty,
                    text.unicodeScalars.count <= Limits.dimensionValueCharacters,
                    !set.contains(where: { $0.name == name })
                else { return nil }
                set.append((name, text))
            }
            sets.append(set)
        }
        return sets.isEmpty ? [[]] : sets
    }

    private static func values(_ value: Value?) -> [Double]? {
        if let number = value?.double { return number.isFinite ? [number] : nil }
        guard let list = value?.list, !list.isEmpty, list.count <= Limits.embeddedValues else { return nil }
        let numbers = list.compactMap(\.double).filter(\.isFinite)
        return numbers.count == list.count ? numbers : nil
    }

    private static func resolution(_ value: Value?) -> Int? {
        guard let value else { return 60 }
        return value.int == 1 ? 1 : value.int == 60 ? 60 : nil
    }

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.unicodeScalars.count <= Limits.metricNameCharacters
    }

    /// CloudWatch's StandardUnit.
    private static let units: Set<String> = {
        let sizes = ["Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes"]
        let bits = ["Bits", "Kilobits", "Megabits", "Gigabits", "Terabits"]
        return Set(
            ["Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None"] + sizes + bits
                + (sizes + bits).map { $0 + "/Second" })
    }()
}
