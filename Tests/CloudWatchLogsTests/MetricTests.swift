import Contracts
import Platform
import Testing
import Wire

@testable import CloudWatchLogs

@Suite struct MetricTests {
    let house: Harness

    init() throws { house = try Harness() }

    private func putMetric(
        _ pattern: String, value: String, defaultValue: Double? = nil, dimensions: [(String, String)] = []
    ) async throws {
        var transformation: Value = ["metricName": "m", "metricNamespace": "n", "metricValue": .string(value)]
        if let defaultValue { transformation["defaultValue"] = .double(defaultValue) }
        if !dimensions.isEmpty { transformation["dimensions"] = .stringMap(dimensions.map { ($0.0, $0.1) }) }
        try await house.call(
            "PutMetricFilter",
            [
                "logGroupName": "g", "filterName": "f", "filterPattern": .string(pattern),
                "metricTransformations": [transformation],
            ])
    }

    private func samples(_ messages: [String]) async throws -> [MetricSample] {
        let before = house.metrics.samples.count
        try await house.put(messages)
        await house.service.ingestion.taps.flush()
        return Array(house.metrics.samples.dropFirst(before))
    }

    @Test func countsAreTogetherAndDefaultsAreForTheRest() async throws {
        try await house.group()
        try await putMetric("ERROR", value: "2", defaultValue: 0)
        let found = try await samples(["ERROR a", "fine", "ERROR b"])
        #expect(found.map(\.value) == [2, 0] && found.map(\.count) == [2, 1])
        #expect(found.first?.namespace == "n" && found.first?.name == "m" && found.first?.unit == "None")
        #expect(found.first.map { $0.timestamp.milliseconds % 60_000 } == 0)
        // A new state of the filter counts at once.
        try await putMetric("fine", value: "5")
        #expect(try await samples(["fine", "ERROR"]).map(\.value) == [5])
        try await house.call("DeleteMetricFilter", ["logGroupName": "g", "filterName": "f"])
        #expect(try await samples(["fine", "ERROR"]).isEmpty)
    }

    @Test func valuesAndDimensionsComeFromTheEvent() async throws {
        try await house.group()
        try await putMetric("{ $.latency = * }", value: "$.latency", dimensions: [("Path", "$.path")])
        let found = try await samples([
            #"{"latency":12.5,"path":"/a"}"#, #"{"latency":"7","path":"/b"}"#, #"{"latency":1}"#,
            #"{"latency":"x","path":"/b"}"#, "no json",
        ])
        #expect(found.map(\.value) == [12.5, 7])
        #expect(found.map { $0.dimensions.map { "\($0.name)=\($0.value)" } } == [["Path=/a"], ["Path=/b"]])
        try await putMetric("[ip, ..., bytes]", value: "$bytes", dimensions: [("IP", "$ip")])
        let line = try await samples(["10.0.0.1 GET / 1534"])
        #expect(line.map(\.value) == [1534] && line.first?.dimensions.first?.value == "10.0.0.1")
    }

