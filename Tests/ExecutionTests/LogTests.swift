import Contracts
import Glibc
import NIOCore
import Platform
import Sandbox
import Testing

@testable import Execution

struct LogTests {
    private func split(_ bytes: [UInt8], pieces: Int, frames: Bool = true, flush: Bool = true) -> [String] {
        var splitter = LogSplitter(readsFrames: frames)
        var events: [String] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(pieces))
            rest = rest.dropFirst(pieces)
            piece.withUnsafeBytes { splitter.feed($0) { events.append(String(decoding: $0, as: UTF8.self)) } }
        }
        if flush { splitter.flush { events.append(String(decoding: $0, as: UTF8.self)) } }
        return events
    }

    private func frame(_ text: String, type: UInt8 = 0x0F) -> [UInt8] {
        let length = UInt32(text.utf8.count)
        return [0xA5, 0x5A, 0, type] + (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * $0)) }
            + [UInt8](repeating: 7, count: 8) + text.utf8
    }

    @Test(arguments: [1, 3, 7, 1000])
    func linesAndFrames(pieces: Int) {
        let bytes =
            Array("one\n\ntw".utf8) + frame("a\nb") + Array("o ¥Z\n".utf8) + frame("json\n", type: 0x0E) + frame("")
            + Array("rest".utf8)
        #expect(split(bytes, pieces: pieces) == ["one\n", "\n", "a\nb\n", "two ¥Z\n", "json\n", "rest\n"])
        #expect(split(Array("a\nb".utf8), pieces: pieces, flush: false) == ["a\n"])
    }

    @Test func framesAreOnlyReadWhereTheyAreExpected() {
        let events = split(frame("x\ny") + [10], pieces: 5, frames: false)
        #expect(events.count == 2)
    }

    @Test func bytesThatAreNotAFrameStayText() {
        for bytes in [[0xA5, 0x41, 10], [0xA5, 0x5A, 0, 0x41, 10], [0xA5, 0xA5, 10], [0xA5]] as [[UInt8]] {
            for pieces in [1, 2, 9] {
                var expected = bytes
                if expected.last != 10 { expected.append(10) }
                #expect(split(bytes, pieces: pieces) == [String(decoding: expected, as: UTF8.self)])
            }
        }
    }

    @Test func longLinesAndFramesBecomeSeveralEvents() {
        let long = [UInt8](repeating: 0x78, count: Limits.logEventBytes + 10)
        for bytes in [long + [10], frame(String(decoding: long, as: UTF8.self))] {
            #expect(split(bytes, pieces: 4000).map(\.utf8.count) == [Limits.logEventBytes, 11])
        }
    }

    /// A frame's length is the function's word: it must not make the server hold more than one event.
    /// The head of a frame that was none comes back when the line is all but full.
    @Test(arguments: 0...16)
    func falseFramesAtTheEndOfAFullLine(missing: Int) {
        let text = [UInt8](repeating: 65, count: Limits.logEventBytes - missing)
        let bytes = text + [0xA5, 0x5A, 0x00, 0x41, 0x41] + Array("rest\n".utf8)
        let events = split(bytes, pieces: bytes.count)
        #expect(events.joined().utf8.count >= bytes.count)
        #expect(events.joined().hasSuffix("rest\n"))
    }

    @Test func endlessFrame() {
        let start: [UInt8] = [0xA5, 0x5A, 0, 3, 255, 255, 255, 255] + [UInt8](repeating: 0, count: 8)
        let events = split(start + [UInt8](repeating: 0x78, count: 3 * Limits.logEventBytes), pieces: 65_536)
        #expect(events.count == 3)
    }

    @Test func collectorReadsPipesAndKeepsTheTail() throws {
        let sink = RecordingSink()
        let collector = LogCollector(
            scope: AccountRegion(account: "0", region: "r"), group: "g", stream: "s", sink: sink, time: ManualTime())
        let output = try Cell.outputPipe()
        collector.attach(output.read, framed: true)
        func write(_ text: String) { _ = Glibc.write(output.write, text, text.utf8.count) }
        write("before\npart")
        #expect(collector.drain() == 11)
        #expect(sink.messages == ["before\n"])
        collector.beginTail(true)
        collector.append(["START\n"])
        write("ial\noops")
        let tail = collector.finish(["END\n"])
        #expect(sink.messages == ["before\n", "START\n", "partial\n", "oops\n", "END\n"])
        #expect(tail.map { String(decoding: $0, as: UTF8.self) } == "START\npartial\noops\nEND\n")
        collector.beginTail(true)
        for _ in 0..<100 { collector.append([String(repeating: "x", count: 999) + "\n"]) }
        #expect(collector.finish(["END\n"])?.count == 4096)
        #expect(collector.finish([]) == nil)
        // Before START: unfinished lines too.
        write("half")
        #expect(collector.drain() == 4)
        #expect(sink.messages.last == "END\n")
        #expect(collector.drain(limit: 100, flushes: true) == 0)
        #expect(sink.messages.last == "half\n")
        write("last words")
        close(output.write)
        collector.detach()
        #expect(sink.messages.last == "last words\n")
        #expect(collector.drain() == 0)
    }

    @Test func texts() {
        let log = PlatformLog(makeFunction(code: "/"))
        var finish = EnvironmentMachine.Finish(
            requestID: "r", payload: ByteBuffer(), isError: false, status: .success, duration: 3_012_345,
            initDuration: 110_100_000)
        let now = Instant(milliseconds: 0)
        #expect(
            log.report(finish, memoryUsedMB: 36, now: now) == [
                "END RequestId: r\n",
                "REPORT RequestId: r\tDuration: 3.01 ms\tBilled Duration: 114 ms\tMemory Size: 256 MB\tMax Memory Used: 36 MB\tInit Duration: 110.10 ms\t\n",
            ])
        finish.initDuration = nil
        finish.duration = 1_000_000_000
        finish.status = .timeout
        finish.isError = true
        #expect(
            log.report(finish, memoryUsedMB: 36, now: now)[1]
                == "REPORT RequestId: r\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\tMemory Size: 256 MB\tMax Memory Used: 36 MB\tStatus: timeout\n"
        )
        finish.status = .error("Runtime.ExitError")
        #expect(
            log.report(finish, memoryUsedMB: 36, now: now)[1].hasSuffix(
                "\tStatus: error\tError Type: Runtime.ExitError\n"))
        finish.isHandled = true
        #expect(log.report(finish, memoryUsedMB: 36, now: now)[1].hasSuffix("36 MB\t\n"))
        #expect(log.start(requestID: "r", traceID: nil, now: now) == ["START RequestId: r Version: $LATEST\n"])
        #expect(
            log.initReport(.init(phase: .initial, status: .timeout, duration: 1_236_040_000), now: now)
                == ["INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\tStatus: timeout\n"])
        #expect(log.initReport(.init(phase: .initial, status: .success, duration: 1), now: now) == [])
    }

    @Test func jsonFollowsTheSystemLevel() {
        let finish = EnvironmentMachine.Finish(
            requestID: "r", payload: ByteBuffer(string: "ok"), isError: false, status: .success, duration: 3_000_000)
        let now = Instant(milliseconds: 1_500)
        func report(_ level: String) -> [String] {
            PlatformLog(makeFunction(code: "/", format: .json, systemLevel: level))
                .report(finish, memoryUsedMB: 36, now: now)
        }
        #expect(report("WARN") == [])
        #expect(
            report("INFO") == [
                #"{"time":"1970-01-01T00:00:01.500Z","type":"platform.report","record":{"requestId":"r","status":"success","metrics":{"durationMs":3.0,"billedDurationMs":3,"memorySizeMB":256,"maxMemoryUsedMB":36}}}"#
                    + "\n"
            ])
        #expect(report("DEBUG").count == 2)
    }

    @Test func applicationLevels() throws {
        func filter(_ level: String, _ format: FunctionVersion.LoggingSettings.Format = .json) -> ApplicationLogFilter?
        {
            ApplicationLogFilter(.init(format: format, applicationLevel: level, systemLevel: "INFO", group: "g"))
        }
        func line(_ level: String, at name: String = "timestamp", _ time: String = "2026-11-23T06:00:00.123Z")
            -> [UInt8]
        {
            Array(#"  {"msg":"x","level":\#(level),"\#(name)":"\#(time)"}"#.utf8 + [10])
        }
        #expect(filter("ERROR", .text) == nil && filter("TRACE") == nil)
        let warn = try #require(filter("WARN"))
        for level in [#""WARN""#, #""warning""#, #""Error""#, #""CRITICAL""#, #""fatal""#] {
            #expect(warn.keeps(line(level)))
        }
        for level in [#""info""#, #""DEBUG""#, #""trace""#, "30", #""loud""#, "null"] {
            #expect(!warn.keeps(line(level)))
        }
        #expect(warn.keeps(line(#""ERROR""#, at: "time", "2026-11-23T07:00:00+01:00")))
        // Without a valid time a line counts as INFO.
        #expect(!warn.keeps(line(#""ERROR""#, "yesterday")) && !warn.keeps(line(#""ERROR""#, at: "when")))
        let debug = try #require(filter("DEBUG"))
        #expect(
            debug.keeps(line(#""loud""#)) && !debug.keeps(line(#""TRACE""#)) && debug.keeps(line(#""TRACE""#, "no")))
        // What is no object has no level.
        for text in ["plain", "{not json}", "[1]", "{", #"{"a":1} and more"#, ""] {
            #expect(warn.keeps(Array(text.utf8)))
        }
    }

    @Test func streamNames() {
        let now = Instant(milliseconds: 1_795_413_600_000)
        var function = makeFunction(code: "/")
        #expect(logStreamName(function, now: now, suffix: "ab") == "2026/11/23/[$LATEST]ab")
        function.logging.group = "shared"
        #expect(logStreamName(function, now: now, suffix: "ab") == "2026/11/23/f[$LATEST]ab")
    }

    @Test func errorTypes() {
        #expect(reportedErrorType("Runtime.ImportModuleError") == "Runtime.ImportModuleError")
        #expect(reportedErrorType("Function.Oops") == "Function.Oops")
        #expect(reportedErrorType("Function.oops") == "Function.Unknown")
        #expect(reportedErrorType("ValueError") == "Runtime.Unknown")
        #expect(reportedErrorType("Runtime.A") == "Runtime.Unknown")
        #expect(reportedErrorType("Runtime.Ab\r\nX") == "Runtime.Unknown")
        #expect(reportedErrorType(nil) == "Runtime.Unknown")
    }

    @Test func jsonStrings() {
        #expect(jsonQuoted("a\"\\\n\r\t\u{1}é") == #""a\"\\\n\r\t\u0001é""#)
    }
}
