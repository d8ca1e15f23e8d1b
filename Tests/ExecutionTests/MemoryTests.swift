import Sandbox
import Testing

@testable import Execution

struct MemoryTests {
    private let mega: UInt64 = 1 << 20

    private func usage(_ anonymous: UInt64, _ file: UInt64) -> MemoryUsage {
        MemoryUsage(anonymousBytes: anonymous * mega, fileBytes: file * mega)
    }

    private func over(_ meter: inout MemoryMeter, peak: UInt64, _ usage: MemoryUsage) -> Bool {
        meter.observe(peak: peak * mega, usage: usage, now: 0)
    }

    @Test func tmpIsNotCounted() {
        var meter = MemoryMeter(limitMB: 128)
        #expect(meter.usedMB == 0)
        #expect(!over(&meter, peak: 420, usage(20, 400)))
        #expect(meter.usedMB == 20)
        // Deleted again: the highest sum stands for what was there then.
        #expect(!over(&meter, peak: 420, usage(21, 0)))
        #expect(meter.usedMB == 21)
    }

    @Test func moreThanTheLimitIsTold() {
        var meter = MemoryMeter(limitMB: 128)
        #expect(!over(&meter, peak: 128, usage(128, 0)), "all of it is allowed")
        #expect(over(&meter, peak: 130, usage(129, 0)))
        #expect(meter.usedMB == 128, "never more than there is")
        #expect(!over(&meter, peak: 130, usage(10, 0)), "another process since")
        #expect(meter.usedMB == 128, "the most since the environment began")
    }

    @Test func whatWasGoneBeforeASampleIsSeenInThePeak() {
        var meter = MemoryMeter(limitMB: 512)
        #expect(!over(&meter, peak: 310, usage(20, 10)))
        #expect(meter.usedMB == 300)
    }

    @Test func partsOfMegabytesCount() {
        var meter = MemoryMeter(limitMB: 128)
        _ = meter.observe(peak: nil, usage: MemoryUsage(anonymousBytes: 1, fileBytes: 0), now: 0)
        #expect(meter.usedMB == 1)
        _ = meter.observe(peak: .max, usage: MemoryUsage(anonymousBytes: .max, fileBytes: .max), now: 0)
        #expect(meter.usedMB == 128)
    }

    @Test func samplesAreTakenWhenTheyMayTellSomething() {
        var meter = MemoryMeter(limitMB: 128)
        #expect(meter.needsUsage(peak: 1))
        #expect(meter.needsUsage(peak: nil), "a kernel that keeps no peak")
        #expect(meter.isDue(every: 10, now: 0))
        _ = meter.observe(peak: 100 * mega, usage: usage(90, 0), now: 100)
        #expect(!meter.isDue(every: 10, now: 109))
        #expect(meter.isDue(every: 10, now: 110))
        #expect(!meter.needsUsage(peak: 100 * mega))
        #expect(meter.needsUsage(peak: 101 * mega))
        _ = meter.observe(peak: 129 * mega, usage: usage(90, 39), now: 120)
        #expect(meter.needsUsage(peak: 129 * mega), "over the limit any part of it may be the function's")
    }
}