    @Test func transformationsAreChecked() async throws {
        try await house.group()
        func refused(_ pattern: String, _ value: String, _ defaultValue: Double? = nil, _ dimension: String? = nil)
            async -> String?
        {
            do {
                try await putMetric(
                    pattern, value: value, defaultValue: defaultValue, dimensions: dimension.map { [("D", $0)] } ?? [])
                return nil
            } catch { return (error as? AWSError)?.message }
        }
        #expect(
            await refused("{ $.a = 1 }", "1", 0, "$.b")
                == "Invalid metric transformation: dimensions and default value are mutually exclusive properties")
        #expect(await refused("ERROR", "1", nil, "$.b") == "The specified filter pattern does not support dimensions")
        #expect(
            await refused("{ $.a = 1 }", "1", nil, "VPC-A")
                == "Invalid metric transformation: dimension value must be valid selector")
        #expect(await refused("ERROR", "$.x")?.hasPrefix("Invalid metric transformation: metric value $.x") == true)
        #expect(await refused("ERROR", "-1.5e3") == nil)
        let shown = try await house.call("DescribeLogGroups", [:])["logGroups"]?.list?.first
        #expect(shown?["metricFilterCount"] == 1)
    }

    // MARK: Embedded metric format

    private func embedded(_ metadata: String, _ members: String) -> [MetricSample] {
        let now = house.time.now().milliseconds
        return EmbeddedMetrics.samples(
            #"{"_aws":{"Timestamp":\#(now),"CloudWatchMetrics":[\#(metadata)]},\#(members)}"#, now: now)
    }

    @Test func embeddedMetricsAreFound() {
        let found = embedded(
            #"""
            {"Namespace":"app","Dimensions":[["fn"],["fn","v"]],"Metrics":[{"Name":"time","Unit":"Milliseconds","StorageResolution":1},
            {"Name":"calls"}]}
            """#, #""fn":"f","v":"1","time":[100,2.5],"calls":1,"requestId":"x""#)
        #expect(found.map(\.value) == [100, 2.5, 100, 2.5, 1, 1])
        #expect(found.map(\.dimensions.count) == [1, 1, 2, 2, 1, 2])
        #expect(found.first?.unit == "Milliseconds" && found.first?.resolution == 1 && found.last?.resolution == 60)
        #expect(found.last?.unit == "None" && found.last?.namespace == "app")
        #expect(embedded(#"{"Namespace":"app","Metrics":[{"Name":"a"}]}"#, #""a":1"#).first?.dimensions.isEmpty == true)
    }

    @Test func whatIsNotSpecifiedIsPassedOver() {
        let metrics = #""Metrics":[{"Name":"a"}]"#
        for (metadata, members) in [
            (#"{"Namespace":"",\#(metrics)}"#, #""a":1"#), (#"{\#(metrics)}"#, #""a":1"#),
            (#"{"Namespace":"n",\#(metrics)}"#, #""b":1"#), (#"{"Namespace":"n",\#(metrics)}"#, #""a":"1""#),
            (#"{"Namespace":"n","Dimensions":[["x"]],\#(metrics)}"#, #""a":1"#),
            (#"{"Namespace":"n","Dimensions":[["x"]],\#(metrics)}"#, #""a":1,"x":5"#),
            (#"{"Namespace":"n","Dimensions":"x",\#(metrics)}"#, #""a":1"#),
            (#"{"Namespace":"n","Metrics":[{"Name":"a","Unit":"Parsecs"}]}"#, #""a":1"#),
            (#"{"Namespace":"n","Metrics":[{"Name":"a","StorageResolution":5}]}"#, #""a":1"#),
            (#"{"Namespace":"n",\#(metrics)}"#, #""a":[\#(Array(repeating: "1", count: 101).joined(separator: ","))]"#),
            ("5", #""a":1"#),
        ] { #expect(embedded(metadata, members).isEmpty, "\(metadata) \(members)") }
        let now = house.time.now().milliseconds
        for time in [String(now - 15 * 86_400_000), String(now + 3 * 3_600_000), #""now""#, "null"] {
            let text = #"{"_aws":{"Timestamp":\#(time),"CloudWatchMetrics":[{"Namespace":"n",\#(metrics)}]},"a":1}"#
            #expect(EmbeddedMetrics.samples(text, now: now).isEmpty, "\(time)")
        }
        #expect(EmbeddedMetrics.samples(#"{"_aws":"#, now: now).isEmpty)
        #expect(!EmbeddedMetrics.mayBe(in: #"text with "_aws""#))
    }

    /// A small document must not come to millions of values.
    @Test func embeddedMetricsAreBounded() {
        let sets = Array(repeating: "[]", count: 100).joined(separator: ",")
        let names = (0..<100).map { #"{"Name":"m\#($0)"}"# }.joined(separator: ",")
        let members = (0..<100).map { #""m\#($0)":[\#(Array(repeating: "1", count: 100).joined(separator: ","))]"# }
        let found = embedded(
            #"{"Namespace":"n","Dimensions":[\#(sets)],"Metrics":[\#(names)]}"#, members.joined(separator: ","))
        #expect(found.count == Limits.embeddedSamples)
    }

    @Test func embeddedMetricsOfFunctionsAndOfPutLogEvents() async throws {
        let now = house.time.now()
        let text =
            #"{"_aws":{"Timestamp":\#(now.milliseconds),"CloudWatchMetrics":[{"Namespace":"n","Metrics":[{"Name":"a"}]}]},"a":3}"#
        house.service.append(
            scope: Harness.scope, group: "/aws/lambda/f", stream: "e",
            events: [LogEvent(timestamp: now, message: "START"), LogEvent(timestamp: now, message: text + "\n")])
        await house.service.flush()
        await house.service.ingestion.taps.flush()
        #expect(house.metrics.samples.map(\.value) == [3])
        try await house.group()
        #expect(try await samples([text, "x"]).map(\.value) == [3])
    }
}
