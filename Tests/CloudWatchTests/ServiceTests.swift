import Contracts
import Logging
import Platform
import Storage
import Testing
import Wire

@testable import CloudWatch

@Suite struct ServiceTests {
    @Test func whatIsPutIsReadBack() async throws {
        let cloudWatch = try await Harness()
        let now = cloudWatch.now / 60 * 60
        for (minute, value) in [(-3, 1.0), (-3, 3), (-2, 5), (-1, 9)] {
            try await cloudWatch.put(value, at: now + Int64(minute) * 60 + 5)
        }
        let results = try await cloudWatch.data([
            cloudWatch.stat("sum", "Sum"), cloudWatch.stat("n", "SampleCount"), cloudWatch.stat("p", "p50"),
            ["Id": "e", "Expression": "sum / n"],
        ])
        #expect(results.map { $0["Id"]?.string } == ["sum", "n", "p", "e"])
        #expect(
            results.map { $0["Values"]?.list?.compactMap(\.double) } == [
                [4, 5, 9], [2, 1, 1], [1, 5, 9], [2, 5, 9],
            ])
        #expect(
            results[0]["Timestamps"]?.list?.compactMap { $0.timestamp?.seconds } == [now - 180, now - 120, now - 60])
        #expect(results[0]["Label"]?.string == "m")
        let statistics = try await cloudWatch.call(
            "GetMetricStatistics",
            [
                "Namespace": "T", "MetricName": "m", "StartTime": cloudWatch.instant(now - 240),
                "EndTime": cloudWatch.instant(now), "Period": 240, "Statistics": ["Average", "Maximum"],
            ])
        let point = statistics["Datapoints"]?.list?.first
        #expect(point?["Average"]?.double == 4.5 && point?["Maximum"]?.double == 9 && point?["Unit"]?.string == "None")
    }

    @Test func dataOutliveARollUp() async throws {
        let cloudWatch = try await Harness()
        let hour = cloudWatch.now / 3_600 * 3_600
        for second in 0..<600 { try await cloudWatch.put(Double(second), at: hour + Int64(second), resolution: 1) }
        func read(_ period: Int64) async throws -> [Double] {
            let result = try await cloudWatch.call(
                "GetMetricStatistics",
                [
                    "Namespace": "T", "MetricName": "m", "StartTime": cloudWatch.instant(hour),
                    "EndTime": cloudWatch.instant(hour + 3_600), "Period": .int(period),
                    "Statistics": ["Sum", "SampleCount"],
                ])
            return result["Datapoints"]?.list?.compactMap { $0["Sum"]?.double } ?? []
        }
        let whole = Double(599 * 600 / 2)
        #expect(try await read(10).count == 60)
        let sweeper = Sweeper(database: cloudWatch.database, time: cloudWatch.time, logger: Logger(label: "test"))
        cloudWatch.time.advance(by: .seconds(4 * 3_600))
        await sweeper.sweep()
        #expect(try await read(60).count == 10)
        #expect(try await read(3_600) == [whole])
        cloudWatch.time.advance(by: .seconds(16 * 86_400))
        await sweeper.sweep()
        #expect(try await read(60) == [])
        #expect(try await read(300).count == 2)
        cloudWatch.time.advance(by: .seconds(64 * 86_400))
        await sweeper.sweep()
        #expect(try await read(3_600) == [whole])
        cloudWatch.time.advance(by: .seconds(460 * 86_400))
        await sweeper.sweep()
        let left = try await cloudWatch.database.read { transaction in
            try transaction.first(
                "SELECT (SELECT COUNT(*) FROM cloudwatch_point) + (SELECT COUNT(*) FROM cloudwatch_metric)"
            ) { $0.int(0) }
        }
        #expect(left == 0)
    }

    static let alarm: Fields = [
        "AlarmName": "a", "Namespace": "T", "MetricName": "m", "Period": 60, "EvaluationPeriods": 1, "Threshold": 2,
        "Statistic": "Sum", "ComparisonOperator": "GreaterThanThreshold", "AlarmDescription": "too much",
        "AlarmActions": [
            "arn:aws:lambda:us-east-1:000000000000:function:f", "arn:aws:sns:us-east-1:000000000000:t",
            "arn:aws:sns:us-east-1:000000000000:gone",
        ],
        "OKActions": ["arn:aws:sns:us-east-1:000000000000:t"],
    ]

    @Test func statesSetByHandAct() async throws {
        let cloudWatch = try await Harness()
        try await cloudWatch.call("PutMetricAlarm", .map(Self.alarm))
        let set: Value = ["AlarmName": "a", "StateValue": "ALARM", "StateReason": "testing"]
        try await cloudWatch.call("SetAlarmState", set)
        try await cloudWatch.until { cloudWatch.outbox.deliveries.count >= 4 }
        #expect(cloudWatch.outbox.deliveries.filter { ARN($0.target)?.service == "lambda" }.count == 1)
        // The same state again acts no more.
        try await cloudWatch.call("SetAlarmState", set)
        #expect(cloudWatch.outbox.deliveries.filter { ARN($0.target)?.service == "lambda" }.count == 1)
        try await cloudWatch.call("DisableAlarmActions", ["AlarmNames": ["a", "nobody"]])
        try await cloudWatch.call("SetAlarmState", ["AlarmName": "a", "StateValue": "OK", "StateReason": "x"])
        #expect(cloudWatch.outbox.deliveries.filter { ARN($0.target)?.service == "sns" }.count == 1)
        #expect(
            await cloudWatch.error("SetAlarmState", ["AlarmName": "b", "StateValue": "OK", "StateReason": ""])?.status
                == 404)
    }

    @Test func measuredValuesAreKeptByMinute() async throws {
        let cloudWatch = try await Harness()
        let sample = MetricSample(
            namespace: "AWS/Lambda", name: "Errors", dimensions: [("FunctionName", "f")],
            timestamp: cloudWatch.time.now(),
            value: 1, count: 2, unit: "Count")
        cloudWatch.service.record([sample, sample], scope: Harness.scope)
        cloudWatch.service.record(
            [MetricSample(namespace: "", name: "", dimensions: [], timestamp: cloudWatch.time.now(), value: .nan)],
            scope: Harness.scope)
        cloudWatch.time.advance(by: .seconds(2))
        await cloudWatch.service.flush()
        let found = try await cloudWatch.call("ListMetrics", ["Namespace": "AWS/Lambda"])["Metrics"]?.list
        #expect(found?.count == 1 && found?.first?["Dimensions"]?.list?.first?["Value"]?.string == "f")
        let points = try await cloudWatch.call(
            "GetMetricStatistics",
            [
                "Namespace": "AWS/Lambda", "MetricName": "Errors",
                "StartTime": cloudWatch.instant(cloudWatch.now - 600),
                "EndTime": cloudWatch.instant(cloudWatch.now), "Period": 600, "Statistics": ["Sum"],
                "Dimensions": [["Name": "FunctionName", "Value": "f"]],
            ])["Datapoints"]?.list
        #expect(points?.first?["Sum"]?.double == 4)
        #expect(cloudWatch.service.metricLines.contains("martlet_metric_samples_dropped_total 1"))
    }

    @Test func listsGoOnBehindAToken() async throws {
        let cloudWatch = try await Harness()
        for start in stride(from: 0, to: 1_200, by: 400) {
            let data: [Value] = (start..<(start + 400)).map {
                ["MetricName": "m", "Value": 1, "Dimensions": [["Name": "n", "Value": .string("\($0)")]]]
            }
            try await cloudWatch.call("PutMetricData", ["Namespace": "T", "MetricData": .list(data)])
        }
        var seen = Set<String>()
        var token: Value?
        var pages = 0
        repeat {
            var input: Value = ["Namespace": "T", "Dimensions": [["Name": "n"]]]
            if let token { input["NextToken"] = token }
            let page = try await cloudWatch.call("ListMetrics", input)
            for metric in page["Metrics"]?.list ?? [] {
                seen.insert(metric["Dimensions"]?.list?.first?["Value"]?.string ?? "")
            }
            token = page["NextToken"]
            pages += 1
        } while token != nil && pages < 10
        #expect(seen.count == 1_200 && pages == 3)
        let one = try await cloudWatch.call("ListMetrics", ["Dimensions": [["Name": "n", "Value": "7"]]])
        #expect(one["Metrics"]?.list?.count == 1)
        cloudWatch.time.advance(by: .seconds(4 * 3_600))
        let recent = try await cloudWatch.call("ListMetrics", ["RecentlyActive": "PT3H"])
        #expect(recent["Metrics"]?.list?.isEmpty == true)
    }

    static let hostile: [(Value, String?)] = [
        (
            ["Value": 1, "StatisticValues": ["SampleCount": 1, "Sum": 1, "Minimum": 1, "Maximum": 1]],
            "The parameters MetricData.member.1.Value and MetricData.member.1.StatisticValues are mutually exclusive and you have specified both."
        ),
        (
            ["Value": 1, "Values": [1]],
            "The parameters MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive and you have specified both."
        ),
        (
            ["Values": [1, 2], "Counts": [1]],
            "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size."
        ),
        (["Value": .double(.nan)], "The value NaN for parameter MetricData.member.1.Value is invalid."),
        (
            ["Value": .double(.infinity)],
            "The value Infinity for parameter MetricData.member.1.Value is invalid."
        ),
        (["Value": .double(0x1p361)], nil),
    ]

    @Test(arguments: hostile) func hostileDataAreRefused(_ datum: Value, _ text: String?) async throws {
        let cloudWatch = try await Harness()
        var datum = datum
        datum["MetricName"] = "m"
        let error = await cloudWatch.error("PutMetricData", ["Namespace": "T", "MetricData": .list([datum])])
        #expect(error != nil)
        if let text { #expect(error?.message == text) }
    }
}
