import Testing

@testable import Sandbox

@Suite struct ControlMessageTests {
    private func message(_ kind: UInt32, _ fill: (inout MessageWriter) throws -> Void) rethrows -> [UInt8] {
        var writer = MessageWriter(kind: kind)
        try fill(&writer)
        return writer.bytes
    }

    @Test func everyReportIsRead() throws {
        #expect(
            ControlReport(
                message(1) {
                    $0.number(UInt32(42))
                    $0.number(UInt32(2))
                    $0.number(UInt32(9001))
                    $0.number(UInt32(4566))
                }) == .ready(initProcess: 42, ports: [9001, 4566]))
        let failed = try message(2) {
            $0.number(UInt32(2))
            try $0.string("bind /x at /y")
            try $0.string("the source is missing")
        }
        #expect(
            ControlReport(failed)
                == .failed(SandboxError(stage: "bind /x at /y", errno: 2, message: "the source is missing")))
        #expect(ControlReport(message(3) { $0.number(UInt32(7)) }) == .started(process: 7))
        let exited: (UInt32, UInt32) -> [UInt8] = { kind, status in
            self.message(5) {
                $0.number(UInt32(7))
                $0.number(kind)
                $0.number(status)
            }
        }
        #expect(ControlReport(exited(0, 3)) == .exited(process: 7, .exited(3)))
        #expect(ControlReport(exited(1, 9)) == .exited(process: 7, .signaled(9)))
        #expect(ControlReport(message(6) { _ in }) == .allKilled)
        #expect(ControlReport(message(8) { _ in }) == .prepared)
        #expect(try ControlReport(message(7) { try $0.string("why") }) == .gone(reason: "why"))
    }

    @Test func malformedReportsAreRefused() throws {
        let whole = try message(4) {
            $0.number(UInt32(7))
            $0.number(UInt32(2))
            try $0.string("execve")
            try $0.string("/nope")
        }
        #expect(ControlReport(whole) != nil)
        for count in 0..<whole.count { #expect(ControlReport(whole.prefix(count)) == nil) }
        #expect(ControlReport(whole + [0]) == nil, "something behind the end")
        var other = whole
        other[0] = 2
        #expect(ControlReport(other) == nil, "another version")
        #expect(ControlReport(message(99) { _ in }) == nil)
        // A length that points far out of the message.
        #expect(ControlReport(message(7) { $0.number(UInt32.max) }) == nil)
        #expect(
            ControlReport(
                message(1) {
                    $0.number(UInt32(1))
                    $0.number(UInt32.max)
                }) == nil, "a count that would make a huge array")
    }

    @Test func randomBytesNeverCrashIt() {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        for _ in 0..<20_000 {
            var bytes: [UInt8] = [1, 0, 0, 0]
            for _ in 0..<(state % 40) {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(UInt8(truncatingIfNeeded: state >> 33) & (state & 1 == 0 ? 0x07 : 0xFF))
            }
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            bytes[1] = UInt8(truncatingIfNeeded: state >> 60)
            _ = ControlReport(bytes)
        }
    }

    @Test func commandsRefuseWhatTheOtherSideCannotHold() {
        #expect(throws: SandboxError.self) { try ControlCommand.start(ProcessSpec(id: 1, arguments: [])) }
        #expect(throws: SandboxError.self) {
            try ControlCommand.start(ProcessSpec(id: 1, arguments: ["/bin/true", "a\0b"]))
        }
        #expect(throws: SandboxError.self) {
            let long = String(repeating: "x", count: Limits.messageBytes)
            return try ControlCommand.start(ProcessSpec(id: 1, arguments: ["/bin/true", long]))
        }
        let spec = CellSpec(
            name: "x", limits: .init(memoryBytes: 1, cpuMillis: 1),
            listeners: Array(repeating: .init(port: 0), count: 9))
        #expect(throws: SandboxError.self) {
            try ControlCommand.spec(
                spec, files: nil, credentials: .init(user: 1, group: 1, userNamespace: false), group: nil)
        }
    }
}
