import Platform

/// What a slot was filled with.
struct SlotFilling: Sendable, Hashable {
    /// The value: of Amazon's reading types what was read (`2026-11-23`), else the words.
    var value: String
    /// The words that stood for it.
    var spoken: String
    /// The values of the type that the words name.
    var matches: [SlotType.Value]
    /// A list's parts, of a slot for several values.
    var parts: [SlotFilling] = []
}

/// One way to understand an utterance.
struct Interpretation: Sendable {
    var intent: Int
    /// By the slots' places.
    var slots: [Int: SlotFilling]
    /// The lower, the better.
    var cost: Int
    var literals: Int
}

/// Finds the intents whose samples an utterance can be. Amazon's service learns from samples; this one takes them word for word,
/// with slots as wide as their values, which makes the same utterance mean the same each time.
///
/// Costs: a word of the sample 0; a word in a slot that names a known value or is read as Amazon's type 1; any other 5 to 6; 2 for
/// each slot. The least costly sample wins, then the one with more words of its own, then the one that comes first in the model.
struct UtteranceMatcher {
    private enum Cost {
        static let slot = 2
        static let knownWord = 1
        static let queryWord = 5
        static let freeWord = 6
    }

    private struct Span: Hashable {
        var type: ObjectIdentifier
        var start: Int
        var end: Int
        var allowsMultiple: Bool
    }

    let model: LanguageModel
    private let words: [Word]
    private let keys: [String]
    private let present: Set<String>
    private let dates: SpokenDates
    private var spans: [Span: (cost: Int, filling: SlotFilling)?] = [:]
    /// Steps that are left: a model made to be slow is not understood to its end.
    private var budget = Limits.matchingSteps

    init(_ model: LanguageModel, _ words: [Word], now: Instant) {
        self.model = model
        self.words = Array(words.prefix(Limits.words))
        keys = self.words.map(\.key)
        present = Set(keys)
        dates = SpokenDates(now: now)
    }

    /// The best way for each intent that fits at all, best first.
    mutating func interpretations() -> [Interpretation] {
        guard !words.isEmpty else { return [] }
        let hasFallback = model.intent(named: "AMAZON.FallbackIntent") != nil
        var found: [Interpretation] = []
        for index in model.intents.indices {
            let intent = model.intents[index]
            var best: Interpretation?
            for sample in BuiltInIntents.samples(of: intent.name) + intent.samples {
                guard let match = match(sample, intent, index) else { continue }
                // A slot alone would take anything, and leave nothing for the fallback.
                if hasFallback, match.literals == 0,
                    match.slots.contains(where: { isGuess(intent.slots[$0.key].type, $0.value) })
                {
                    continue
                }
                if best.map({ isBetter(match, $0) }) ?? true { best = match }
            }
            if let best { found.append(best) }
        }
        return found.enumerated().sorted { a, b in
            if isBetter(a.element, b.element) { return true }
            if isBetter(b.element, a.element) { return false }
            return a.offset < b.offset
        }.map(\.element)
    }

    /// Whether nothing but the slot's width speaks for the value.
    private func isGuess(_ type: SlotType, _ filling: SlotFilling) -> Bool {
        switch type.reading {
        case .list: type.hasValues && filling.matches.isEmpty && filling.parts.allSatisfy { $0.matches.isEmpty }
        case .query, .number, .fourDigits, .ordinal, .date, .time, .duration, .digits: false
        }
    }

    private func isBetter(_ a: Interpretation, _ b: Interpretation) -> Bool {
        a.cost != b.cost ? a.cost < b.cost : a.literals > b.literals
    }

    /// Fills one slot with the whole utterance, or by one of the slot's own samples.
    mutating func fill(_ slot: Int, of intent: Int) -> Interpretation? {
        let definition = model.intents[intent]
        guard definition.slots.indices.contains(slot), !words.isEmpty else { return nil }
        var best: Interpretation?
        for sample in definition.slots[slot].samples + [LanguageModel.Sample([.slot(slot)])] {
            guard let match = match(sample, definition, intent) else { continue }
            if best.map({ isBetter(match, $0) }) ?? true { best = match }
        }
        return best
    }

    // MARK: One sample

    private mutating func match(
        _ sample: LanguageModel.Sample, _ intent: LanguageModel.Intent, _ index: Int
    ) -> Interpretation? {
        let elements = sample.elements
        guard elements.count <= keys.count, sample.literals.isSubset(of: present) else { return nil }
        let width = keys.count + 1
        // costs[i * width + j]: of elements from i on words from j; -1: not possible; nil: not known yet.
        var costs = [Int?](repeating: nil, count: (elements.count + 1) * width)
        var ends = [Int](repeating: 0, count: costs.count)
        guard let cost = solve(elements, 0, 0, intent, width, &costs, &ends) else { return nil }
        var slots: [Int: SlotFilling] = [:]
        var position = 0
        var literals = 0
        for (place, element) in elements.enumerated() {
            switch element {
            case .word:
                position += 1
                literals += 1
            case .slot(let slot):
                let end = ends[place * width + position]
                if let span = span(intent.slots[slot], position, end) { slots[slot] = span.filling }
                position = end
            }
        }
        return Interpretation(intent: index, slots: slots, cost: cost, literals: literals)
    }

