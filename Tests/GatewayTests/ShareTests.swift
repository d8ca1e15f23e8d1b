import Glibc
import NIOCore
import NIOEmbedded
import Testing

@testable import Gateway

/// What one cell, all cells, and one client can use up.
@Suite struct ShareTests {
    @Test func aCellTakesNoMoreMemoryThanItLeaves() {
        let root = BodyBudget(limit: 1000)
        let cells = BodyBudget(limit: 500, isShared: true, within: root)
        func cell() -> BodyBudget { BodyBudget(limit: 300, within: cells) }
        let (greedy, modest) = (cell(), cell())
        var taken = 0
        while greedy.take(10) { taken += 10 }
        #expect(taken == 250, "half of what there is for cells")
        #expect(greedy.bytes == 250 && cells.bytes == 250 && root.bytes == 250)
        #expect(modest.take(120))
        #expect(!cell().take(70), "as much is not left for the next one")
        #expect(cell().take(60))
        #expect(root.take(570), "outside has the rest")
        #expect(!root.take(1))
        greedy.give(250)
        #expect(root.take(250))
        #expect(!modest.take(10), "nothing is left above")
        #expect(modest.bytes == 120 && cells.bytes == 180)
    }

    @Test func aCellsOwnLimitHolds() {
        let root = BodyBudget(limit: 1000)
        let cell = BodyBudget(limit: 100, within: BodyBudget(limit: 500, isShared: true, within: root))
        #expect(!cell.take(101))
        #expect(cell.take(100) && !cell.take(1))
        #expect(root.bytes == 100)
    }

    @Test func cellsLeaveConnectionsForOthers() {
        let registry = ConnectionRegistry(limit: 40, cellsLimit: 20)
        let bodies = BodyBudget(limit: 1)
        func cell() -> ConnectionRegistry.Listener { .init(limit: 16, isCell: true, bodies: bodies) }
        func fill(_ listener: ConnectionRegistry.Listener) -> [EmbeddedChannel] {
            var open: [EmbeddedChannel] = []
            while open.count < 100 {
                let channel = EmbeddedChannel()
                guard registry.admit(channel, from: listener) == .accepted(isDraining: false) else { break }
                open.append(channel)
            }
            return open
        }
        let first = fill(cell())
        #expect(first.count == 10, "as many as are left")
        let second = fill(cell())
        #expect(second.count == 5)
        #expect(fill(cell()).count > 0)
        let outside = fill(.init(limit: 40, bodies: bodies))
        #expect(outside.count >= 20)
        for channel in first { registry.remove(channel) }
        #expect(fill(cell()).count > 1, "given back")
    }

    /// The client hangs up while the operation goes on with the body: its memory is not free yet.
    @Test func aBodyCountsUntilItsOperationIsDone() async throws {
        var limits = GatewayLimits()
        limits.bufferedBodies = 100
        let kept = Shared<HTTPExchange?>(nil)
        let refused = Shared(0)
        try await TestServer.with(limits: limits) { exchange in
            exchange.collectBody(limit: 1000) { result in
                switch result {
                case .success: kept.change { $0 = exchange }
                case .failure(let failure):
                    if failure == .overBudget { refused.change { $0 += 1 } }
                    exchange.respond(.text("", status: 503))
                }
            }
        } _: { server in
            let body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 80\r\n\r\n" + String(repeating: "x", count: 80)
            try await server.client { client in
                try client.send(body)
                _ = blockingEventually { kept.value != nil }
                client.reset()
            }
            #expect(try await eventually { kept.value != nil && server.registry.count == 0 })
            #expect(server.counters.bodies.bytes == 80)
            let answer = try await server.client { client in
                try client.send(body)
                return try client.answer()
            }
            #expect(answer.status == 503 && refused.value == 1)
            kept.change { $0 = nil }
            #expect(try await eventually { server.counters.bodies.bytes == 0 })
        }
    }

    /// A streamed body is counted as what it holds at most.
    @Test func streamedBodiesCount() async throws {
        var limits = GatewayLimits()
        limits.bufferedBodies = 1000
        limits.streamedBodyCharge = 600
        let held = Shared<[HTTPExchange]>([])
        try await TestServer.with(limits: limits) { exchange in
            let stream = exchange.streamBody()
            held.change { $0.append(exchange) }
            Task {
                do {
                    while try await stream.next() != nil {}
                    exchange.respond(.text("whole"))
                } catch {
                    exchange.respond(.text("\(error)", status: 503))
                }
            }
        } _: { server in
            let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n"
            let answer = try await server.client { client in
                try client.send(head)
                let other = try RawClient(port: server.port)
                _ = blockingEventually { held.value.count == 1 }
                try other.send(head)
                let refused = try other.answer()
                try client.send([UInt8](repeating: 1, count: 5000))
                return (refused.status, try client.answer().text)
            }
            #expect(answer == (503, "whole"))
            held.change { $0 = [] }
            #expect(try await eventually { server.counters.bodies.bytes == 0 })
        }
    }
}

private func blockingEventually(_ condition: () -> Bool) -> Bool {
    for _ in 0..<2000 {
        if condition() { return true }
        usleep(5000)
    }
    return condition()
}
