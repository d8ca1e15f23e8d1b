import Contracts
import Glibc
import NIOCore
import Platform
import Sandbox
import Testing

@testable import Execution

/// A custom runtime without dependencies, in Python: speaks the Runtime API over one socket; `handle` is the test's.
let miniRuntime = """
    #!/usr/bin/python3 -ISu
    import os, socket, sys, time, json, signal
    host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
    sock = None
    def call(method, path, body=b"", headers=()):
        global sock
        if sock is None:
            sock = socket.create_connection((host, int(port)))
        head = "%s /2018-06-01/runtime/%s HTTP/1.1\\r\\nHost: h\\r\\nContent-Length: %d\\r\\n" % (method, path, len(body))
        head += "".join("%s: %s\\r\\n" % pair for pair in headers)
        sock.sendall(head.encode() + b"\\r\\n" + body)
        data = b""
        while b"\\r\\n\\r\\n" not in data:
            more = sock.recv(65536)
            if not more: sys.exit(9)
            data += more
        head, rest = data.split(b"\\r\\n\\r\\n", 1)
        lines = head.decode().split("\\r\\n")
        fields = dict((l.split(": ", 1)[0].lower(), l.split(": ", 1)[1]) for l in lines[1:])
        while len(rest) < int(fields["content-length"]):
            rest += sock.recv(65536)
        return int(lines[0].split(" ")[1]), fields, rest
    def respond(id, body):
        return call("POST", "invocation/%s/response" % id, body)
    def serve(handle):
        while True:
            status, fields, body = call("GET", "invocation/next")
            id = fields["lambda-runtime-aws-request-id"]
            answer = handle(id, fields, body)
            if answer is not None: respond(id, answer)

    """

