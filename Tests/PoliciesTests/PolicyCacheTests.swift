import Contracts
import Platform
import Testing

@testable import Policies

@Suite struct PolicyCacheTests {
    private func text(_ number: Int) -> String {
        #"{"Version":"2012-10-17","Statement":{"Sid":"s\#(number)","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#
    }

    @Test func aTextIsReadOnce() {
        let cache = PolicyCache()
        for _ in 0..<5 {
            let document = cache.document(text(1))
            let request = PolicyRequest(principal: topic, action: "sqs:SendMessage", resource: queue)
            #expect(document?.decision(for: request) == .allowed)
            #expect(cache.document("no policy") == nil)
        }
        #expect(cache.reads == 2 && cache.count == 2)
        _ = cache.document(text(2))
        #expect(cache.reads == 3)
    }

    @Test func whatIsRememberedIsBounded() {
        let few = PolicyCache(entries: 10)
        for number in 0..<1_000 {
            _ = few.document(text(number))
            #expect(few.count <= 10)
        }
        let small = PolicyCache(bytes: 1_000)
        for number in 0..<100 {
            _ = small.document(text(number))
            #expect(small.count <= 1_000 / text(number).utf8.count)
        }
        // What is larger than the bound is read each time, and pushes nothing out.
        let before = small.count
        let large = text(1) + String(repeating: " ", count: 1_000)
        #expect(small.document(large) != nil && small.document(large) != nil)
        #expect(small.count == before)
    }
}
