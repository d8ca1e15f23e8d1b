import Platform
import Synchronization
import Testing

@testable import APIGateway

@Suite struct DeadlinesTests {
    /// Against what each deadline must do by itself: rings once and not early, or never when it was cancelled.
    @Test(arguments: 0..<30) func ringsWhatIsDue(seed: UInt64) {
        var random = Seeded(seed)
        let time = ManualTime()
        let start = time.now()
        let deadlines = Deadlines(time: time)
        let rung = Mutex<[Int: Instant]>([:])
        var (due, ids, cancelled): ([Int: Instant], [Int: UInt64], Set<Int>) = ([:], [:], [])
        for number in 0..<200 {
            let wait = Duration.milliseconds(Int.random(in: 1...500, using: &random))
            due[number] = time.now() + wait
            ids[number] = deadlines.add(after: wait) { rung.withLock { $0[number] = time.now() } }
            if Int.random(in: 0..<3, using: &random) == 0, let other = ids.keys.randomElement(using: &random),
                let id = ids[other]
            {
                deadlines.cancel(id)
                if rung.withLock({ $0[other] }) == nil { cancelled.insert(other) }
            }
            time.advance(by: .milliseconds(Int.random(in: 0...20, using: &random)))
        }
        time.advance(by: .seconds(1))
        let seen = rung.withLock { $0 }
        for number in 0..<200 {
            if cancelled.contains(number) {
                #expect(seen[number] == nil)
            } else {
                #expect(seen[number] == due[number])
            }
        }
        #expect(deadlines.count == 0 && time.now() > start)
    }
}