@Suite(.enabled(if: Host.hasCells), .timeLimit(.minutes(2)))
struct CellTests {
    private func code(_ source: String) throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        try directory.write("bootstrap", miniRuntime + source, mode: 0o755)
        return directory
    }

    @Test func invokesRepeatedly() async throws {
        let code = try code(
            """
            count = 0
            def handle(id, fields, body):
                global count
                count += 1
                print("line", count)
                return body + b"!%d" % count
            serve(handle)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path)) { environment in
            let first = try await environment.invoke("{\"a\":1}", id: "one", tail: true)
            #expect(first.text == "{\"a\":1}!1")
            #expect(first.functionError == nil)
            #expect(first.executedVersion == "$LATEST")
            #expect(
                first.tail.hasPrefix(
                    "START RequestId: one Version: $LATEST\nline 1\nEND RequestId: one\nREPORT RequestId: one\tDuration: "
                ), "\(first.tail)")
            #expect(first.tail.contains("\tInit Duration: "))
            #expect(first.tail.hasSuffix(" ms\t\n"))
            await eventually("it is idle") { bench.owner.idleCount == 1 }
            let second = try await environment.invoke("x", id: "two", tail: true)
            #expect(second.text == "x!2")
            #expect(!second.tail.contains("Init Duration"))
            #expect(second.tail.contains("line 2\n"))
        }
        let log = bench.sink.messages
        #expect(
            log.first?.hasPrefix(
                "INIT_START Runtime Version: provided:al2023.v1\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:"
            ) == true)
        #expect(log.count == 9, "\(log)")
        #expect(bench.owner.ended.first.map { $0 == nil } == true)
    }

    @Test func freezesAndThaws() async throws {
        let code = try code(
            """
            import threading
            ticks = 0
            def tick():
                global ticks
                while True:
                    time.sleep(0.005); ticks += 1
            threading.Thread(target=tick, daemon=True).start()
            serve(lambda id, fields, body: b"%d" % ticks)
            """)
        let bench = Bench(settings: EnvironmentSettings(freezeDelayMilliseconds: 5))
        try await bench.with(makeFunction(code: code.path)) { environment in
            let before = try await environment.invoke().text
            try await Task.sleep(nanoseconds: 600_000_000)
            let after = try await environment.invoke().text
            let passed = (Int(after) ?? 0) - (Int(before) ?? 0)
            #expect(passed < 40, "a frozen environment's threads stand still: \(passed) beats of 120")
        }
    }

    @Test func timeoutKillsAndKeepsTmp() async throws {
        let code = try code(
            """
            started = time.time()
            def handle(id, fields, body):
                known = os.path.exists("/tmp/mark")
                if body == b"sleep":
                    open("/tmp/mark", "w").close()
                    print("going to sleep", flush=True)
                    if os.fork() == 0:
                        signal.signal(signal.SIGTERM, signal.SIG_IGN); os.setsid(); time.sleep(100)
                    time.sleep(100)
                return b"known" if known else b"new"
            serve(handle)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path, timeout: 1)) { environment in
            #expect(try await environment.invoke().text == "new")
            await eventually("it is idle") { bench.owner.idleCount == 1 }
            let late = try await environment.invoke("sleep", id: "late", tail: true)
            #expect(late.functionError == "Unhandled")
            #expect(
                late.text
                    == #"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: late Error: Task timed out after 1.00 seconds"}"#
            )
            #expect(
                late.tail.contains(
                    "going to sleep\nEND RequestId: late\nREPORT RequestId: late\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\t"
                ), "\(late.tail)")
            #expect(late.tail.hasSuffix("\tStatus: timeout\n"))
            await eventually("it is idle again") { bench.owner.idleCount == 2 }
            #expect(try await environment.invoke().text == "known")
        }
    }

    @Test(arguments: [
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("sys.exit(3)", "Runtime exited with error: exit status 3"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
        ("os.kill(os.getpid(), 11)", "Runtime exited with error: signal: segmentation fault"),
    ])
    func exits(statement: String, text: String) async throws {
        let code = try code(
            """
            def handle(id, fields, body):
                if body == b"die": print("dying"); sys.stdout.flush(); \(statement)
                return b"alive"
            serve(handle)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path)) { environment in
            let dead = try await environment.invoke("die", id: "r1", tail: true)
            #expect(
                dead.text == "{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"RequestId: r1 Error: \(text)\"}")
            #expect(dead.tail.contains("dying\n"))
            #expect(dead.tail.hasSuffix("\tStatus: error\tError Type: Runtime.ExitError\n"), "\(dead.tail)")
            await eventually("it is idle again") { bench.owner.idleCount == 1 }
            #expect(try await environment.invoke().text == "alive")
        }
    }

    @Test func outOfMemory() async throws {
        let code = try code(
            """
            def handle(id, fields, body):
                if body == b"eat": x = bytearray(600 << 20)
                return b"alive"
            serve(handle)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path, memory: 128)) { environment in
            let dead = try await environment.invoke("eat", id: "r1", tail: true)
            #expect(
                dead.text
                    == #"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r1 Error: Runtime exited with error: signal: killed"}"#
            )
            #expect(
                dead.tail.hasSuffix(
                    "Memory Size: 128 MB\tMax Memory Used: 128 MB\tStatus: error\tError Type: Runtime.OutOfMemory\n")
                    || dead.tail.contains("Error Type: Runtime.OutOfMemory"), "\(dead.tail)")
            #expect(try await afterIdle(bench, environment) == "alive")
        }
    }

    /// On AWS `/tmp` is a disk: a small function fills all of it.
    @Test func tmpIsNotMemoryOfTheFunction() async throws {
        let code = try code(
            """
            def handle(id, fields, body):
                if body == b"write":
                    with open("/tmp/fill", "wb") as file:
                        for _ in range(300): file.write(b"x" * (1 << 20))
                return b"%d" % os.path.getsize("/tmp/fill")
            serve(handle)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path, timeout: 60, memory: 128)) { environment in
            for (round, body) in ["write", "look"].enumerated() {
                let done = try await environment.invoke(body, tail: true)
                #expect(done.text == "\(300 << 20)")
                let used = done.tail.split(separator: "Max Memory Used: ").last?.split(separator: " ").first
                #expect((1...100).contains(used.flatMap { Int($0) } ?? 0), "\(done.tail)")
                await eventually("it is idle") { bench.owner.idleCount == round + 1 }
            }
        }
    }

    /// More than its memory but less than memory and `/tmp`: the kernel does not see it, the beat does.
    @Test(arguments: ["time.sleep(20)", "pass"])
    func moreThanItsMemoryIsSeen(afterwards: String) async throws {
        let code = try code(
            """
            held = []
            def handle(id, fields, body):
                if body == b"eat":
                    print("eating")
                    held.append(b"x" * (300 << 20))
                    \(afterwards)
                return b"alive"
            serve(handle)
            """)
        let bench = Bench(settings: EnvironmentSettings(freezes: false))
        let killed =
            #"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r1 Error: Runtime exited with error: signal: killed"}"#
        try await bench.with(makeFunction(code: code.path, timeout: 15, memory: 256)) { environment in
            let eaten = try await environment.invoke("eat", id: "r1", tail: true)
            if eaten.functionError == nil {
                // It was faster than the beat: the next one is told.
                #expect(afterwards == "pass")
                #expect(eaten.text == "alive")
                #expect(eaten.tail.contains("Memory Size: 256 MB\tMax Memory Used: 256 MB\t"))
                await eventually("it is idle") { bench.owner.idleCount == 1 }
                let next = try await environment.invoke(id: "r1", tail: true)
                #expect(next.text == killed)
            } else {
                #expect(eaten.text == killed)
                #expect(eaten.tail.contains("eating\nEND"))
                #expect(eaten.tail.contains("Max Memory Used: 256 MB\t"), "\(eaten.tail)")
                #expect(eaten.tail.hasSuffix("\tStatus: error\tError Type: Runtime.OutOfMemory\n"), "\(eaten.tail)")
            }
            #expect(try await afterIdle(bench, environment) == "alive")
        }
    }

    /// Both streams are one, and what is said while the function is loaded comes before its first START.
    @Test(arguments: [false, true])
    func outputIsInOrder(tail: Bool) async throws {
        let code = try code(
            """
            print("loading"); print("warning", file=sys.stderr)
            sys.stdout.write("unfinished"); sys.stdout.flush()
            def handle(id, fields, body):
                for i in range(3):
                    print("out", i, flush=True); print("err", i, file=sys.stderr, flush=True)
                return body
            serve(handle)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path)) { environment in
            let done = try await environment.invoke("x", id: "one", tail: tail)
            if tail {
                #expect(
                    done.tail.hasPrefix(
                        "START RequestId: one Version: $LATEST\nout 0\nerr 0\nout 1\nerr 1\nout 2\nerr 2\nEND"),
                    "\(done.tail)")
            }
        }
        let log = bench.sink.messages.map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
        #expect(
            log.map { String($0.drop { $0 == "\n" }) }.map { $0.hasSuffix("\n") ? String($0.dropLast()) : $0 } == [
                "INIT_START Runtime", "loading", "warning", "unfinished", "START RequestId:", "out 0", "err 0", "out 1",
                "err 1", "out 2", "err 2", "END RequestId:", "REPORT RequestId:",
            ])
    }

    private func afterIdle(_ bench: Bench, _ environment: ExecutionEnvironment) async throws -> String {
        await eventually("it is idle again") { bench.owner.idleCount >= 1 }
        return try await environment.invoke().text
    }

    @Test func exitBetweenInvocationsIsToldToTheNext() async throws {
        let code = try code(
            """
            import threading
            def handle(id, fields, body):
                if body == b"later": threading.Timer(0.05, lambda: os._exit(0)).start()
                return b"ok"
            serve(handle)
            """)
        let bench = Bench(settings: EnvironmentSettings(freezes: false))
        try await bench.with(makeFunction(code: code.path)) { environment in
            #expect(try await environment.invoke("later").text == "ok")
            await eventually("it is idle") { bench.owner.idleCount == 1 }
            try await Task.sleep(nanoseconds: 300_000_000)
            #expect(try await environment.invoke().text.contains("Runtime exited without providing a reason"))
            await eventually("it is idle again") { bench.owner.idleCount == 2 }
            #expect(try await environment.invoke().text == "ok")
        }
    }

    @Test func initErrorIsGivenAsPosted() async throws {
        let body = #"{"errorMessage":"no","errorType":"Runtime.ImportModuleError","requestId":"","stackTrace":[]}"#
        let code = try code(
            """
            print("cannot load")
            call("POST", "init/error", b'\(body)', [("Lambda-Runtime-Function-Error-Type", "Runtime.ImportModuleError")])
            sys.exit(1)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path)) { environment in
            let failed = try await environment.invoke(id: "r1", tail: true)
            #expect(failed.text == body)
            #expect(failed.functionError == "Unhandled")
            #expect(failed.tail.contains("cannot load\n"), "\(failed.tail)")
            #expect(failed.tail.contains("\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError\n"))
            await eventually("it is idle again") { bench.owner.idleCount == 1 }
            #expect(try await environment.invoke().text == body)
        }
    }

    @Test func slowInitIsRetriedInsideTheInvocation() async throws {
        let code = try code(
            """
            if not os.path.exists("/tmp/second"):
                open("/tmp/second", "w").close()
                time.sleep(60)
            serve(lambda id, fields, body: b"done")
            """)
        let bench = Bench(settings: EnvironmentSettings(initLimitSeconds: 4))
        try await bench.with(makeFunction(code: code.path, timeout: 20)) { environment in
            let answer = try await environment.invoke().text
            #expect(answer == "done")
        }
        #expect(bench.sink.messages.contains { $0.contains("Phase: init\tStatus: timeout") })
    }

    @Test func noBootstrap() async throws {
        let directory = try TemporaryDirectory()
        let bench = Bench()
        try await bench.with(makeFunction(code: directory.path), endsByItself: true) { environment in
            let failed = try await environment.invoke(id: "r1")
            #expect(
                failed.text
                    == #"{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: r1 Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}"#
            )
        }
        #expect(bench.owner.ended.first??.message.contains("bootstrap") == true)
    }

    @Test func bootstrapThatCannotRun() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("bootstrap", "\u{1}\u{2}\u{3} not a program", mode: 0o755)
        let bench = Bench()
        try await bench.with(makeFunction(code: directory.path)) { environment in
            let failed = try await environment.invoke(id: "r1")
            #expect(
                failed.text
                    == #"{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: r1 Error: fork/exec /var/task/bootstrap: exec format error"}"#
            )
        }
    }

    @Test func unknownRuntimeSaysWhatIsMissing() async throws {
        let directory = try TemporaryDirectory()
        let bench = Bench()
        try await bench.with(makeFunction(code: directory.path, runtime: "java21"), endsByItself: true) { environment in
            await #expect(throws: (any Error).self) { try await environment.invoke() }
        }
        #expect(bench.owner.ended.first??.message.contains("java21") == true)
    }

    @Test func responsesTooLarge() async throws {
        let code = try code(
            """
            last = 0
            def handle(id, fields, body):
                global last
                if body == b"ask": return b"%d" % last
                last, _, told = respond(id, b'"' + b"x" * int(body) + b'"')
                if last == 413: assert b"RequestEntityTooLarge" in told, told
            serve(handle)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path)) { environment in
            let large = try await environment.invoke("6291554")
            #expect(large.payload.readableBytes == 6_291_556)
            await eventually("it is idle") { bench.owner.idleCount == 1 }
            let tooLarge = try await environment.invoke("6291555")
            #expect(
                tooLarge.text
                    == #"{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}"#
            )
            await eventually("it is idle again") { bench.owner.idleCount == 2 }
            #expect(try await environment.invoke("ask").text == "413")
        }
    }

    @Test func floodOfOutputIsKeptAndDoesNotStall() async throws {
        let code = try code(
            """
            def handle(id, fields, body):
                for i in range(20000): sys.stdout.write("line %06d of a chatty function\\n" % i)
                sys.stdout.flush()
                return b"ok"
            serve(handle)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path)) { environment in
            let answer = try await environment.invoke().text
            #expect(answer == "ok")
        }
        let lines = bench.sink.messages.filter { $0.hasPrefix("line ") }
        #expect(lines.count == 20000)
        #expect(lines.last == "line 019999 of a chatty function\n")
    }

    @Test func environmentVariablesAndPlaces() async throws {
        let code = try code(
            """
            serve(lambda id, fields, body: json.dumps({"env": dict(os.environ), "cwd": os.getcwd(), "deadline": fields["lambda-runtime-deadline-ms"], "arn": fields["lambda-runtime-invoked-function-arn"], "context": fields.get("lambda-runtime-client-context")}).encode())
            """)
        let bench = Bench()
        let function = makeFunction(
            code: code.path, environment: [("MINE", "yes"), ("TZ", "Europe/Zurich"), ("AWS_REGION", "no")])
        try await bench.with(function) { environment in
            let text = try await environment.invoke(clientContext: "{\"custom\":\r\n{}}").text
            for expected in [
                #""MINE": "yes""#, #""TZ": "Europe/Zurich""#, #""AWS_REGION": "us-east-1""#, #""cwd": "/var/task""#,
                #""AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001""#, #""AWS_ENDPOINT_URL": "http://127.0.0.1:4566""#,
                #""AWS_LAMBDA_LOG_STREAM_NAME": "\#(environment.logStream)""#, #""AWS_ACCESS_KEY_ID": "ASIATEST""#,
                #""arn": "arn:aws:lambda:us-east-1:000000000000:function:f""#, #""context": "{\"custom\":  {}}""#,
            ] { #expect(text.contains(expected), "\(expected) in \(text)") }
            #expect(!text.contains("AWS_EXECUTION_ENV"))
        }
    }

    @Test func runtimeAPIRefusesWhatIsOutOfOrder() async throws {
        let code = try code(
            """
            seen = []
            def note(answer): seen.append("%d %s" % (answer[0], json.loads(answer[2])["errorType"]) if answer[2][:1] == b"{" and b"errorType" in answer[2] else "%d" % answer[0])
            note(call("POST", "invocation/nobody/response", b"1"))
            def handle(id, fields, body):
                if body == b"seen": return json.dumps(seen).encode()
                note(call("POST", "invocation/other/response", b"1"))
                note(call("POST", "init/error", b"{}"))
                note(call("GET", "invocation/%s/response" % id))
                note(call("POST", "invocation/%s/response" % id, b"1", [("Lambda-Runtime-Function-Response-Mode", "streaming")]))
                note(call("POST", "invocation/%s/response" % id, b"2"))
                note(call("POST", "invocation/%s/error" % id, b"2"))
                note(call("GET", "restore/next"))
                note(call("GET", "nowhere"))
            serve(handle)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path)) { environment in
            let first = try await environment.invoke().text
            #expect(first == "1")
            await eventually("it is idle") { bench.owner.idleCount == 1 }
            let seen = try await environment.invoke("seen").text
            #expect(
                seen
                    == #"["400 InvalidRequestID", "400 InvalidRequestID", "403 InvalidStateTransition", "405 MethodNotAllowed", "202", "403 InvalidStateTransition", "403 InvalidStateTransition", "403 InvalidStateTransition", "404 NotFound"]"#
            )
        }
    }

    @Test func otherFormsOfRequests() async throws {
        let code = try code(
            """
            def raw(data, close=False):
                s = socket.create_connection((host, int(port)))
                for piece in data: s.sendall(piece); time.sleep(0.01)
                if close:
                    got = b""
                    while True:
                        more = s.recv(65536)
                        if not more: return got
                        got += more
                return s.recv(65536)
            def handle(id, fields, body):
                path = b"POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\r\\n" % id.encode()
                if body == b"chunked":
                    raw([path + b"Transfer-Encoding: chunked\\r\\n\\r\\n5\\r\\nhe", b"llo\\r\\n1;x=y\\r\\n!\\r", b"\\n0\\r\\n\\r\\n"])
                elif body == b"broken":
                    raw([path + b"Transfer-Encoding: chunked\\r\\n\\r\\n2\\r\\nhe\\r\\n0\\r\\nLambda-Runtime-Function-Error-Type: Function.Broken\\r\\nLambda-Runtime-Function-Error-Body: eyJlIjoxfQ==\\r\\n\\r\\n"])
                elif body == b"expect":
                    s = socket.create_connection((host, int(port)))
                    s.sendall(path + b"Content-Length: 2\\r\\nExpect: 100-continue\\r\\n\\r\\n")
                    assert s.recv(100) == b"HTTP/1.1 100 Continue\\r\\n\\r\\n"
                    s.sendall(b"ok"); s.recv(100)
                elif body == b"close":
                    raw([path + b"Content-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok"], close=True)
                elif body == b"header":
                    raw([path.replace(b"response HTTP", b"error HTTP") + b"Lambda-Runtime-Function-XRay-Error-Cause: " + b"x" * 1000000 + b"\\r\\nContent-Length: 2\\r\\n\\r\\n{}"])
                elif body == b"mode":
                    raw([path + b"Lambda-Runtime-Function-Response-Mode: odd\\r\\nContent-Length: 0\\r\\n\\r\\n"])
            serve(handle)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path)) { environment in
            var answers: [String] = []
            for (index, form) in ["chunked", "broken", "expect", "close", "header", "mode"].enumerated() {
                answers.append(try await environment.invoke(form, id: "r").text)
                await eventually("it is idle") { bench.owner.idleCount == index + 1 }
            }
            #expect(
                answers == [
                    "hello!", #"{"e":1}"#, "ok", "ok", "{}",
                    #"{"errorType":"Runtime.InvalidResponseModeHeader","errorMessage":"RequestId: r Error: Invalid function response mode"}"#,
                ])
        }
    }

    @Test func severalPollsInFlight() async throws {
        let code = try code(
            """
            import threading, http.client
            def poll():
                c = http.client.HTTPConnection(host, int(port))
                while True:
                    c.request("GET", "/2018-06-01/runtime/invocation/next"); r = c.getresponse(); body = r.read()
                    id = r.getheader("Lambda-Runtime-Aws-Request-Id")
                    c.request("POST", "/2018-06-01/runtime/invocation/%s/response" % id, threading.current_thread().name.encode()); c.getresponse().read()
            threads = [threading.Thread(target=poll, name="t%d" % i) for i in range(3)]
            for t in threads: t.start(); time.sleep(0.05)
            for t in threads: t.join()
            """)
        let bench = Bench(settings: EnvironmentSettings(freezes: false))
        try await bench.with(makeFunction(code: code.path)) { environment in
            await eventually("it is idle") { bench.owner.idleCount == 1 }
            try await Task.sleep(nanoseconds: 300_000_000)
            var names: [String] = []
            for round in 0..<6 {
                names.append(try await environment.invoke().text)
                await eventually("it is idle") { bench.owner.idleCount == round + 2 }
            }
            #expect(Set(names) == ["t0", "t1", "t2"], "\(names)")
        }
    }

    @Test(arguments: [EnvironmentSettings(isolation: .none), EnvironmentSettings(egress: .host)])
    func otherIsolations(settings: EnvironmentSettings) async throws {
        let code = try code(
            "serve(lambda id, fields, body: (os.environ['LAMBDA_TASK_ROOT'] + ' ' + os.environ['AWS_LAMBDA_RUNTIME_API']).encode())\n"
        )
        let bench = Bench(settings: settings)
        try await bench.with(makeFunction(code: code.path)) { environment in
            let answer = try await environment.invoke().text
            #expect(
                answer.hasPrefix(settings.isolation == .none ? "\(code.path) 127.0.0.1:" : "/var/task 127.0.0.1:"),
                "\(answer)")
            #expect(!answer.hasSuffix(":9001"))
        }
    }

    @Test func shutdownWaitsForTheInvocation() async throws {
        let code = try code("serve(lambda id, fields, body: time.sleep(0.3) or b'done')\n")
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path), endsByItself: true) { environment in
            async let answer = environment.invoke()
            await eventually("it runs") { bench.sink.messages.contains { $0.hasPrefix("START") } }
            environment.shutdown(reason: .spindown)
            let text = try await answer.text
            #expect(text == "done")
            await eventually("it has ended") { bench.owner.ended.count == 1 }
            await #expect(throws: NotDelivered.self) { try await environment.invoke() }
        }
    }

    @Test func hostileBytesEndOnlyTheirConnection() async throws {
        let code = try code(
            """
            def handle(id, fields, body):
                for junk in (b"\\0\\1\\2\\r\\n\\r\\n", b"GET / HTTP/9.9\\r\\n\\r\\n", b"POST /x HTTP/1.1\\r\\nContent-Length: 99999999999999999999\\r\\n\\r\\n",
                             b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\n\\r\\nGET /ping HTTP/1.1\\r\\n\\r\\n", b"A" * 2000000):
                    s = socket.create_connection((host, int(port)))
                    s.settimeout(0.5)
                    try:
                        s.sendall(junk)
                        while s.recv(65536): pass
                    except OSError: pass
                many = []
                for i in range(200):
                    s = socket.create_connection((host, int(port))); s.sendall(b"POST /2018"); many.append(s)
                return b"survived"
            serve(handle)
            """)
        let bench = Bench()
        try await bench.with(makeFunction(code: code.path, timeout: 20)) { environment in
            let result = try await environment.invoke()
            #expect(result.text == "survived")
        }
    }
}
