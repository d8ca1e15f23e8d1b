import Contracts
import NIOCore
import Platform
import Testing
import Wire

@testable import CloudWatch
@testable import CloudWatchLogs
@testable import CodeCommit

/// What CloudWatch, its logs and CodeCommit read of functions and clients.
@Suite struct WatchFuzz {
    private static let now: Int64 = 1_795_413_600_000

    @Test(arguments: Mutator.seeds) func embeddedMetrics(seed: UInt64) {
        var random = Mutator(seed: seed)
        let line =
            #"{"_aws":{"Timestamp":1795413600000,"CloudWatchMetrics":[{"Namespace":"n","Dimensions":[["a","b"],[]],"#
            + #""Metrics":[{"Name":"m","Unit":"Count","StorageResolution":1},{"Name":"l"}]}]},"a":"x","b":"y","m":1.5,"l":[1,2e3]}"#
        #expect(EmbeddedMetrics.samples(line, now: Self.now).count == 6)
        for _ in 0..<(800 * Mutator.factor) {
            let samples = EmbeddedMetrics.samples(random.mutated(line), now: Self.now)
            #expect(samples.count <= 4_096 && samples.allSatisfy { $0.value.isFinite })
        }
    }

    @Test(arguments: Mutator.seeds) func metricMath(seed: UInt64) {
        var random = Mutator(seed: seed)
        let texts = [
            "IF(m1 > 3 && m2 != 0, FILL(m1, REPEAT) / m2, -m2 ^ 2) * 1.5e3",
            "SUM([m1, m2]) + AVG(METRICS(\"m\")) - PERIOD(m1)",
            "SORT(SEARCH('{AWS/Lambda,FunctionName} Errors', 'Sum', 300), MAX, DESC, 3)",
            "RATE(m1) + RUNNING_SUM(m2) % 2",
            "TIME_SERIES(1) + DIFF(FILL(m2, LINEAR)) || FIRST([m1])",
        ]
        var series = TimeSeries(label: "m", period: 60)
        for index in 0..<5 { series.append(Int64(index) * 60, Double(index)) }
        let known = series
        for _ in 0..<(400 * Mutator.factor) {
            guard let expression = try? Expression(random.mutated(random.pick(texts))) else { continue }
            var evaluator = MathEvaluator(
                start: 0, end: 300, period: 60, budget: 50_000,
                resolve: { (id: String) throws(AWSError) in
                    guard id.hasPrefix("m") else { throw AWSError.validation("no \(id)") }
                    return .series(known)
                },
                metrics: { () throws(AWSError) in [("m1", known)] })
            _ = try? evaluator.evaluate(expression)
            // It may be over by what it did last.
            #expect(evaluator.steps <= 200_000)
        }
    }

    @Test(arguments: Mutator.seeds) func statistics(seed: UInt64) {
        var random = Mutator(seed: seed)
        for _ in 0..<(400 * Mutator.factor) {
            for text in ["p99.9", "tm90", "TM(10%:90.5%)", "PR(:300)", "tc10", "WM(1:2)", "iqm"] {
                _ = Statistic(random.mutated(text))
            }
        }
    }

    @Test(arguments: Mutator.seeds) func pushCommands(seed: UInt64) {
        var random = Mutator(seed: seed)
        let (a, b) = (String(repeating: "a", count: 40), String(repeating: "0", count: 40))
        let push =
            Array(
                (PushCommands.line("shallow \(a)\n")
                    + PushCommands.line("\(a) \(b) refs/heads/main\0 report-status side-band-64k agent=x\n")
                    + PushCommands.line("\(b) \(a) refs/heads/\u{E9}/x\n") + "0000PACK").utf8) + [
                0, 0, 0, 2, 0, 0, 0, 0,
            ]
        for _ in 0..<(500 * Mutator.factor) {
            let changed = random.mutated(push)
            var whole = PushCommands(limit: 100)
            whole.feed(ByteBuffer(bytes: changed))
            var parts = PushCommands(limit: 100)
            for piece in random.pieces(changed) { parts.feed(ByteBuffer(bytes: piece)) }
            // However it is cut.
            #expect(whole.references == parts.references && whole.isDone == parts.isDone)
            #expect(whole.hasUnspeakableName == parts.hasUnspeakableName && whole.references.count <= 100)
            for name in whole.references { _ = ReferenceName.isReference(name) }
        }
    }

    @Test(arguments: Mutator.seeds) func gitObjects(seed: UInt64) {
        var random = Mutator(seed: seed)
        let id = [UInt8](repeating: 0xAB, count: 20)
        let tree = Array("100644 a\0".utf8) + id + Array("40000 b c\0".utf8) + id + Array("160000 d\0".utf8) + id
        let commit = Array(
            ("tree \(ObjectID.emptyTree)\nparent \(ObjectID.emptyTree)\nauthor A B <a@b> 1795413600 +0100\n"
                + "committer A <> 1 -0000\nencoding x\n\nmessage\n").utf8)
        let packed: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0x4B, 4, 0, 0x43, 0xBE, 0xB7, 0xE8, 1, 0, 0, 0]
        #expect(ObjectReader.entries(tree).count == 3)
        for _ in 0..<(500 * Mutator.factor) {
            let changed = random.mutated(tree)
            #expect(ObjectReader.entries(changed).count <= changed.count / 22 + 1)
            _ = CommitObject(id: "x", bytes: random.mutated(commit))
            _ = try? Gunzip.inflate(random.mutated(packed), limit: 1_000)
            _ = try? GitRequest(
                method: "GET", path: random.mutated("/v1/repos/name/info/refs"),
                query: random.mutated("service=git-upload-pack&x=1"),
                contentType: nil)
        }
    }
}
