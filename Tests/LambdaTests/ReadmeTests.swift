import Contracts
import Testing

@testable import Lambda

@Suite struct ReadmeTests {
    /// The list in the service's README is the table of operations.
    @Test func operations() async throws {
        let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let text = try #require(TemporaryDirectory.read("/\(folder)/Sources/Services/Lambda/README.md"))
        let section = try #require(text.components(between: "## Operations", and: "## How"))
        let listed = section.split(separator: "\n").filter { $0.hasPrefix("- ") }.map { String($0.dropFirst(2)) }
        let house = try await Harness()
        #expect(listed == house.service.definition.operations.keys.sorted())
    }
}

extension String {
    fileprivate func components(between first: String, and last: String) -> Substring? {
        guard let start = firstRange(of: first)?.upperBound, let end = firstRange(of: last)?.lowerBound, start < end
        else { return nil }
        return self[start..<end]
    }

    private func firstRange(of text: String) -> Range<Index>? {
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix(text) { return index..<self.index(index, offsetBy: text.count) }
            index = self.index(after: index)
        }
        return nil
    }
}
