import Sandbox

/// How much memory a function uses, without what it has written to `/tmp`: on AWS that is a disk, here it is memory of the
/// same control group. The kernel keeps only the sum, and its highest value; what it is made of is a sample of now.
struct MemoryMeter: Sendable {
    private let limitBytes: UInt64
    private let limitMB: Int
    /// The most anonymous memory and the most page cache (with `/tmp`) in any sample, and the highest sum ever.
    private var anonymousPeak: UInt64 = 0
    private var filePeak: UInt64 = 0
    private var sumPeak: UInt64 = 0
    private var readAt: UInt64?

    init(limitMB: Int) {
        self.limitMB = max(limitMB, 0)
        limitBytes = UInt64(self.limitMB) << 20
    }

    func isDue(every interval: UInt64, now: UInt64) -> Bool {
        guard let readAt else { return true }
        return now &- readAt >= interval
    }

    /// Whether a sample can say something new: the sum has been over the function's limit, or has grown.
    func needsUsage(peak: UInt64?) -> Bool {
        guard let peak else { return true }
        return peak > limitBytes || peak > sumPeak
    }

    /// Takes a reading; a part that was not read is nil. Answers whether the processes hold more than the function may.
    mutating func observe(peak: UInt64?, usage: MemoryUsage?, now: UInt64) -> Bool {
        readAt = now
        sumPeak = max(sumPeak, peak ?? 0)
        guard let usage else { return false }
        anonymousPeak = max(anonymousPeak, usage.anonymousBytes)
        filePeak = max(filePeak, usage.fileBytes)
        return usage.anonymousBytes > limitBytes
    }

    /// The most that the function has used at once since the environment began, as REPORT shows it.
    ///
    /// When the sum was highest, page cache was at most what a sample has seen (or files came and went between two samples,
    /// and this is too much): so the rest was the processes' own, even if it was gone before a sample.
    var usedMB: Int {
        let rest = sumPeak > filePeak ? sumPeak - filePeak : 0
        let bytes = min(max(anonymousPeak, rest), limitBytes)
        return Int((bytes + (1 << 20) - 1) >> 20)
    }
}