    /// The cost of the elements from `i` on the words from `j`, remembered; depth is at most the number of elements.
    private mutating func solve(
        _ elements: [LanguageModel.Sample.Element], _ i: Int, _ j: Int, _ intent: LanguageModel.Intent, _ width: Int,
        _ costs: inout [Int?], _ ends: inout [Int]
    ) -> Int? {
        if i == elements.count { return j == keys.count ? 0 : nil }
        let left = elements.count - i
        budget -= 1
        guard budget > 0 else { return nil }
        guard keys.count - j >= left else { return nil }
        let place = i * width + j
        if let known = costs[place] { return known < 0 ? nil : known }
        var best: Int?
        switch elements[i] {
        case .word(let word):
            if keys[j] == word { best = solve(elements, i + 1, j + 1, intent, width, &costs, &ends) }
        case .slot(let slot):
            let limit = keys.count - left + 1
            if j + 1 <= limit {
                budget -= limit - j
                for end in (j + 1)...limit {
                    guard let rest = solve(elements, i + 1, end, intent, width, &costs, &ends),
                        let span = span(intent.slots[slot], j, end)
                    else { continue }
                    let cost = rest + span.cost
                    if best.map({ cost < $0 }) ?? true {
                        best = cost
                        ends[place] = end
                    }
                }
            }
        }
        costs[place] = best ?? -1
        return best
    }

    // MARK: One slot

    private mutating func span(_ slot: LanguageModel.Slot, _ start: Int, _ end: Int) -> (
        cost: Int, filling: SlotFilling
    )? {
        let key = Span(
            type: ObjectIdentifier(slot.type), start: start, end: end, allowsMultiple: slot.allowsMultiple)
        if let known = spans[key] { return known }
        let value = read(slot, start, end)
        spans[key] = .some(value)
        return value
    }

    private func read(_ slot: LanguageModel.Slot, _ start: Int, _ end: Int) -> (cost: Int, filling: SlotFilling)? {
        let single = read(slot.type, start, end)
        guard slot.allowsMultiple, end - start > 1, single?.filling.matches.isEmpty ?? true else { return single }
        let parts = split(slot.type, start, end)
        guard parts.count > 1 else { return single }
        let spoken = Words.joined(words[start..<end])
        return (
            Cost.slot + (end - start) * Cost.knownWord,
            SlotFilling(value: spoken, spoken: spoken, matches: [], parts: parts)
        )
    }

    private func read(_ type: SlotType, _ start: Int, _ end: Int) -> (cost: Int, filling: SlotFilling)? {
        let count = end - start
        let spoken = Words.joined(words[start..<end])
        if type.longestValue >= count {
            let matches = type.known(keys[start..<end].joined(separator: " "))
            if !matches.isEmpty {
                return (
                    Cost.slot + count * Cost.knownWord, SlotFilling(value: spoken, spoken: spoken, matches: matches)
                )
            }
        }
        if let value = type.parse(keys[start..<end], dates: dates) {
            return (Cost.slot + count * Cost.knownWord, SlotFilling(value: value, spoken: spoken, matches: []))
        }
        switch type.reading {
        case .query:
            return (Cost.slot + count * Cost.queryWord, SlotFilling(value: spoken, spoken: spoken, matches: []))
        case .list:
            guard count <= Limits.freeSlotWords else { return nil }
            let perWord = type.hasValues ? Cost.freeWord : Cost.queryWord
            return (Cost.slot + count * perWord, SlotFilling(value: spoken, spoken: spoken, matches: []))
        default: return nil
        }
    }

    /// Known values one behind the other, with "and" between them: "apples oranges and pears". Empty when it is none.
    private func split(_ type: SlotType, _ start: Int, _ end: Int) -> [SlotFilling] {
        var parts: [SlotFilling] = []
        var position = start
        while position < end {
            if keys[position] == "and", !parts.isEmpty, position + 1 < end {
                position += 1
                continue
            }
            var next: (end: Int, filling: SlotFilling)?
            for stop in stride(
                from: min(end, position + max(type.longestValue, SpokenTimes.maximumWords)), to: position, by: -1)
            {
                if let value = read(type, position, stop), value.cost == Cost.slot + (stop - position) * Cost.knownWord
                {
                    next = (stop, value.filling)
                    break
                }
            }
            guard let next else { return [] }
            parts.append(next.filling)
            position = next.end
        }
        return parts
    }
}
