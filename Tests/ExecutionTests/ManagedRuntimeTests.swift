import Contracts
import Glibc
import NIOCore
import Platform
import Testing

@testable import Execution

/// AWS's own runtime client for Python and ours for Node, in real cells.
@Suite(.timeLimit(.minutes(3)))
struct ManagedRuntimeTests {
    @Test(.enabled(if: Host.has("python3.11")))
    func python() async throws {
        let code = try TemporaryDirectory()
        try code.write(
            "index.py",
            """
            import logging, os
            logger = logging.getLogger(); logger.setLevel("INFO")
            def handler(event, context):
                print("printed")
                logger.info("two\\nlines")
                if event == "fail": raise ValueError("bad value")
                return {"id": context.aws_request_id, "ms": context.get_remaining_time_in_millis() > 9000, "env": os.environ["AWS_EXECUTION_ENV"]}
            """)
        let bench = Bench()
        let function = makeFunction(code: code.path, runtime: "python3.11")
        try await bench.with(function) { environment in
            let result = try await environment.invoke(id: "one", tail: true)
            #expect(result.text == #"{"id": "one", "ms": true, "env": "AWS_Lambda_python3.11"}"#)
            #expect(result.tail.contains("printed\n"))
            #expect(
                bench.sink.messages.contains { $0.hasPrefix("[INFO]\t") && $0.hasSuffix("\ttwo\nlines\n") },
                "\(bench.sink.messages)")
            await eventually("it is idle") { bench.owner.idleCount == 1 }
            let failed = try await environment.invoke("\"fail\"", id: "two", tail: true)
            #expect(failed.functionError == "Unhandled")
            #expect(
                failed.text.hasPrefix(
                    #"{"errorMessage": "bad value", "errorType": "ValueError", "requestId": "two", "stackTrace": ["#),
                "\(failed.text)")
            #expect(
                bench.sink.messages.contains {
                    $0.hasPrefix("[ERROR] ValueError: bad value\nTraceback (most recent call last):\n")
                })
            #expect(!failed.tail.contains("Status: error"))
        }
    }

    @Test(.enabled(if: Host.has("python3.11")))
    func pythonImportError() async throws {
        let code = try TemporaryDirectory()
        try code.write("index.py", "import nothing_of_that_name\n")
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path, runtime: "python3.11")) { environment in
            let failed = try await environment.invoke(tail: true)
            #expect(
                failed.text.contains(#""errorType": "Runtime.ImportModuleError", "requestId": """#), "\(failed.text)")
            #expect(failed.tail.contains("Error Type: Runtime.ImportModuleError"), "\(failed.tail)")
        }
    }

    @Test(.enabled(if: Host.has("nodejs20.x")))
    func node() async throws {
        let code = try TemporaryDirectory()
        try code.write(
            "index.mjs",
            """
            export const handler = async (event, context) => {
                console.log("two\\nlines");
                if (event === "fail") throw new TypeError("bad");
                return { id: context.awsRequestId, env: process.env.AWS_EXECUTION_ENV };
            };
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path, runtime: "nodejs20.x")) { environment in
            let result = try await environment.invoke(id: "one")
            #expect(result.text == #"{"id":"one","env":"AWS_Lambda_nodejs20.x"}"#)
            await eventually("it is idle") { bench.owner.idleCount == 1 }
            let failed = try await environment.invoke("\"fail\"", id: "two")
            #expect(failed.text.contains(#""errorType":"TypeError","errorMessage":"bad""#), "\(failed.text)")
            #expect(
                bench.sink.messages.contains { $0.hasSuffix("\tone\tINFO\ttwo\nlines\n") }, "\(bench.sink.messages)")
        }
    }

    @Test(.enabled(if: Host.has("python3.11")))
    func jsonFormat() async throws {
        let code = try TemporaryDirectory()
        try code.write("index.py", "def handler(event, context): return 1\n")
        let bench = Bench()
        try await bench.with(
            makeFunction(code: code.path, runtime: "python3.11", format: .json, systemLevel: "DEBUG")
        ) { environment in
            _ = try await environment.invoke(id: "one")
            await eventually("it is idle") { bench.owner.idleCount == 1 }
        }
        let types = bench.sink.messages.compactMap {
            $0.split(separator: "\"type\":\"").dropFirst().first?.split(separator: "\"").first
        }
        #expect(
            types == [
                "platform.initStart", "platform.initRuntimeDone", "platform.initReport", "platform.start",
                "platform.runtimeDone", "platform.report",
            ])
    }

    @Test(.enabled(if: Host.has("python3.11")))
    func wrapper() async throws {
        let code = try TemporaryDirectory()
        try code.write("index.py", "import os\ndef handler(event, context): return os.environ.get('WRAPPED')\n")
        try code.write("wrap", "#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\"\n", mode: 0o755)
        let bench = Bench()
        let wrapped = makeFunction(
            code: code.path, runtime: "python3.11", environment: [("AWS_LAMBDA_EXEC_WRAPPER", "/var/task/wrap")])
        try await bench.with(wrapped) { environment in
            let text = try await environment.invoke().text
            #expect(text == "\"yes\"")
        }
        let second = Bench()
        let missing = makeFunction(
            code: code.path, runtime: "python3.11", environment: [("AWS_LAMBDA_EXEC_WRAPPER", "/opt/nothing")])
        try await second.with(missing) { environment in
            let text = try await environment.invoke(id: "r").text
            #expect(text.contains("Error: Runtime exited with error: exit status 127"), "\(text)")
        }
    }

    /// A recursion error's X-Ray cause is a header of more than 80 KiB.
    @Test(.enabled(if: Host.has("python3.11")))
    func deepRecursion() async throws {
        let code = try TemporaryDirectory()
        try code.write("index.py", "def handler(event, context): return handler(event, context)\n")
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path, runtime: "python3.11")) { environment in
            let failed = try await environment.invoke()
            #expect(
                failed.text.hasPrefix(#"{"errorMessage": "maximum recursion depth exceeded"#),
                "\(failed.text.prefix(200))")
            await eventually("it is idle") { bench.owner.idleCount == 1 }
        }
    }
}
