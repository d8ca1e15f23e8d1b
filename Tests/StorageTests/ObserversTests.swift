import Storage
import Synchronization
import Testing

@Suite struct ObserversTests {
    @Test func whoWaitsIsWokenUntilItEnds() {
        let observers = Observers<Int>()
        let seen = Mutex<[String]>([])
        let endOfFirst = observers.observe("a") { signal in seen.withLock { $0.append("first \(signal)") } }
        let endOfSecond = observers.observe("a") { signal in seen.withLock { $0.append("second \(signal)") } }
        observers.wake("a", [1, 2])
        observers.wake("b", [3])
        endOfFirst()
        observers.wake("a", [4])
        endOfSecond()
        endOfSecond()
        observers.wake("a", [5])
        #expect(seen.withLock { $0 } == ["first 1", "first 2", "second 1", "second 2", "second 4"])
    }
}
