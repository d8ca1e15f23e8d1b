import Contracts
import Glibc
import NIOCore
import Platform
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
        let before = descriptors()
        for round in 0..<60 {
            let bench = Bench()
            try await bench.with(makeFunction(code: code.path, timeout: 1)) { environment in
                _ = try await environment.invoke()
                if round % 20 == 0 { environment.shutdown(reason: .spindown) }
            }
        }
        try await Task.sleep(nanoseconds: 200_000_000)
        #expect(descriptors() <= before + 4, "\(before) descriptors before, \(descriptors()) after")
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

    @Test(arguments: [("provided.al2023", ""), ("python3.11", "pass"), ("python3.11", "print('hello')")])
    func warm(runtime: String, line: String) async throws {
        let code = try runtime.hasPrefix("provided") ? mini() : python(line)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path, runtime: runtime, memory: 3538)) { environment in
            _ = try await environment.invoke()
            var times: [Double] = []
            var idle = 1
            let cpu = cpuSeconds()
            let count = 4000
            for _ in 0..<count {
                while bench.owner.idleCount < idle { sched_yield() }
                idle += 1
                let start = SystemTime().uptimeNanoseconds()
                _ = try await environment.invoke("{\"key\":\"value\"}")
                times.append(Double(SystemTime().uptimeNanoseconds() - start) / 1e6)
            }
            let spent = (cpuSeconds() - cpu) / Double(count) * 1e6
            times.sort()
            print("MEASURE warm \(runtime) \(line): p50 \(times[count / 2]) ms, p99 \(times[count * 99 / 100]) ms, \(spent) us CPU each, with the test's own")
        }
    }
}
