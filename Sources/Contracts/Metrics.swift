public import Platform

/// One value that something measured, for CloudWatch.
public struct MetricSample: Sendable {
    public var namespace: String
    public var name: String
    /// At most 30, in any order; which metric it is does not depend on the order.
    public var dimensions: [(name: String, value: String)]
    public var timestamp: Instant
    public var value: Double
    /// How often it was measured; 1 or more.
    public var count: Double
    /// CloudWatch's words: `Count`, `Milliseconds`, …, `None`.
    public var unit: String
    /// Seconds between values that are told apart: 60, or 1 for high resolution.
    public var resolution: Int

    public init(
        namespace: String, name: String, dimensions: [(name: String, value: String)], timestamp: Instant, value: Double,
        count: Double = 1, unit: String = "None", resolution: Int = 60
    ) {
        self.namespace = namespace
        self.name = name
        self.dimensions = dimensions
        self.timestamp = timestamp
        self.value = value
        self.count = count
        self.unit = unit
        self.resolution = resolution
    }
}

/// Takes what services measure: Lambda's own metrics, those found in logs. CloudWatch is the one who does.
public protocol MetricSink: Sendable {
    /// Never waits and never fails: bounded, drops (and counts) when the store cannot follow. What was recorded is kept some
    /// seconds later; a crash loses what was recorded since.
    func record(_ samples: [MetricSample], scope: AccountRegion)
}
