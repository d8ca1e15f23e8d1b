import Contracts
import Glibc
import Logging
import NIOCore
import NIOPosix
import Platform
import Synchronization
import Testing

@testable import Execution

/// Figures rather than checks; only with MARTLET_MEASURE=1, alone, and in release mode.
@Suite(.enabled(if: getenv("MARTLET_MEASURE") != nil && Host.hasCells), .serialized)
struct MeasureTests {
    private func cpuSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private func descriptors() -> Int {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return count
    }

    private func mini() throws -> TemporaryDirectory {
        let code = try TemporaryDirectory()
        try code.write("bootstrap", miniRuntime + "serve(lambda id, fields, body: body)\n", mode: 0o755)
        return code
    }

    private func python(_ line: String = "") throws -> TemporaryDirectory {
        let code = try TemporaryDirectory()
        try code.write("index.py", "def handler(event, context):\n    \(line)\n    return event\n")
        return code
    }

    @Test func nothingIsLeft() async throws {
        let code = try mini()
        var before = 0
        for round in 0..<100 {
            // The first ones make event loops.
            if round == 20 { before = descriptors() }
            let bench = Bench()
            try await bench.with(makeFunction(code: code.path, timeout: 1)) { environment in
                _ = try await environment.invoke()
                if round % 20 == 0 { environment.shutdown(reason: .spindown) }
            }
        }
        try await Task.sleep(nanoseconds: 200_000_000)
        #expect(descriptors() <= before + 1, "\(before) descriptors before, \(descriptors()) after")
    }

    @Test(arguments: ["provided.al2023", "python3.11", "nodejs20.x"])
    func coldStart(runtime: String) async throws {
        let code = try runtime.hasPrefix("provided") ? mini() : python("pass")
        try code.write("index.mjs", "export const handler = async (event) => event;\n")
        var times: [Double] = []
        for _ in 0..<15 {
            let bench = Bench()
            let start = SystemTime().uptimeNanoseconds()
            try await bench.with(makeFunction(code: code.path, runtime: runtime, memory: 1769)) { environment in
                _ = try await environment.invoke()
                times.append(Double(SystemTime().uptimeNanoseconds() - start) / 1e6)
            }
        }
        times.sort()
        print("MEASURE cold \(runtime): median \(times[7]) ms, best \(times[0]) ms")
    }

    /// Invokes again as soon as the environment is idle, on its own loop.
    private final class Loop: EnvironmentOwner {
        struct State {
            var left: Int
            var times: [Double] = []
            var done: CheckedContinuation<Void, Never>?
        }
        let state: Mutex<State>
        init(count: Int) { state = Mutex(State(left: count)) }

        func environmentIsIdle(_ environment: ExecutionEnvironment) {
            let goesOn = state.withLock { state in
                state.left -= 1
                if state.left == 0 { state.done?.resume() }
                return state.left > 0
            }
            guard goesOn else { return }
            let start = SystemTime().uptimeNanoseconds()
            environment.invoke(
                Invocation(
                    requestID: "0b1c2d3e-0000-4000-8000-000000000000",
                    payload: ByteBuffer(string: "{\"key\":\"value\"}"),
                    invokedFunctionARN: "arn:aws:lambda:us-east-1:000000000000:function:f")
            ) { [self] _ in
                state.withLock { $0.times.append(Double(SystemTime().uptimeNanoseconds() - start) / 1e6) }
            }
        }
        func environmentHasEnded(_ environment: ExecutionEnvironment, failure: EnvironmentFailure?) {}
    }

    private final class NullSink: LogSink {
        func append(scope: AccountRegion, group: String, stream: String, events: [Contracts.LogEvent]) {}
        func flush() async {}
    }

    @Test(arguments: [("provided.al2023", ""), ("python3.11", "pass"), ("python3.11", "print('hello')")])
    func warm(runtime: String, line: String) async throws {
        let code = try runtime.hasPrefix("provided") ? mini() : python(line)
        let count = 10_000
        let owner = Loop(count: count)
        let factory = EnvironmentFactory(
            launcher: Host.launcher, runtimes: Host.catalog, endpoint: SilentEndpoint(),
            credentials: FixedCredentials(), logs: NullSink(), time: SystemTime(),
            group: NIOSingletons.posixEventLoopGroup, settings: EnvironmentSettings(), logger: Logger(label: "test"))
        let cpu = cpuSeconds()
        let environment = factory.start(
            makeFunction(code: code.path, runtime: runtime, memory: 3538), owner: owner)
        await withCheckedContinuation { continuation in owner.state.withLock { $0.done = continuation } }
        let spent = (cpuSeconds() - cpu) / Double(count) * 1e6
        environment.shutdown(reason: .spindown)
        let times = owner.state.withLock { $0.times.sorted() }
        print(
            "MEASURE warm \(runtime) \(line): p50 \(times[count / 2]) ms, p99 \(times[count * 99 / 100]) ms, "
                + "\(spent) us of CPU each")
    }
}
