/// Which topics are being worked on, a bounded number at the same time, and which wait for their turn: pure. A topic is never
/// worked on twice at once, and none that something came for is forgotten.
struct TopicTurns {
    private let most: Int
    /// True when something came while it was worked on.
    private var working: [String: Bool] = [:]
    private var waiting: [String] = []
    private var isWaiting: Set<String> = []

    init(most: Int) { self.most = most }

    /// There is something to do for a topic. Whether to begin now.
    mutating func came(_ topic: String) -> Bool {
        if working[topic] != nil {
            working[topic] = true
            return false
        }
        guard working.count < most else {
            if isWaiting.insert(topic).inserted { waiting.append(topic) }
            return false
        }
        working[topic] = false
        return true
    }

    /// Nothing was left for this topic when it was last looked at. The topic to begin with now, if any; `goesOn`: whether one may
    /// begin at all.
    mutating func ended(_ topic: String, goesOn: Bool = true) -> String? {
        if working.removeValue(forKey: topic) == true, isWaiting.insert(topic).inserted { waiting.append(topic) }
        guard goesOn, working.count < most else { return nil }
        while !waiting.isEmpty {
            let next = waiting.removeFirst()
            isWaiting.remove(next)
            if came(next) { return next }
        }
        return nil
    }
}
