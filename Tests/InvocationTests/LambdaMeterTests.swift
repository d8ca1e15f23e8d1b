import Contracts
import Platform
import Synchronization
import Testing

@testable import Invocation

@Suite struct LambdaMeterTests {
    static let scope = AccountRegion(account: "000000000000", region: "us-east-1")
    static let arn = "arn:aws:lambda:us-east-1:000000000000:function:f"

    static func key(_ arn: String = arn, version: String = "$LATEST") -> LambdaCounts.Key {
        LambdaCounts.Key(scope: scope, function: "f", version: version, arn: arn)
    }

    static let use = ConcurrencyLedger.Use(function: 2, account: 5, unreserved: 4)

    /// Sums, by name and dimensions.
    static func sums(_ counts: LambdaCounts) -> [String: Double] {
        var sums: [String: Double] = [:]
        for (_, samples) in counts.samples(at: Instant(milliseconds: 0)) {
            for sample in samples {
                let dimensions = sample.dimensions.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
                sums["\(sample.name)[\(dimensions)]", default: 0] += sample.value * sample.count
            }
        }
        return sums
    }

    @Test func runsAreCountedInEveryDimension() {
        var counts = LambdaCounts()
        let first = counts.finished(Self.key(), nanoseconds: 1_500_000, isError: false, concurrent: Self.use)
        let second = counts.finished(Self.key(), nanoseconds: 2_500_000, isError: true, concurrent: Self.use)
        let third = counts.throttled(Self.key())
        #expect([first, second, third] == [true, false, false])
        let sums = Self.sums(counts)
        for dimensions in ["", "FunctionName=f", "FunctionName=f,Resource=f"] {
            #expect(sums["Invocations[\(dimensions)]"] == 2)
            #expect(sums["Errors[\(dimensions)]"] == 1)
            #expect(sums["Throttles[\(dimensions)]"] == 1)
            #expect(sums["Duration[\(dimensions)]"] == 4)
        }
        #expect(sums["ConcurrentExecutions[FunctionName=f]"] == 2)
        #expect(sums["ConcurrentExecutions[]"] == 5)
        #expect(sums["UnreservedConcurrentExecutions[]"] == 4)
        #expect(!sums.keys.contains { $0.contains("ExecutedVersion") })
    }

    @Test func aliasesNameTheVersionThatRan() {
        var counts = LambdaCounts()
        for qualifier in ["live", "3"] {
            let key = Self.key("\(Self.arn):\(qualifier)", version: "3")
            _ = counts.finished(key, nanoseconds: 1, isError: false, concurrent: Self.use)
        }
        let sums = Self.sums(counts)
        #expect(sums["Invocations[FunctionName=f]"] == 2)
        #expect(sums["Invocations[FunctionName=f,Resource=f:live]"] == 1)
        #expect(sums["Invocations[FunctionName=f,Resource=f:live,ExecutedVersion=3]"] == 1)
        #expect(sums["Invocations[FunctionName=f,Resource=f:3]"] == 1)
        #expect(sums["Invocations[FunctionName=f,Resource=f:3,ExecutedVersion=3]"] == nil)
    }

    @Test func memoryIsBoundedWhateverIsMeasured() {
        var counts = LambdaCounts()
        for number in 0..<20_000 {
            let key = LambdaCounts.Key(scope: Self.scope, function: "f\(number)", version: "1", arn: "")
            _ = counts.finished(
                key, nanoseconds: UInt64(number) &* 0x9E37_79B9_7F4A_7C15, isError: false, concurrent: Self.use)
            _ = counts.measured(
                "AsyncEventAge", Double(number) * 1e12, unit: "Milliseconds", scope: Self.scope, function: "f")
        }
        let samples = counts.samples(at: Instant(milliseconds: 0)).flatMap { $0.1 }
        #expect(Set(samples.compactMap { $0.dimensions.first?.value }).count <= Limits.meteredFunctions + 1)
        #expect(samples.filter { $0.name == "AsyncEventAge" }.count < 2_200)
    }

    /// Drained once, a second after the first.
    @Test func theSinkGetsWhatWasCounted() {
        final class Sink: MetricSink {
            let names = Mutex<[String]>([])
            func record(_ samples: [MetricSample], scope: AccountRegion) {
                names.withLock { $0 += samples.map(\.name) }
            }
        }
        let (sink, time) = (Sink(), ManualTime())
        let meter = LambdaMeter(sink: sink, time: time)
        let event = AsynchronousEvent(
            requestID: "r", scope: Self.scope, function: "f", qualifier: "$LATEST", payload: [], acceptedAt: time.now(),
            invokedFunctionARN: Self.arn, traceID: nil)
        meter.received(event)
        meter.waited(event, until: time.now() + .seconds(3))
        #expect(sink.names.withLock { $0 }.isEmpty)
        time.advance(by: .seconds(1))
        #expect(Set(sink.names.withLock { $0 }) == ["AsyncEventsReceived", "AsyncEventAge"])
        #expect(time.nextDue() == nil)
    }
}
