import Platform
import Wire

/// What members of a resource are, checked for those that come out of an OpenAPI document: requests have been through the
/// model, which says the same.
struct MemberTypes: Sendable {
    /// With their ranges.
    var integers: [String: ClosedRange<Int64>] = [:]
    var truths: Set<String> = []
    /// Of texts.
    var lists: Set<String> = []
    /// Texts by name.
    var maps: Set<String> = []
    /// What somebody else looks into. All others are texts.
    var others: Set<String> = []

    /// What is wrong with the first member that is not what it must be; nil when all are.
    func problem(of document: Value) -> String? {
        // A member that is null is one that is not given.
        for entry in document.fields?.entries ?? [] where entry.value != .null {
            if let range = integers[entry.name] {
                guard case .int(let number) = entry.value, range.contains(number) else {
                    return "\(entry.name) must be a number from \(range.lowerBound) to \(range.upperBound)"
                }
            } else if truths.contains(entry.name) {
                if entry.value.bool == nil { return "\(entry.name) must be true or false" }
            } else if lists.contains(entry.name) {
                guard let list = entry.value.list, list.allSatisfy({ $0.string != nil }) else {
                    return "\(entry.name) must be a list of texts"
                }
            } else if maps.contains(entry.name) {
                guard let map = entry.value.fields, map.entries.allSatisfy({ $0.value.string != nil }) else {
                    return "\(entry.name) must be texts by name"
                }
            } else if !others.contains(entry.name), entry.value.string == nil {
                return "\(entry.name) must be a text"
            }
        }
        return nil
    }
}
