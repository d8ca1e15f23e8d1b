import Platform
import Wire

/// Which metric: the order in which its dimensions were named does not matter.
struct MetricID: Hashable, Sendable {
    struct Dimension: Hashable, Sendable {
        var name: String
        var value: String
    }

    var namespace: String
    var name: String
    /// By name.
    private(set) var dimensions: [Dimension]

    init(namespace: String, name: String, dimensions: [Dimension] = []) {
        self.namespace = namespace
        self.name = name
        self.dimensions =
            dimensions.count < 2
            ? dimensions : dimensions.sorted { ($0.name, $0.value) < ($1.name, $1.value) }
    }

    /// The dimensions as they are stored: a JSON list of names and values, one after the other.
    var dimensionText: String {
        if dimensions.isEmpty { return "[]" }
        return JSON.encodeString(.strings(dimensions.flatMap { [$0.name, $0.value] }))
    }

    /// From the store; a text that is none of ours has no dimensions.
    static func dimensions(_ text: String) -> [Dimension] {
        guard text != "[]", let parts = (try? JSON.parse(text))?.list else { return [] }
        return stride(from: 0, to: parts.count - 1, by: 2).map {
            Dimension(name: parts[$0].string ?? "", value: parts[$0 + 1].string ?? "")
        }
    }

    var hasRepeatedDimension: Bool {
        zip(dimensions, dimensions.dropFirst()).contains { $0.name == $1.name }
    }
}

extension MetricID {
    init(namespace: String, name: String, _ dimensions: [Model.Dimension]?) {
        self.init(
            namespace: namespace, name: name,
            dimensions: (dimensions ?? []).map { Dimension(name: $0.name ?? "", value: $0.value_ ?? "") })
    }

    var modelDimensions: [Model.Dimension] {
        dimensions.map { one in
            var dimension = Model.Dimension()
            dimension.name = one.name
            dimension.value_ = one.value
            return dimension
        }
    }
}

/// The units of the model, numbered in its order: what the store keeps.
enum Unit {
    static let names = [
        "Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes", "Bits",
        "Kilobits", "Megabits", "Gigabits", "Terabits", "Percent", "Count", "Bytes/Second", "Kilobytes/Second",
        "Megabytes/Second", "Gigabytes/Second", "Terabytes/Second", "Bits/Second", "Kilobits/Second",
        "Megabits/Second", "Gigabits/Second", "Terabits/Second", "Count/Second", "None",
    ]
    private static let numbers = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, Int64($0)) })
    static let none = Int64(names.count - 1)

    /// nil for a unit that is not in the model.
    static func number(_ name: String) -> Int64? { numbers[name] }

    static func name(_ number: Int64) -> String {
        names.indices.contains(Int(number)) ? names[Int(number)] : "None"
    }
}
